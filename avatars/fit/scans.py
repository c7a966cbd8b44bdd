"""From raw scans of one person to an avatar file: read, register, fit, save; resumable at any moment."""

import dataclasses
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from avatars.fit.loop import LoopOptions, make_fabric, optimise
from avatars.fit.options import load_preset
from avatars.fit.pools import build_pools
from avatars.fit.progress import Progress
from avatars.fit.scan_method import PosedSnarf, ScanMethod
from avatars.models import Avatar, AvatarInfo, save, snarf_from_body
from body_models import InputError, load_anny, load_poses, retarget
from data_prep.atomic import replacing
from data_prep.dataset import ScanDataset, is_complete, read_dataset, write_dataset
from data_prep.registration import Registration, register, register_known_poses
from data_prep.scans import Scan, load_scans


@dataclass(frozen=True)
class Job:
    """What a work folder was made for; a resumed run must ask for the same."""

    source: str
    poses: str | None
    preset: str
    seed: int
    steps: int
    unit: str
    up: str


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
    they are found by registration. Work goes on in `<out>.work`: the registered dataset, checkpoints and tensorboard
    curves, from which `resume` continues after an interruption. Raises InputError for input that cannot be used.
    """
    out = Path(out)
    options = load_preset(preset)
    options = options if steps is None else dataclasses.replace(options, steps=_checked_steps(steps))
    target = make_fabric(device).device
    work = out.with_name(out.name + ".work")
    job = Job(str(source), None if poses is None else str(poses), preset, seed, options.steps, unit, up)
    _prepare_work(work, job, resume)
    started = time.monotonic()
    with Progress(quiet) as progress:
        dataset = _dataset(job, work / "dataset", progress)
        _report(dataset, progress)
        torch.manual_seed(seed)
        snarf = snarf_from_body(dataset.body, options.snarf)
        module = PosedSnarf(snarf, dataset.poses, dataset.translations).to(target)
        pools = build_pools(dataset.scans, options, seed).to(target)
        method = ScanMethod(module, dataset.body, pools, options, dataset.exact_poses)
        loop = LoopOptions(options.steps, seed, device, options.rates.final, options.clip)
        optimise(method, loop, work, resume, progress)
        info = AvatarInfo(dataset.names, dataset.body_model, dataset.notes)
        avatar = Avatar(snarf, module.poses.detach(), module.translations.detach(), info)
        save(avatar, out)
        progress.say(f"Avatar written to {out} after {time.monotonic() - started:.0f} s; working files are in {work}.")
    return avatar


def _checked_steps(steps: int) -> int:
    if steps < 1:
        raise InputError(f"--steps must be at least 1, got {steps}.")
    return steps


def _prepare_work(work: Path, job: Job, resume: bool) -> None:
    """Start a fresh work folder, or check that the one to resume was made for the same job."""
    record = work / "job.json"
    if resume and record.is_file():
        before = json.loads(record.read_text(encoding="utf-8"))
        changed = [name for name, value in dataclasses.asdict(job).items() if before.get(name) != value]
        if changed:
            raise InputError(
                f"'{work}' was started with other settings ({', '.join(changed)} differ). Resume with the same ones, "
                "or leave `--resume` away to start anew."
            )
        return
    if work.exists() and not record.is_file() and any(work.iterdir()):
        raise InputError(f"'{work}' exists and holds other files. Move it away or choose another `--out`.")
    if work.exists():
        shutil.rmtree(work)
    with replacing(record) as temporary:
        temporary.write_text(json.dumps(dataclasses.asdict(job), indent=2), encoding="utf-8")


def _dataset(job: Job, folder: Path, progress: Progress) -> ScanDataset:
    """The registered scans, from the work folder where an earlier run left them."""
    if is_complete(folder):
        return read_dataset(folder)
    loaded = load_scans(job.source, unit=job.unit, up=job.up)
    progress.say(f"{len(loaded.scans)} scans read from {job.source}.")
    for note in loaded.notes:
        progress.say(f"  {note}")
    if job.poses is None:
        found = register(load_anny(), loaded.scans, job.seed, progress.stage)
    else:
        found = register_with_poses(loaded.scans, job.poses, job.seed, progress)
    by_name = {scan.name: scan for scan in loaded.scans}
    dataset = ScanDataset(
        body=found.body,
        names=found.names,
        poses=found.poses,
        translations=found.translations,
        residuals_mm=found.residuals_mm,
        scans=[by_name[name] for name in found.names],
        skipped=(*loaded.skipped, *found.failed),
        notes=tuple(loaded.notes),
        exact_poses=job.poses is not None and load_poses(job.poses).body_model == load_anny().name,
    )
    write_dataset(dataset, folder)
    return dataset


def register_with_poses(scans: list[Scan], poses: Path | str, seed: int, progress: Progress) -> Registration:
    """Poses that the user knows: kept exactly when they are the free body's, else retargeted and refined."""
    known = load_poses(poses)
    if len(known.motion) != len(scans):
        raise InputError(
            f"'{poses}' holds {len(known.motion)} poses, but there are {len(scans)} scans. Give one pose a scan, in "
            "the order of the scans' names."
        )
    model = load_anny()
    if known.body_model == model.name and known.betas is not None:
        progress.say(f"Poses taken from {poses}.")
        motion = known.motion
        return register_known_poses(model, scans, motion.rotations, motion.translations, known.betas, seed)
    progress.say(
        f"Poses of a {known.body_model} body from {poses}: brought over to {model.name}, refined on the scans."
    )
    hints = retarget(known.motion, model.body()).rotations
    return register(model, scans, seed, progress.stage, hints)


def _report(dataset: ScanDataset, progress: Progress) -> None:
    for name, residual in zip(dataset.names, dataset.residuals_mm.tolist(), strict=True):
        progress.say(f"  {name}: registered body within {residual:.1f} mm of the scan on average")
    for name, reason in dataset.skipped:
        progress.say(f"  {name}: LEFT OUT, {reason}")
