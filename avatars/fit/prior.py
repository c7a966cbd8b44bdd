"""From a dataset of many people to a prior of them: both stages, resumable, on one process or several."""

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from avatars.fit.loop import LoopOptions, make_fabric, optimise
from avatars.fit.options import check_seed
from avatars.fit.people_pools import PeoplePools
from avatars.fit.prior_detail import DetailedPeople, DetailMethod
from avatars.fit.prior_options import PriorOptions, load_prior_preset
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
        share = Share(fabric.global_rank, fabric.world_size)
        _train_shapes(people, pools, model, options, seed, fabric, share, work, resume, progress)
        _train_details(people, pools, dataset, chosen, options, seed, fabric, share, work, resume, progress)
        prior = _finished(people, pools, dataset, notes)
        if fabric.is_global_zero:
            save_prior(prior, out)
        fabric.barrier()
        progress.say(f"Prior written to {out} after {time.monotonic() - started:.0f} s; working files are in {work}.")
    return prior


def _train_shapes(
    people: CodedPeople,
    pools: PeoplePools,
    model: BodyModel,
    options: PriorOptions,
    seed: int,
    fabric: Fabric,
    share: Share,
    work: Path,
    resume: bool,
    progress: Progress,
) -> None:
    stage = options.shape
    _check_batch(stage.people, len(pools), share)
    method = ShapeMethod(people, pools, CanonicalModel(model, people.gdna.space.betas), stage, share)
    loop = LoopOptions(stage.steps, seed, "auto", stage.rates.final, stage.clip)
    optimise(method, loop, work / "shape", resume, progress, fabric=fabric, title="learning shapes")
    people.requires_grad_(False)


def _train_details(
    people: CodedPeople,
    pools: PeoplePools,
    dataset: PeopleDataset,
    chosen: list[int],
    options: PriorOptions,
    seed: int,
    fabric: Fabric,
    share: Share,
    work: Path,
    resume: bool,
    progress: Progress,
) -> None:
    stage = options.detail
    if stage.steps == 0:
        return
    _check_batch(stage.people, len(pools), share)
    seen = prepare_seen(people, pools, dataset, chosen, work / "seen", stage, progress, share)
    fabric.barrier()
    module = DetailedPeople(people, dataset.view_size, stage, seed)
    method = DetailMethod(module, pools, dataset, chosen, seen, stage, share)
    loop = LoopOptions(stage.steps, seed, "auto", stage.rates.final, stage.clip)
    optimise(method, loop, work / "detail", resume, progress, fabric=fabric, title="learning wrinkles")


def _finished(people: CodedPeople, pools: PeoplePools, dataset: PeopleDataset, notes: Sequence[str]) -> Prior:
    """The prior with the statistics of what it was trained on."""
    found = [CodeStatistics.of(codes.detach().cpu()) for codes in (people.shape, people.detail)]
    builds = CodeStatistics.of(pools.betas.cpu(), components=1)
    card = PriorCard(dataset.body_model, len(pools), tuple(notes))
    return Prior(people.gdna.cpu(), found[0], found[1], builds, card)


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
