"""From a video of one person to a head that can be driven: prepare, fit, save; resumable at any moment."""

import dataclasses
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from avatars.fit.carve import carve_start
from avatars.fit.loop import LoopOptions, make_fabric, optimise
from avatars.fit.nerface_method import NerfaceMethod, TrackedNerface, nerface_from_head
from avatars.fit.options import check_range, check_seed
from avatars.fit.progress import Progress
from avatars.fit.video_method import TrackedImavatar, VideoMethod
from avatars.fit.video_options import LARGEST, SMALLEST, VideoFitOptions, load_video_preset
from avatars.fit.video_rays import LEAST, Pictures, check_masks, load_pictures
from avatars.fit.video_report import Likeness, likeness
from avatars.fit.video_surface import Diverged
from avatars.fit.work import Job, check_out, check_work, start_work
from avatars.models.avatar import AvatarInfo
from avatars.models.file import save
from avatars.models.head_avatar import HeadAvatar, HeadTracks
from avatars.models.head_prior import HeadPrior
from avatars.models.head_start import imavatar_from_prior
from body_models import Body, InputError
from data_prep.atomic import replacing
from data_prep.other_datasets import read_any_dataset
from data_prep.prepare import prepare_video
from data_prep.video.image_folder import SUFFIXES
from data_prep.video_dataset import VideoDataset
from data_prep.video_dataset_files import INDEX, TRACKS

MOST_ROLLBACKS = 3
"""A fit that diverges is taken up again from its last checkpoint, with half the step sizes, this often."""
CHECKPOINT_EVERY = 100
"""Steps between checkpoints, about: they fall together with a new proxy mesh."""
EVALUATED = 24
"""Most held-out frames that are rendered."""
LOOKED_AT = 12
"""Frames, about, in which the tracked head is compared with the masks before the fit."""
BESIDE = 0.1
"""Least share of the tracked head's vertices that must lie on the person, in the mean."""
MARKS = (INDEX, TRACKS, "flame_params.json", "transforms.json", "frames")
"""What a dataset's folder holds, and a folder of pictures does not."""


@dataclass(frozen=True)
class Split:
    """Numbers of the dataset's frames that are fitted to, and of those held out."""

    train: tuple[int, ...]
    test: tuple[int, ...]


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
    if dataset is not None:  # before earlier work is cleared away
        split_frames(dataset, options)
        checked_body(dataset)
    if not check_work(work, job, resume):
        start_work(work, job)
    with Progress(quiet) as progress:
        dataset = dataset or _prepared(source, work / "dataset", progress)
        split = split_frames(dataset, options)
        method = _method(dataset, split, options, target, seed, progress)
        optimise_safely(method, seed, device, work, resume, progress)
        if split.test:
            found = held_out_likeness(method.module, dataset, split, options)
            progress.say(f"Held-out frames: {found.psnr:.1f} dB inside the mask, overlap with it {found.iou:.3f}.")
        avatar = _avatar(method, dataset, split)
        save(avatar, out)
        progress.say(f"Avatar written to {out} after {time.monotonic() - started:.0f} s; working files are in {work}.")
    return avatar


def held_out_likeness(
    module: TrackedImavatar | TrackedNerface, dataset: VideoDataset, split: Split, options: VideoFitOptions
) -> Likeness:
    """How like the held-out frames the head is, posed as they were tracked."""
    some, device = dataset.subset(split.test), module.poses.device
    pictures = load_pictures(some, options.size)
    tracks = (some.poses.to(device), some.translations.to(device), some.expressions.to(device))
    return likeness(module.model, *tracks, pictures)


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
    train, test = _thinned(train, options.frames), _thinned(test, EVALUATED)
    if len(train) < LEAST:
        apart = f" ({held} held out)" if held else ""
        raise InputError(
            f"{len(train)} of {len(dataset)} frames can be fitted to{apart}: a head needs {LEAST} at least, and wants "
            "hundreds in which it turns and talks. Prepare a longer video."
        )
    check_masks(dataset.subset([*train, *test]))
    return Split(tuple(train), tuple(test))


def _thinned(frames: list[int], most: int) -> list[int]:
    if len(frames) <= most:
        return frames
    return [frames[round(place * (len(frames) - 1) / (most - 1))] for place in range(most)]


def _check_tracks(dataset: VideoDataset, body: Body, pictures: Pictures) -> None:
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


def _method(
    dataset: VideoDataset, split: Split, options: VideoFitOptions, device: torch.device, seed: int, progress: Progress
) -> VideoMethod | NerfaceMethod:
    """The untrained head on its frames."""
    some = dataset.subset(split.train)
    body = checked_body(dataset)
    title = "reading the pictures"
    pictures = load_pictures(some, options.size, lambda done, total: progress.stage(title, done, total))
    _check_tracks(some, body, pictures)
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


def optimise_safely(
    method: VideoMethod | NerfaceMethod, seed: int, device: str, work: Path, resume: bool, progress: Progress
) -> None:
    """Run the loop; where the fit diverges, go back to the last checkpoint with half the step sizes.

    Raises InputError when that has not helped `MOST_ROLLBACKS` times.
    """
    options, record = method.options, work / "rollbacks.json"
    every = options.refresh * max(1, round(CHECKPOINT_EVERY / options.refresh))
    loop = LoopOptions(options.steps, seed, device, options.rates.final, options.clip, every)
    start = {name: value.detach().clone() for name, value in method.module.state_dict().items()}
    halvings = _read_halvings(record) if resume else 0
    while True:
        method.restart(0.5**halvings)
        try:
            optimise(method, loop, work, resume, progress)
            method.check()
            return
        except InputError as error:
            if not isinstance(error, Diverged) and _is_finite(method.module):
                raise
            if halvings == MOST_ROLLBACKS:
                raise InputError(
                    f"The fit diverged again after {MOST_ROLLBACKS} retries with smaller steps: {error}. Look at the "
                    "dataset's overlay.mp4 and masks; if they are good, give a preset with lower `rates`."
                ) from error
            halvings += 1
            progress.say(f"The fit diverged: {error}. Going back to the last checkpoint with half the step sizes.")
        with replacing(record) as temporary:
            temporary.write_text(json.dumps({"halvings": halvings}), encoding="utf-8")
        method.module.load_state_dict(start)
        resume = True


def _read_halvings(record: Path) -> int:
    try:
        return min(MOST_ROLLBACKS, max(0, int(json.loads(record.read_text(encoding="utf-8"))["halvings"])))
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _is_finite(module: torch.nn.Module) -> bool:
    return all(bool(parameter.isfinite().all()) for parameter in module.parameters())


def _avatar(method: VideoMethod | NerfaceMethod, dataset: VideoDataset, split: Split) -> HeadAvatar:
    """The fitted head with the corrected tracks of the frames that it was fitted to."""
    poses, translations, expressions = (values.detach().clone() for values in method.module.corrected())
    names = dataset.expression_names if len(dataset.expression_names) == expressions.shape[1] else ()
    tracks = HeadTracks(poses, translations, expressions, names, dataset.frame_rate, dataset.camera(split.train[0]))
    frames = tuple(dataset.frames[number].image for number in split.train)
    return method.avatar(tracks, AvatarInfo(frames, dataset.model, dataset.notes))
