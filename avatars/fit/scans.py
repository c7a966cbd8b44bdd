"""From raw scans of one person to an avatar file: read, register, fit, save; resumable at any moment."""

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from avatars.fields.surface_colour import SurfaceColour
from avatars.fit.loop import LoopOptions, make_fabric, optimise
from avatars.fit.options import ColourOptions, FitOptions, check_seed, load_preset
from avatars.fit.painting import paint, painting_steps
from avatars.fit.pools import build_pools
from avatars.fit.progress import Progress
from avatars.fit.scan_method import PosedSnarf, ScanMethod
from avatars.fit.work import Job, check_out, check_work, start_work
from avatars.models import Avatar, AvatarInfo, save, snarf_from_body
from body_models import BodyModel, InputError, Poses, load_anny, load_poses, retarget
from data_prep.dataset import ScanDataset, is_complete, read_dataset, write_dataset
from data_prep.registration import Registration, register, register_known_poses
from data_prep.scans import Scan, ScanFolder, load_scans

Finder = Callable[[list[Scan]], Registration]
"""Registers scans of one person."""


def fit_scans(
    source: Path | str,
    out: Path | str,
    *,
    poses: Path | str | None = None,
    preset: str = "fast",
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    unit: str = "auto",
    up: str = "auto",
    steps: int | None = None,
    quiet: bool = False,
) -> Avatar:
    """Fit an avatar to a folder of scans of one person, one pose each, and write it to the file `out`.

    `poses` (an npz, see `body_models.load_poses`) gives known poses in the order of the scans' names; otherwise
    they are found by registration. Colours of scans, at vertices or in textures, become the avatar's. Work goes on in
    `<out>.work`: the registered dataset, checkpoints and tensorboard curves, from which `resume` continues after an
    interruption. Raises InputError for input that cannot be used, and before the long work for a place that cannot be
    written.
    """
    out = Path(out)
    check_out(out)
    check_seed(seed)
    options = load_preset(preset)
    options = options if steps is None else dataclasses.replace(options, steps=_checked_steps(steps))
    target = make_fabric(device).device
    work = out.with_name(out.name + ".work")
    known = None if poses is None else str(Path(poses))
    job = Job(str(Path(source)), known, preset, seed, options.steps, unit, up, _lasting(options))
    started = time.monotonic()
    continuing = check_work(work, job, resume)
    loaded = _load(
        job, continuing and is_complete(work / "dataset"), options.colours.samples
    )  # before earlier work is cleared away
    if not continuing:
        start_work(work, job)
    with Progress(quiet) as progress:
        dataset = registered(job, loaded, work / "dataset", progress)
        torch.manual_seed(seed)
        snarf = snarf_from_body(dataset.body, options.snarf)
        module = PosedSnarf(snarf, dataset.poses, dataset.translations).to(target)
        pools = build_pools(dataset.scans, options, seed).to(target)
        method = ScanMethod(module, dataset.body, pools, options, dataset.exact_poses)
        loop = LoopOptions(options.steps, seed, device, options.rates.final, options.clip)
        optimise(method, loop, work, resume, progress)
        info = AvatarInfo(dataset.names, dataset.body_model, dataset.notes)
        avatar = Avatar(snarf, module.poses.detach(), module.translations.detach(), info)
        avatar.colour = painted(avatar, dataset.scans, options.colours, progress)
        save(avatar, out)
        progress.say(f"Avatar written to {out} after {time.monotonic() - started:.0f} s; working files are in {work}.")
    return avatar


def _checked_steps(steps: int) -> int:
    if steps < 1:
        raise InputError(f"--steps must be at least 1, got {steps}.")
    return steps


def _lasting(options: FitOptions) -> dict[str, Any]:
    """The settings that a resumed run must share (colours come after all steps), as JSON gives them back."""
    settings = dataclasses.asdict(options)
    del settings["rates"], settings["colours"]
    kept: dict[str, Any] = json.loads(json.dumps(settings))
    return kept


