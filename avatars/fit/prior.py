"""From a dataset of many people to a prior of them: both stages, resumable, on one process or several."""

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from avatars.fit.detail_options import DetailStage
from avatars.fit.loop import LoopOptions, Method, make_fabric, optimise
from avatars.fit.options import check_seed
from avatars.fit.people_pools import PeoplePools
from avatars.fit.prior_detail import DetailedPeople, DetailMethod
from avatars.fit.prior_options import PriorOptions, ShapeStage, load_prior_preset
from avatars.fit.prior_seen import prepare_seen
from avatars.fit.prior_shape import CodedPeople, ShapeMethod, Share
from avatars.fit.progress import Progress
from avatars.fit.work import Job, check_out, check_work, start_work
from avatars.models.code_statistics import CodeStatistics
from avatars.models.gdna_start import CanonicalModel, start_prior
from avatars.models.prior import Prior, PriorCard
from avatars.models.prior_file import save_prior
from body_models import BodyModel, InputError, load_body_model
from data_prep.people import PeopleDataset, read_people


def train_prior(
    source: Path | str,
    out: Path | str,
    *,
    preset: str = "fast",
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    steps: int | None = None,
    detail_steps: int | None = None,
    held_out: int = 0,
    notes: Sequence[str] = (),
    quiet: bool = False,
) -> Prior:
    """Train a prior on a dataset of many people and write it to the file `out`: surfaces first, then wrinkles.

    The last `held_out` people are not trained on. Work goes on in `<out>.work`: a checkpoint and curves a stage, and
    where views meet the surfaces; `resume` continues from there. Under torchrun all processes share every step. Raises
    InputError for datasets and options that cannot be used, and before the long work for a place that cannot be
    written.
    """
    out = Path(out)
    check_out(out)
    check_seed(seed)
    options = _with_steps(load_prior_preset(preset), steps, detail_steps)
    dataset = read_people(source)
    chosen = _training_people(dataset, held_out)
    options.detail.discriminator(dataset.view_size)  # sizes that cannot be are told of now, not after the first stage
    fabric = make_fabric(device)
    work, started = out.with_name(out.name + ".work"), time.monotonic()
    job = Job(str(Path(source)), None, preset, seed, options.shape.steps, "m", "y", _lasting(options, chosen))
    resume = _begin(fabric, work, job, resume)
    model = body_model_of(dataset)
    with Progress(quiet or not fabric.is_global_zero) as progress:
        for name, reason in dataset.skipped:
            progress.say(f"  {name}: LEFT OUT, {reason}")
        progress.say(f"{len(chosen)} people with {sum(dataset.scan_counts[i] for i in chosen)} scans from {source}.")
        torch.manual_seed(seed)
        gdna = start_prior(model, options.model)
        people = CodedPeople(gdna, len(chosen), seed).to(fabric.device)
        pools = PeoplePools.of(dataset, chosen, gdna.space.betas).to(fabric.device)
        run = _Run(people, pools, dataset, chosen, options, seed, fabric, work, resume, progress)
        _train_shapes(run, model)
        _train_details(run)
        prior = _finished(run, notes)
        if fabric.is_global_zero:
            save_prior(prior, out)
        fabric.barrier()
        progress.say(f"Prior written to {out} after {time.monotonic() - started:.0f} s; working files are in {work}.")
    return prior


@dataclass(frozen=True)
class _Run:
    """What both stages share."""

    people: CodedPeople
    pools: PeoplePools
    dataset: PeopleDataset
    chosen: list[int]
    """Numbers of the people trained on, in the order of the pools."""
    options: PriorOptions
    seed: int
    fabric: Fabric
    work: Path
    resume: bool
    progress: Progress

    @property
    def share(self) -> Share:
        """This process's part of the work."""
        return Share(self.fabric.global_rank, self.fabric.world_size)

    def optimise(self, method: Method, stage: ShapeStage | DetailStage, name: str, title: str) -> None:
        """Take a stage's steps, in a folder of its own."""
        loop = LoopOptions(stage.steps, self.seed, "auto", stage.rates.final, stage.clip)
        optimise(method, loop, self.work / name, self.resume, self.progress, fabric=self.fabric, title=title)


