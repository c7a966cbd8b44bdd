"""`avatars evaluate` for heads: the end of a tracked video, rendered and compared."""

import dataclasses
import json
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avatars.assess.head_report import Report
from avatars.assess.head_scores import SIZE, FrameScores, HeadScores, Reference, check_size, score_head
from avatars.fit.progress import Progress
from avatars.fit.video_frames import thinned
from avatars.fit.video_rays import check_masks
from avatars.fit.video_report import HeadView, view_of
from avatars.models.head_avatar import HeadAvatar
from body_models import InputError
from body_models.parameters import unknown_name
from data_prep.atomic import replacing
from data_prep.other_datasets import read_any_dataset
from data_prep.video_dataset import VideoDataset

HELD_OUT = 0.2
"""Share of the usable frames, the video's end, that fits with `--evaluate` leave for this."""
MOST = 48
"""Frames that are compared, evenly chosen."""
WHICH = ("last", "all")
PICTURE_FIGURES = ("l1", "psnr", "ssim", "ssim_published", "lpips")
FRAME_FIGURES = ("iou", "expression", "floor", "normal_face", "normal_head")


@dataclasses.dataclass(frozen=True)
class HeadEvaluation:
    """What `evaluate_head` finds."""

    scores: HeadScores
    which: str
    """What the frames are, in words."""
    notes: tuple[str, ...] = ()
    """What the figures do not mean."""

    def table(self) -> str:
        """The figures in Markdown, with what was left out."""
        lines = [f"{self.which}, {self.scores.size} pixels:", "", *picture_table(self.scores), ""]
        lines += [told for told in (_expression(self.scores), _others(self.scores)) if told]
        return "\n".join([*lines, *self.scores.notes, *self.notes])

    def write(self, path: Path) -> None:
        """Write all frames' figures as JSON; raises InputError when the place cannot be written."""
        stored = {"mean": means(self.scores), **dataclasses.asdict(self.scores)}
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(finite(stored), indent=2), encoding="utf-8")


def evaluate_head(
    avatar: HeadAvatar,
    source: Path | str,
    *,
    frames: str = "last",
    size: int = SIZE,
    out: Path | str | None = None,
    exact: bool = True,
    quiet: bool = False,
) -> HeadEvaluation:
    """Compare a head with frames of a tracked video of the same person, posed as they were tracked.

    `frames` are the "last" fifth of the usable ones, which fits with `evaluate` hold out, or "all"; at most 48 of them.
    With `out` a report of pictures is written to that folder. `exact` traces the surface, else its mesh is drawn.
    Raises InputError for a dataset that does not belong to this head or has no masks.
    """
    if frames not in WHICH:
        raise InputError(unknown_name("Unknown choice of frames", frames, WHICH))
    check_size(size)
    if not Path(source).exists():
        raise InputError(f"No dataset at '{source}'. Give the folder that `avatars prepare` wrote for the video.")
    if Path(source).is_file():
        raise InputError(
            f"'{source}' is a file, and a head is compared with a tracked video: the folder that "
            f"`{shlex.join(['avatars', 'prepare', str(source), '--out', 'FOLDER'])}` writes, or OUT.work/dataset of a "
            "head that was fitted to the video itself."
        )
    dataset = read_any_dataset(Path(source))
    check_fitting(avatar, dataset)
    candidates = held_out_frames(dataset) if frames == "last" else usable_frames(dataset)
    chosen = thinned(candidates, MOST)
    check_masks(dataset.subset(chosen))
    report = None if out is None else Report(Path(out))
    with Progress(quiet) as progress:

        def watch(row: FrameScores, shown: Reference, view: HeadView) -> None:
            progress.advance(task)
            if report is not None:
                report.add(row, shown, view)

        task = progress.start("comparing", len(chosen))
        scores = score_head(view_of(avatar, exact), dataset, chosen, size, watch=watch)
        progress.finish(task)
    share = "the last fifth" if frames == "last" else "all"
    which = f"{len(chosen)} of {len(candidates)} usable frames ({share} of the video)"
    found = HeadEvaluation(scores, which, _seen_before(avatar, dataset, candidates))
    if report is not None:
        report.finish()
        found.write(report.folder / "scores.json")
    return found