def painted(avatar: Avatar, scans: list[Scan], options: ColourOptions, progress: Progress) -> SurfaceColour | None:
    """The colours of a fitted avatar, from its scans in their order; None when none has any."""
    steps = painting_steps(scans)
    if not steps:
        return None
    task = progress.start("painting the avatar", steps)
    colour = paint(avatar, scans, options, lambda: progress.advance(task))
    progress.finish(task)
    return colour


def _load(job: Job, registered: bool, colours: int) -> ScanFolder | None:
    """The scans, unless an earlier run has registered them; a poses file that cannot be read is found out too."""
    if registered:
        return None
    if job.poses is not None:
        load_poses(job.poses)
    return load_scans(job.source, unit=job.unit, up=job.up, colours=colours)


def registered(
    job: Job, loaded: ScanFolder | None, folder: Path, progress: Progress, find: Finder | None = None
) -> ScanDataset:
    """The registered scans, from the work folder where an earlier run left them; `find` registers otherwise."""
    dataset = read_dataset(folder) if loaded is None else _dataset(job, loaded, folder, progress, find)
    for name, residual in zip(dataset.names, dataset.residuals_mm.tolist(), strict=True):
        progress.say(f"  {name}: registered body within {residual:.1f} mm of the scan on average")
    for name, reason in dataset.skipped:
        progress.say(f"  {name}: LEFT OUT, {reason}")
    return dataset


def _dataset(job: Job, loaded: ScanFolder, folder: Path, progress: Progress, find: Finder | None) -> ScanDataset:
    progress.say(f"{len(loaded.scans)} scan{'s' * (len(loaded.scans) != 1)} read from {job.source}.")
    for note in loaded.notes:
        progress.say(f"  {note}")
    if find is not None:
        found = find(loaded.scans)
    elif job.poses is None:
        found = register(load_anny(), loaded.scans, job.seed, progress.stage)
    else:
        found = register_with_poses(loaded.scans, job.poses, job.seed, progress, loaded.skipped)
    for note in found.notes:
        progress.say(f"  {note}")
    by_name = {scan.name: scan for scan in loaded.scans}
    dataset = ScanDataset(
        body=found.body,
        names=found.names,
        poses=found.poses,
        translations=found.translations,
        residuals_mm=found.residuals_mm,
        scans=[by_name[name] for name in found.names],
        skipped=(*loaded.skipped, *found.failed),
        notes=(*loaded.notes, *found.notes),
        exact_poses=job.poses is not None and _are_exact(load_poses(job.poses), load_anny()),
    )
    write_dataset(dataset, folder)
    return dataset


def register_with_poses(
    scans: list[Scan], poses: Path | str, seed: int, progress: Progress, skipped: Sequence[tuple[str, str]] = ()
) -> Registration:
    """Poses that the user knows: kept exactly when they are the free body's, else retargeted and refined.

    Raises InputError when there is not one pose a scan; `skipped` (file, reason) are the files that gave no scan.
    """
    known = load_poses(poses)
    if len(known.motion) != len(scans):
        raise InputError(
            f"'{poses}' holds {len(known.motion)} poses, but there are {len(scans)} scans. Give one pose a scan, in "
            f"the order of the scans' names.{left_out(skipped)}"
        )
    model = load_anny()
    if known.betas is not None and _are_exact(known, model):
        progress.say(f"Poses taken from {poses}.")
        motion = known.motion
        return register_known_poses(model, scans, motion.rotations, motion.translations, known.betas, seed)
    progress.say(
        f"Poses of a {known.body_model} body from {poses}: brought over to {model.name}, refined on the scans."
    )
    hints = retarget(known.motion, model.body()).rotations
    return register(model, scans, seed, progress.stage, hints)


def _are_exact(poses: Poses, model: BodyModel) -> bool:
    """Whether the poses are of the free body itself and come with its shape, so that there is nothing to find."""
    return poses.body_model == model.name and poses.betas is not None


def left_out(skipped: Sequence[tuple[str, str]]) -> str:
    """What to add to the complaint that poses and scans differ in number, when files could not be used."""
    if not skipped:
        return ""
    files = "; ".join(f"{name} ({reason})" for name, reason in skipped)
    return f" Not counted, since they cannot be used: {files}. Mend them, or take their poses out too."
