"""Datasets of synthetic people: made in worker processes or in shards, and taken up again where they stopped."""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from body_models.anny.body import load_anny
from body_models.errors import InputError
from body_models.model import BodyModel
from data_prep.people.dataset import write_people
from data_prep.people.from_meshes import MemberOptions, make_member
from data_prep.people.member import Member, member_file, write_member
from data_prep.people.synthetic.person import make_clothed_person
from data_prep.people.synthetic.poses import PosePool, read_pose_pool
from data_prep.people.synthetic.recipe import keep_recipe, member_name, member_seed


@dataclass(frozen=True)
class PeopleOptions:
    """How each synthetic person is made."""

    seed: int = 0
    poses: int = 2
    """Scans of each person."""
    betas: int = 24
    """How many shape parameters vary."""
    assets: Path | None = None
    """Folder of MakeHuman clothes that some of the people wear."""
    motions: Path | None = None
    """Folder of motion files that some of the poses come from."""
    member: MemberOptions = field(default_factory=MemberOptions)


@dataclass(frozen=True)
class Made:
    """What `make_people` left in the folder."""

    written: int
    """Members made now; those that were there already do not count."""
    skipped: tuple[tuple[str, str], ...]
    """Name and reason of members that could not be made."""
    missing: int
    """Members of other shards that are not there yet; the dataset is complete, and readable, at 0."""


def make_people(
    folder: Path | str,
    count: int,
    options: PeopleOptions | None = None,
    *,
    shard: int = 0,
    shards: int = 1,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Made:
    """Write synthetic people into a folder, each with its own random build, clothes and poses.

    Who a member is follows from the seed and its number only. Shard i of n makes numbers i, i + n and so on; whoever
    finds all members there writes the index. Members that are there already are kept. `progress` hears of the members
    done and the number of this shard's. Raises InputError for counts that make no sense, folders that cannot be used,
    and a folder that holds people made in another way.
    """
    options, folder = options or PeopleOptions(), Path(folder)
    _check(count, options, shard, shards, workers)
    keep_recipe(folder, _recipe(options))
    mine = range(shard, count, shards)
    todo = [number for number in mine if not (folder / member_file(member_name(number))).is_file()]
    skipped: list[tuple[str, str]] = []
    for done, (number, reason) in enumerate(_run(folder, todo, options, workers), start=len(mine) - len(todo) + 1):
        if reason:
            skipped.append((member_name(number), reason))
        if progress is not None:
            progress(done, len(mine))
    return _finish(folder, count, options, len(todo) - len(skipped), tuple(sorted(skipped)))


def synthetic_member(model: BodyModel, number: int, options: PeopleOptions) -> Member:
    """One member of a dataset: a clothed person in its poses, feet on the floor."""
    seed = member_seed(options.seed, number)
    person = make_clothed_person(model, seed, options.betas, options.assets)
    random = np.random.default_rng([seed, 1])
    poses = _pool(options.motions).draw(person.body, options.poses, random, person.outfit.skirt_length > 0)
    meshes, translations, pelvis = [], [], []
    for pose in poses:
        vertices = person.pose_vertices(pose, torch.zeros(3))
        translation = torch.tensor([0.0, -float(vertices[:, 1].min()), 0.0])
        meshes.append((vertices + translation, person.clothed.faces))
        translations.append(translation)
        pelvis.append(person.body.pose_joints(pose, translation)[0])
    generator = torch.Generator().manual_seed(seed % 2**63)
    return make_member(
        member_name(number),
        meshes,
        person.betas,
        poses,
        torch.stack(translations),
        torch.stack(pelvis),
        options.member,
        generator,
    )


def _check(count: int, options: PeopleOptions, shard: int, shards: int, workers: int) -> None:
    if count < 2:
        raise InputError(f"Cannot make a dataset of {count} people; a prior needs two or more.")
    if not 0 <= shard < shards:
        raise InputError(f"There is no shard {shard} of {shards}; shards count from 0 to {max(shards - 1, 0)}.")
    if workers < 1 or options.poses < 1 or options.seed < 0:
        raise InputError(
            f"workers ({workers}) and poses ({options.poses}) must be 1 or more, and seed ({options.seed}) 0 or more."
        )
    for what, path in (("clothes", options.assets), ("motions", options.motions)):
        if path is not None and not path.is_dir():
            raise InputError(f"The folder of {what} '{path}' is not there; give another, or leave it away.")


def _recipe(options: PeopleOptions) -> dict[str, Any]:
    """All that members depend on, as JSON gives it back."""
    return {
        "seed": options.seed,
        "poses": options.poses,
        "betas": options.betas,
        "assets": options.assets.name if options.assets else None,
        "motions": options.motions.name if options.motions else None,
        "member": json.loads(json.dumps(vars(options.member))),
    }


def _run(folder: Path, numbers: list[int], options: PeopleOptions, workers: int) -> Iterator[tuple[int, str]]:
    """Number and reason of failure (or nothing) of each member as it is done."""
    if workers == 1 or len(numbers) < 2:
        for number in numbers:
            yield _make_one(folder, number, options)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(numbers)), context, initializer=_start_worker) as pool:
        jobs = [pool.submit(_make_one, folder, number, options) for number in numbers]
        try:
            for job in as_completed(jobs):
                yield job.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def _make_one(folder: Path, number: int, options: PeopleOptions) -> tuple[int, str]:
    try:
        member = synthetic_member(_model(), number, options)
    except InputError as error:
        return number, str(error)
    write_member(folder, member)
    return number, ""


@cache
def _model() -> BodyModel:
    return load_anny()


@cache
def _pool(motions: Path | None) -> PosePool:
    return read_pose_pool(motions, _model().body())


def _finish(
    folder: Path, count: int, options: PeopleOptions, written: int, skipped: tuple[tuple[str, str], ...]
) -> Made:
    """Write the index when all members are there but those that cannot be made."""
    names = [member_name(number) for number in range(count)]
    there = [name for name in names if (folder / member_file(name)).is_file()]
    missing = len(names) - len(there) - len(skipped)
    if missing == 0:
        write_people(
            folder,
            there,
            body_model=_model().name,
            betas_count=options.betas,
            joint_names=_model().skeleton.joint_names,
            yaws=options.member.yaws,
            view_size=options.member.size,
            skipped=skipped,
            notes=(f"synthetic people, seed {options.seed}",),
        )
    return Made(written, skipped, missing)
