"""From a video of one person to a head that can be driven: prepare, fit, save; resumable at any moment."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import torch

from avatars.fit.carve import carve_start
from avatars.fit.loop import make_fabric
from avatars.fit.nerface_method import NerfaceMethod, TrackedNerface, nerface_from_head
from avatars.fit.options import check_range, check_seed
from avatars.fit.progress import Progress
from avatars.fit.video_frames import Split, check_tracks, checked_body, split_frames
from avatars.fit.video_method import TrackedImavatar, VideoMethod
from avatars.fit.video_options import LARGEST, SMALLEST, VideoFitOptions, load_video_preset
from avatars.fit.video_rays import load_pictures
from avatars.fit.video_report import Likeness, likeness, view_of
from avatars.fit.video_safely import optimise_safely
from avatars.fit.work import Job, check_out, check_work, start_work
from avatars.models.avatar import AvatarInfo
from avatars.models.file import save
from avatars.models.head_avatar import HeadAvatar, HeadTracks
from avatars.models.head_prior import HeadPrior
from avatars.models.head_start import imavatar_from_prior
from body_models import InputError
from data_prep.other_datasets import read_any_dataset
from data_prep.prepare import prepare_video
from data_prep.video.frames import open_frames
from data_prep.video.image_folder import SUFFIXES
from data_prep.video_dataset import VideoDataset
from data_prep.video_dataset_files import INDEX, TRACKS

MARKS = (INDEX, TRACKS, "flame_params.json", "transforms.json", "frames")
"""What a dataset's folder holds, and a folder of pictures does not."""


def fit_video(
    source: Path | str,
    out: Path | str,
    *,
    preset: str = "fast",
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    steps: int | None = None,
    size: int | None = None,
    evaluate: bool = False,
    quiet: bool = False,
) -> HeadAvatar:
    """Fit a head to a video of one person, or to a tracked dataset of one, and write it to the file `out`.

    A video is prepared first (`data_prep.prepare_video`). `size` is the longer side of the pictures that are fitted to
    (pixels). With `evaluate` the end of the video is held out and the likeness there is told. Work goes on in
    `<out>.work`, from where `resume` continues after an interruption. A fit that loses its numbers or its surface goes
    back to its last checkpoint with half the step sizes. Raises InputError for input that cannot be used.
    """
    source, out = Path(source), Path(out)
    check_out(out)
    check_seed(seed)
    options = _options(preset, steps, size, evaluate)
    target = make_fabric(device).device
    work = out.with_name(out.name + ".work")
    job = Job(str(source), None, preset, seed, options.steps, "m", "y", _lasting(options))
    started = time.monotonic()
    dataset = read_any_dataset(source) if _is_dataset(source) else None
    if dataset is None:  # all this before earlier work is cleared away
        open_frames(source)
    else:
        split_frames(dataset, options)
        checked_body(dataset)
    cleared = work.exists()
    if check_work(work, job, resume):
        cleared = False
    else:
        start_work(work, job)
    with Progress(quiet) as progress:
        if cleared:
            progress.say(f"Earlier work in {work} was cleared; `--resume` would have gone on with it.")
        dataset = dataset or _prepared(source, work / "dataset", progress)
        split = split_frames(dataset, options)
        method = fit_method(dataset, split, options, target, seed, progress)
        optimise_safely(method, seed, device, work, resume, progress)
        avatar = _avatar(method, dataset, split)
        if split.test:
            found = held_out_likeness(avatar, dataset, split, options)
            progress.say(
                f"Held-out frames: {found.psnr:.1f} dB over the whole person, overlap with the mask {found.iou:.3f}; "
                "`avatars evaluate` tells of the face alone."
            )
        save(avatar, out)
        progress.say(f"Avatar written to {out} after {time.monotonic() - started:.0f} s; working files are in {work}.")
    return avatar


def held_out_likeness(avatar: HeadAvatar, dataset: VideoDataset, split: Split, options: VideoFitOptions) -> Likeness:
    """How like the held-out frames the head is, posed as they were tracked."""
    some = dataset.subset(split.test)
    pictures = load_pictures(some, options.size)
    return likeness(view_of(avatar), some.poses, some.translations, some.expressions, pictures)


def _options(preset: str, steps: int | None, size: int | None, evaluate: bool) -> VideoFitOptions:
    options = load_video_preset(preset)
    if steps is not None:
        check_range("--steps", steps, 1)
        options = dataclasses.replace(options, steps=steps)
    if size is not None:
        check_range("--size", size, SMALLEST, LARGEST)
        options = dataclasses.replace(options, size=size)
    return options if evaluate else dataclasses.replace(options, hold_out=0.0)


def _lasting(options: VideoFitOptions) -> dict[str, Any]:
    """The settings that a resumed run must share, as JSON gives them back."""
    settings = dataclasses.asdict(options)
    del settings["rates"]
    kept: dict[str, Any] = json.loads(json.dumps(settings))
    return kept


def _is_dataset(source: Path) -> bool:
    """Whether a folder is to be read as a dataset, not as the pictures of a video."""
    if not source.exists():
        raise InputError(f"No video or dataset at {source}; give a video, or a folder that `avatars prepare` wrote.")
    if not source.is_dir():
        return False
    marked = any((source / name).exists() for name in MARKS)
    return marked or not any(path.suffix.lower() in SUFFIXES for path in source.iterdir())


def _prepared(source: Path, folder: Path, progress: Progress) -> VideoDataset:
    """The video's dataset, from the work folder where an earlier run finished it."""
    if (folder / INDEX).is_file():
        return read_any_dataset(folder)
    prepare_video(source, folder, say=progress.say, progress=progress.stage)
    return read_any_dataset(folder)


def fit_method(
    dataset: VideoDataset, split: Split, options: VideoFitOptions, device: torch.device, seed: int, progress: Progress
) -> VideoMethod | NerfaceMethod:
    """The untrained head on its frames."""
    some = dataset.subset(split.train)
    body = checked_body(dataset)
    title = "reading the pictures"
    pictures = load_pictures(some, options.size, lambda done, total: progress.stage(title, done, total))
    check_tracks(some, body, pictures)
    progress.say(f"{len(some)} frames of {dataset.model}, {pictures.size[1]} x {pictures.size[0]} pixels.")
    torch.manual_seed(seed)
    if options.method == "nerface":
        volume = nerface_from_head(body, options.nerface, options.imavatar)
        tracked = TrackedNerface(volume, some.poses, some.translations, some.expressions).to(device)
        return NerfaceMethod(tracked, pictures, options, progress.say)
    prior = HeadPrior(body.to(device), options.imavatar.ghost)
    model = imavatar_from_prior(prior, options.imavatar, some.poses, options.supervised)
    model.colour.limit_to(model.condition(some.poses, some.expressions))
    module = TrackedImavatar(model, some.poses, some.translations, some.expressions).to(device)
    carve_start(module, prior, pictures)
    return VideoMethod(module, prior, pictures, options, progress.say)


def _avatar(method: VideoMethod | NerfaceMethod, dataset: VideoDataset, split: Split) -> HeadAvatar:
    """The fitted head with the corrected tracks of the frames that it was fitted to."""
    poses, translations, expressions = (values.detach().clone() for values in method.module.corrected())
    names = dataset.expression_names if len(dataset.expression_names) == expressions.shape[1] else ()
    tracks = HeadTracks(poses, translations, expressions, names, dataset.frame_rate, dataset.camera(split.train[0]))
    frames = tuple(dataset.frames[number].image for number in split.train)
    return method.avatar(tracks, AvatarInfo(frames, dataset.model, dataset.notes))