def check_fitting(avatar: HeadAvatar, dataset: VideoDataset) -> None:
    """Raise InputError unless the dataset tracks a head with the model and expressions of this avatar."""
    if dataset.kind != "head":
        raise InputError("This dataset tracks a whole body; a head is compared with a video prepared without `--body`.")
    if dataset.model != avatar.info.body_model:
        raise InputError(
            f"The dataset was tracked with {dataset.model}, the avatar was fitted with {avatar.info.body_model}: their "
            f"expressions differ. Prepare the video again with `avatars prepare --model {avatar.info.body_model}`."
        )
    known, given = avatar.tracks.expressions.shape[1], dataset.expressions.shape[1]
    names = avatar.tracks.expression_names
    if known != given or names != dataset.expression_names[: len(names)]:
        raise InputError(
            f"The dataset has {given} expression numbers a frame, the avatar {known}, or their names differ. Prepare "
            "the video again with this version, or fit the avatar to this dataset's layout."
        )


def usable_frames(dataset: VideoDataset) -> list[int]:
    """Numbers of the frames that are fit for use; raises InputError for none."""
    usable = [number for number, frame in enumerate(dataset.frames) if frame.use]
    if not usable:
        raise InputError("No frame of this dataset can be used (all are flagged); look at its summary.html.")
    return usable


def held_out_frames(dataset: VideoDataset) -> list[int]:
    """The last fifth of the usable frames: those that a fit with `evaluate` does not see."""
    usable = usable_frames(dataset)
    return usable[len(usable) - math.ceil(HELD_OUT * len(usable)) :]


def picture_table(scores: HeadScores) -> list[str]:
    """Figures of the two regions, one line each."""
    names = ("l1", "psnr", "ssim", "ssim_published", *(("lpips",) if scores.count("face.lpips") else ()))
    head = ("region", "L1", "PSNR (dB)", "SSIM", "SSIM, as published", "LPIPS")[: len(names) + 1]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for title, region in (("face", "face"), ("whole person", "person")):
        lines.append(f"| {title} | {' | '.join(shown(name, scores.mean(f'{region}.{name}')) for name in names)} |")
    return lines


def shown(name: str, value: float | None) -> str:
    """A figure with as many digits as mean something."""
    if value is None:
        return "-"
    digits = {"psnr": 2, "l1": 4, "ssim": 3, "ssim_published": 4, "lpips": 4}.get(name, 2)
    return f"{value:.{digits}f}"


def means(scores: HeadScores) -> dict[str, float | None]:
    """All means by name, "face.psnr" and the like."""
    regions = [f"{region}.{name}" for region in ("face", "person") for name in PICTURE_FIGURES]
    return {name: scores.mean(name) for name in (*regions, *FRAME_FIGURES)}


def finite(value: Any) -> Any:
    """Nested figures for JSON, which knows no infinity: null."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _expression(scores: HeadScores) -> str:
    if not scores.count("expression"):
        return ""
    return (
        f"Expression error {shown('', scores.mean('expression'))} px at 256 in {scores.count('expression')} frames; "
        f"the detector's own error is {shown('', scores.mean('floor'))} px."
    )


def _others(scores: HeadScores) -> str:
    return f"Overlap with the mask {scores.mean('iou') or 0.0:.3f}; {scores.seconds:.2f} s a frame."


def _seen_before(avatar: HeadAvatar, dataset: VideoDataset, frames: Sequence[int]) -> tuple[str, ...]:
    """A warning when pictures of these names were fitted to."""
    known = set(avatar.info.names)
    same = sum(dataset.frames[number].image in known for number in frames)
    if same == 0:
        return ()
    return (
        f"The head was fitted to {same} pictures of the same names. If this is the same video, the figures flatter the "
        "head: fit it with `avatars fit-video ... --evaluate`, which holds the last fifth out.",
    )
