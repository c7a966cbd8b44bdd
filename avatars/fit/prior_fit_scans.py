"""From a few scans of a person, or a depth picture, to an avatar by way of a prior: read, fit, tune, paint."""

import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from avatars.fit.loop import LoopOptions, make_fabric, optimise
from avatars.fit.options import ColourOptions, check_seed
from avatars.fit.prior_fit import PriorFit, body_model_of, fit_to_prior
from avatars.fit.prior_fit_depth import read_depth
from avatars.fit.prior_fit_options import PriorFitOptions
from avatars.fit.prior_fit_points import SeenScan
from avatars.fit.prior_fit_tuning import Posed, tuning_method
from avatars.fit.progress import Progress
from avatars.fit.scans import Finder, painted, registered
from avatars.fit.work import Job, check_out, check_work, start_work
from avatars.models import Avatar, AvatarInfo, save
from avatars.models.person_file import prior_mark, write_codes
from avatars.models.prior_file import load_prior
from body_models import BodyModel, InputError, load_poses
from data_prep.dataset import is_complete
from data_prep.registration import Registration, register
from data_prep.registration.partial import OPEN, openness, register_partial
from data_prep.registration.register import scan_surface
from data_prep.scans import Scan, ScanFolder, load_scans

RESOLUTION = 256
"""Cells along the longest side of the surface from which the avatar is made."""


@dataclass(frozen=True)
class PriorSource:
    """What a prior is fitted to, and what is known of it."""

    path: Path
    """Scans of one person, or a depth picture (.npy, .png) if there is a camera."""
    poses: Path | None = None
    """Known poses of the scans."""
    partial: bool = False
    """The scans show parts of the person; noticed by itself where meshes are wide open."""
    camera: Path | None = None
    """The depth picture's camera."""
    normals: Path | None = None
    """A normal map of the depth picture."""
    unit: str = "auto"
    up: str = "auto"

    def __post_init__(self) -> None:
        if self.camera is None and self.normals is not None:
            raise InputError(f"Normals '{self.normals}' belong to a depth picture: give its --camera too.")
        if self.poses is not None and (self.partial or self.camera is not None):
            raise InputError("Known poses are used for whole scans only: leave --poses or --partial and --camera away.")

    def stored(self) -> dict[str, str | bool | None]:
        """As JSON takes it."""
        return {name: str(v) if isinstance(v, Path) else v for name, v in vars(self).items()}


@dataclass(frozen=True)
class _Loaded:
    """Scans with what their files told besides."""

    folder: ScanFolder
    seen: dict[str, SeenScan]

    @property
    def partial(self) -> bool:
        """Whether any of them shows a part of the person only."""
        return any(one.partial for one in self.seen.values())


def fit_scans_to_prior(
    source: PriorSource,
    out: Path | str,
    *,
    prior: Path | None = None,
    finetune: bool = True,
    options: PriorFitOptions | None = None,
    colours: ColourOptions | None = None,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    quiet: bool = False,
) -> Avatar:
    """Fit a prior's codes, build and poses to a few scans, whole or in part, and write the person's avatar to `out`.

    The codes go to a .person.json beside it. `finetune` then fits the avatar itself to what was scanned. Colours of the
    scans become the avatar's; what no scan shows takes on what lies around it. The prior that comes with the package is
    used unless another is given. Work goes on in `<out>.work`, from which `resume` continues. Raises InputError for
    input that cannot be used, and before the long work for a place that cannot be written.
    """
    out, options, started = Path(out), options or PriorFitOptions(), time.monotonic()
    colours = colours or ColourOptions()
    check_out(out)
    check_seed(seed)
    people = load_prior(prior, make_fabric(device).device)
    model, mark = body_model_of(people), prior_mark(people)
    work = out.with_name(out.name + ".work")
    job = _job(source, options, seed, mark, finetune)
    continuing = check_work(work, job, resume)
    loaded = _load(source, colours.samples)
    if not continuing:
        start_work(work, job)
    with Progress(quiet) as progress:
        find = _finder(loaded, model, source, seed, progress)
        known = continuing and is_complete(work / "dataset")
        dataset = registered(job, None if known else loaded.folder, work / "dataset", progress, find)
        seen = [loaded.seen[name] for name in dataset.names]
        posed = Posed(dataset.poses, dataset.translations, dataset.exact_poses)
        fit = fit_to_prior(people, seen, dataset.body, posed, work, progress, options, seed, resume)
        notes = (f"Begun at a prior of {people.card.people} people.", *dataset.notes)
        torch.manual_seed(seed)
        avatar = _avatar(fit, AvatarInfo(dataset.names, dataset.body_model, notes))
        if finetune:
            avatar = _tuned(avatar, fit, seen, options, seed, work, resume, progress)
        avatar.colour = painted(avatar, [one.scan for one in seen], colours, progress)
        write_codes(fit.person, codes_file(out), mark)
        save(avatar, out)
        progress.say(f"Avatar written to {out} after {time.monotonic() - started:.0f} s; working files are in {work}.")
    return avatar


