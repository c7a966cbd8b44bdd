"""Read whatever is to drive an avatar: a motion file, or the dataset of a tracked video."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from body_models import InputError, Motion, load_motion
from body_models.motion.clips import MOTION_FORMATS
from data_prep.other_datasets import read_any_dataset
from data_prep.video_dataset import VideoDataset

VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")


@dataclass(frozen=True)
class Driver:
    """A motion of anybody, and what it was tracked with."""

    motion: Motion
    model: str = ""
    """Name of the tracked body model, such as "flame"; empty where a file does not tell."""


def read_driver(source: Motion | Path | str, frame_rate: float | None = None) -> Driver:
    """A clip, a motion file, or the folder of a tracked video; `frame_rate` as `load_motion` takes it.

    Frames of a video that its tracking marks as useless are filled in from their neighbours. Raises InputError for
    anything else, with what to do about it.
    """
    if isinstance(source, Motion):
        return Driver(_at_rate(source, frame_rate))
    path = Path(source)
    if path.is_dir():
        dataset = _dataset(path)
        return Driver(_at_rate(_whole_motion(dataset), frame_rate), dataset.model)
    if path.suffix.lower() in VIDEOS and path.is_file():
        tracked = path.with_suffix(".tracked")
        raise InputError(
            f"{path} is a video, which has to be tracked first: type `avatars prepare '{path}' --out '{tracked}'`, and "
            f"give --motion '{tracked}'."
        )
    if path.suffix.lower() not in MOTION_FORMATS and not path.exists():
        raise InputError(
            f"There is nothing at {path}. Give a motion file ({', '.join(MOTION_FORMATS)}), or the folder that "
            "`avatars prepare VIDEO --out FOLDER` makes of a video."
        )
    return Driver(load_motion(path, frame_rate))


def _at_rate(motion: Motion, frame_rate: float | None) -> Motion:
    return motion if frame_rate in (None, motion.frame_rate) else motion.resample(frame_rate)


def _dataset(folder: Path) -> VideoDataset:
    try:
        return read_any_dataset(folder)
    except InputError:
        if any(path.suffix.lower() in MOTION_FORMATS for path in folder.iterdir()):
            load_motion(folder)  # tells which of the files to give
        raise


def _whole_motion(dataset: VideoDataset) -> Motion:
    motion = dataset.motion()
    used = [number for number, frame in enumerate(dataset.frames) if frame.use]
    if not used:
        raise InputError(f"{dataset.folder}: none of its {len(dataset)} frames is usable. Prepare another video.")
    if len(used) == len(dataset):
        return motion
    expression = motion.expression
    return replace(
        motion,
        rotations=_between(motion.rotations, used),
        translations=_between(motion.translations, used),
        expression=None if expression is None else _between(expression, used),
    )


def _between(values: Float[Tensor, "frame *shape"], used: list[int]) -> Float[Tensor, "frame *shape"]:
    """Values at all frames, straight between the used ones; neighbouring turns are near enough to each other."""
    place = np.interp(np.arange(len(values)), used, np.arange(len(used)))
    before = torch.from_numpy(np.floor(place)).long()
    share = torch.from_numpy(place - np.floor(place)).to(values).reshape(-1, *[1] * (values.ndim - 1))
    rows = values[used]
    return torch.lerp(rows[before], rows[(before + 1).clamp(max=len(used) - 1)], share)
