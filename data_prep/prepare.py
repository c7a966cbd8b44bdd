"""From a video to a dataset, the whole way; resumable at any moment."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

from body_models.errors import InputError
from body_models.load import load_body_model
from data_prep.body_video.prepare import prepare_body
from data_prep.video.frame_source import FrameOptions, VideoInfo
from data_prep.video.frames import open_frames
from data_prep.video.head import prepare_head
from data_prep.video.job import Job, close_work, open_work
from data_prep.video.own_inputs import read_landmarks, read_masks
from data_prep.video.run import PrepareOptions, Run
from data_prep.video_dataset import VideoDataset

HEAD_MODELS = ("anny-head", "flame", "ict")
BODY_MODELS = ("anny", "smpl", "smplh", "smplx")
SMALLEST, LARGEST = 64, 2048


def _silent(*_: object) -> None:
    """Reports nothing."""


def prepare_video(
    source: Path | str,
    out: Path | str,
    options: PrepareOptions | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    say: Callable[[str], None] = _silent,
    progress: Callable[[str, int, int], None] = _silent,
) -> VideoDataset:
    """Turn a video, or a folder of pictures, of one person into the dataset folder `out`.

    Faces (or the body) are detected, a crop is chosen, pictures and masks are written, the model is tracked through
    all frames, and a report to look at is added. Interrupted work with the same options is gone on with. `say` gets
    lines of text, `progress` the name of a stage, the steps done and their number. Raises InputError for input that
    cannot be used, as soon as that is known.
    """
    source, out = Path(source), Path(out)
    options = checked_options(options or PrepareOptions())
    frames = open_frames(source, FrameOptions(options.start, options.end, options.fps))
    _check_own_input(options, frames.info)
    model = load_body_model(options.model or "")  # before any work is begun: its files may be missing
    settings = {name: _plain(value) for name, value in dataclasses.asdict(options).items()}
    work, continuing = open_work(out, Job.of(source, settings), resume, overwrite)
    if continuing:
        say(f"Going on with the work in {work}.")
    run = Run(frames, out, work, options, model, say, progress)
    dataset = prepare_body(run) if options.body else prepare_head(run)
    close_work(out)
    for note in frames.notes:
        say(note)
    return dataset


def checked_options(options: PrepareOptions) -> PrepareOptions:
    """The options with the default model filled in; raises InputError for those that cannot be."""
    known = BODY_MODELS if options.body else HEAD_MODELS
    model = options.model or known[0]
    if model not in known:
        other = "drop --body" if options.body else "add --body"
        hint = f"; for {model} {other}" if model in HEAD_MODELS + BODY_MODELS else ""
        raise InputError(f"Unknown model '{model}' to track; use {', '.join(known)}{hint}.")
    if not SMALLEST <= options.size <= LARGEST:
        raise InputError(f"--size {options.size} is not in {SMALLEST} to {LARGEST} pixels; 512 is usual, 256 is quick.")
    if options.crop not in ("auto", "none"):
        raise InputError(f"Unknown --crop '{options.crop}'; use auto or none.")
    if options.focal is not None and not (math.isfinite(options.focal) and options.focal > 0):
        raise InputError(f"--focal {options.focal} is no focal length; give it in pixels, such as 800.")
    if options.body and options.landmarks is not None:
        raise InputError("--landmarks are a face's; drop them, or drop --body.")
    return dataclasses.replace(options, model=model)


def _check_own_input(options: PrepareOptions, info: VideoInfo) -> None:
    """Raise InputError for landmarks or masks that cannot be used, before any work is done."""
    if options.landmarks is not None:
        read_landmarks(options.landmarks, info.frame_count, info.width, info.height)
    if options.masks is not None:
        read_masks(options.masks, info.frame_count, info.width, info.height)


def _plain(value: object) -> object:
    return str(value.absolute()) if isinstance(value, Path) else value