def _train_shapes(run: _Run, model: BodyModel) -> None:
    people, stage = run.people, run.options.shape
    _check_batch(stage.people, len(run.pools), run.share)
    method = ShapeMethod(people, run.pools, CanonicalModel(model, people.gdna.space.betas), stage, run.share)
    run.optimise(method, stage, "shape", "learning shapes")
    people.requires_grad_(False)


def _train_details(run: _Run) -> None:
    stage = run.options.detail
    if stage.steps == 0:
        return
    _check_batch(stage.people, len(run.pools), run.share)
    known = (run.pools, run.dataset, run.chosen)
    seen = prepare_seen(run.people, *known, run.work / "seen", stage, run.progress, run.share)
    run.fabric.barrier()
    module = DetailedPeople(run.people, run.dataset.view_size, stage, run.seed)
    run.optimise(DetailMethod(module, *known, seen, stage, run.share), stage, "detail", "learning wrinkles")


def _finished(run: _Run, notes: Sequence[str]) -> Prior:
    """The prior with the statistics of what it was trained on."""
    found = [CodeStatistics.of(codes.detach().cpu()) for codes in (run.people.shape, run.people.detail)]
    builds = CodeStatistics.of(run.pools.betas.cpu(), components=1)
    card = PriorCard(run.dataset.body_model, len(run.pools), tuple(notes))
    return Prior(run.people.gdna.cpu(), found[0], found[1], builds, card)


def body_model_of(dataset: PeopleDataset) -> BodyModel:
    """The body model that a dataset's poses and builds are of; raises InputError when it is not at hand."""
    model = load_body_model(dataset.body_model)
    if model.skeleton.joint_names != dataset.joint_names:
        raise InputError(
            f"The people of {dataset.folder} have {len(dataset.joint_names)} joints, which are not those of "
            f"{dataset.body_model} here ({len(model.skeleton)}); make the dataset again with this version."
        )
    return model


def _training_people(dataset: PeopleDataset, held_out: int) -> list[int]:
    if not 0 <= held_out <= len(dataset) - 2:
        raise InputError(
            f"{held_out} people held out of {len(dataset)} leave too few to learn what differs between people: hold "
            f"out {max(len(dataset) - 2, 0)} at most."
        )
    return list(range(len(dataset) - held_out))


def _check_batch(batch: int, people: int, share: Share) -> None:
    if min(batch, people) < share.processes:
        raise InputError(
            f"{share.processes} processes cannot share steps of {min(batch, people)} people: start fewer, or give "
            "`people` in the preset a larger number."
        )


def _with_steps(options: PriorOptions, steps: int | None, detail_steps: int | None) -> PriorOptions:
    if min(steps or 0, detail_steps or 0) < 0:
        raise InputError(f"--steps and --detail-steps must be 0 or more, got {steps} and {detail_steps}.")
    shape = options.shape if steps is None else dataclasses.replace(options.shape, steps=steps)
    detail = options.detail if detail_steps is None else dataclasses.replace(options.detail, steps=detail_steps)
    return dataclasses.replace(options, shape=shape, detail=detail)


def _lasting(options: PriorOptions, chosen: list[int]) -> dict[str, Any]:
    """The settings that a resumed run must share, as JSON gives them back; learning rates may change."""
    settings = dataclasses.asdict(options) | {"trained_on": len(chosen)}
    del settings["shape"]["rates"], settings["detail"]["rates"]
    kept: dict[str, Any] = json.loads(json.dumps(settings))
    return kept


def _begin(fabric: Fabric, work: Path, job: Job, resume: bool) -> bool:
    """Whether all processes continue earlier work, as the first one finds it; else it makes a fresh work folder."""
    continuing = fabric.is_global_zero and check_work(work, job, resume)
    if fabric.is_global_zero and not continuing:
        start_work(work, job)
    return bool(fabric.broadcast(continuing))
