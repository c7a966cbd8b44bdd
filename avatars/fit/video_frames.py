"""Which frames of a tracked video a head is fitted to, and whether they can be used."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from avatars.fit.video_options import VideoFitOptions
from avatars.fit.video_rays import LEAST, Pictures, check_masks
from body_models import Body, InputError
from data_prep.video_dataset import VideoDataset

EVALUATED = 24
"""Most held-out frames that are rendered."""
LOOKED_AT = 12
"""Frames, about, in which the tracked head is compared with the masks before the fit."""
BESIDE = 0.1
"""Least share of the tracked head's vertices that must lie on the person, in the mean."""


@dataclass(frozen=True)
class Split:
    """Numbers of the dataset's frames that are fitted to, and of those held out."""

    train: tuple[int, ...]
    test: tuple[int, ...]


def checked_body(dataset: VideoDataset) -> Body:
    """The tracked person; raises InputError for a body's video or expressions that the head model does not have."""
    if dataset.kind != "head":
        raise InputError("This dataset tracks a whole body; heads are fitted to videos prepared without `--body`.")
    body = dataset.body_model().body(dataset.betas)
    known = 0 if body.expression_basis is None else len(body.expression_basis)
    if dataset.expressions.shape[1] != known and (dataset.expression_names or dataset.expressions.shape[1] > known):
        raise InputError(
            f"The dataset has {dataset.expressions.shape[1]} expression numbers a frame, but {dataset.model} has "
            f"{known}. Prepare the video again, or give the model that it was tracked with."
        )
    return _with_expressions(body, dataset.expressions.shape[1])


def _with_expressions(body: Body, count: int) -> Body:
    """The body with the first of its expressions only, as trackers of large models use them."""
    if body.expression_basis is None or body.expression_basis_joints is None or count == len(body.expression_basis):
        return body
    return dataclasses.replace(
        body,
        expression_basis=body.expression_basis[:count],
        expression_basis_joints=body.expression_basis_joints[:count],
        expression_names=body.expression_names[:count],
    )


def split_frames(dataset: VideoDataset, options: VideoFitOptions) -> Split:
    """Usable frames, evenly thinned to `options.frames`, and the video's last ones apart where some are held out.

    Raises InputError when too few are left or one has no mask.
    """
    usable = [number for number, frame in enumerate(dataset.frames) if frame.use]
    held = math.ceil(options.hold_out * len(usable))
    train, test = usable[: len(usable) - held], usable[len(usable) - held :]
    train, test = thinned(train, options.frames), thinned(test, EVALUATED)
    if len(train) < LEAST:
        apart = f" ({held} held out)" if held else ""
        raise InputError(
            f"{len(train)} of {len(dataset)} frames can be fitted to{apart}: a head needs {LEAST} at least, and wants "
            "hundreds in which it turns and talks. Prepare a longer video."
        )
    check_masks(dataset.subset([*train, *test]))
    return Split(tuple(train), tuple(test))


def thinned(frames: Sequence[int], most: int) -> list[int]:
    """So many of the frames at most, evenly chosen with the first and the last."""
    if len(frames) <= most:
        return list(frames)
    return [frames[round(place * (len(frames) - 1) / max(most - 1, 1))] for place in range(most)]


def check_tracks(dataset: VideoDataset, body: Body, pictures: Pictures) -> None:
    """Raise InputError when the tracked head lies beside the masked person, before anything is fitted."""
    height, width = pictures.size
    found = []
    for frame in range(0, len(dataset), max(1, len(dataset) // LOOKED_AT)):
        vertices = body.pose_vertices(dataset.poses[frame], dataset.translations[frame], dataset.expressions[frame])
        place, depth = pictures.camera(frame).project(vertices)
        column, row = place.floor().long().unbind(-1)
        seen = (depth > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        found.append(float((pictures.alpha[frame, row[seen], column[seen]] >= 128).sum()) / len(vertices))
    if sum(found) < BESIDE * len(found):
        raise InputError(
            f"The tracked head and the masks do not fit together: {sum(found) / len(found):.0%} of the head lies on "
            "the person. Look at summary.html or overlay.mp4 of the dataset; where tracks or cameras come from "
            "elsewhere, check their units (metres) and axes, or make the dataset with `avatars prepare VIDEO`."
        )