def codes_file(out: Path) -> Path:
    """Where the codes of an avatar's person lie: alice.person.json for alice.avatar."""
    return out.with_name(f"{out.stem}.person.json")


def _avatar(fit: PriorFit, info: AvatarInfo) -> Avatar:
    """The person as an avatar with the scans' poses as its training poses."""
    drawn = fit.person.avatar(resolution=RESOLUTION)
    return Avatar(drawn.model, fit.posed.poses, fit.posed.translations, info)


def _tuned(
    avatar: Avatar,
    fit: PriorFit,
    seen: list[SeenScan],
    options: PriorFitOptions,
    seed: int,
    work: Path,
    resume: bool,
    progress: Progress,
) -> Avatar:
    """The avatar fitted to the scans themselves."""
    method = tuning_method(avatar, fit.person.body(RESOLUTION), fit.posed, seen, fit.evidence, options)
    loop = LoopOptions(options.tuning_steps, seed, avatar.device.type, options.final)
    optimise(method, loop, work / "avatar", resume, progress, title="tuning the avatar")
    return Avatar(method.module.snarf, method.module.poses.detach(), method.module.translations.detach(), avatar.info)


def _job(source: PriorSource, options: PriorFitOptions, seed: int, mark: str, finetune: bool) -> Job:
    settings = {**dataclasses.asdict(options), **source.stored(), "prior": mark, "finetune": finetune}
    poses = None if source.poses is None else str(source.poses)
    kept = json.loads(json.dumps(settings))
    return Job(str(source.path), poses, "prior", seed, options.steps, source.unit, source.up, kept)


def _load(source: PriorSource, colours: int) -> _Loaded:
    """The scans; a poses file that cannot be read is found out too."""
    if source.camera is not None:
        picture = read_depth(source.path, source.camera, source.normals)
        seen = SeenScan(picture.scan, True, picture.eye, picture.normals)
        return _Loaded(ScanFolder([picture.scan], [], []), {picture.scan.name: seen})
    if source.poses is not None:
        load_poses(source.poses)
    folder = load_scans(source.path, source.unit, source.up, colours=colours)
    return _Loaded(folder, {scan.name: SeenScan(scan, source.partial or _is_open(scan)) for scan in folder.scans})


def _is_open(scan: Scan) -> bool:
    return openness(scan_surface(scan)) > OPEN


def _finder(loaded: _Loaded, model: BodyModel, source: PriorSource, seed: int, progress: Progress) -> Finder | None:
    """How the scans are registered; None leaves known poses to the usual way."""
    if source.poses is not None:
        return None
    way = register_partial if loaded.partial else register

    def find(scans: list[Scan]) -> Registration:
        return way(model, scans, seed, progress.stage)

    return find
