"""From somebody's folder of scans of many people to a dataset of them; resumable at any moment."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from body_models.errors import InputError
from body_models.load import load_body_model
from body_models.model import BodyModel
from body_models.parameters import unknown_name
from data_prep.atomic import remove_leftovers, replacing
from data_prep.people.dataset import (
    INDEX,
    PeopleDataset,
    check_names,
    need_many,
    read_people,
    tensor_sizes,
    write_people,
)
from data_prep.people.folders.fitted import Subject, family_of, find_subjects, read_subject
from data_prep.people.folders.scans import ScannedPerson, find_people, read_scanned
from data_prep.people.from_meshes import MemberOptions
from data_prep.people.member import Member, member_file, read_member, write_member
from data_prep.registration.parallel import scan_workers
from data_prep.units import METRES_PER_UNIT, YUP_FROM

KINDS = ("auto", "thuman", "scans")
RECORD = "job.json"
"""Beside the members while the dataset is being made: what it is made from, and how."""
BATCH = 8
"""People whose scans are under way together; an interruption loses no more."""


@dataclass(frozen=True)
class ConvertOptions:
    """How to read a folder of people."""

    kind: str = "auto"
    """thuman: scans beside SMPL parameters; scans: scans alone, registered to Anny; auto: as it looks."""
    unit: str = "auto"
    """The scans' unit of length: auto, m, dm, cm, mm or in."""
    up: str = "auto"
    """The up axis of scans alone: auto, y, z, -y or -z; scans with parameters stand as these say."""
    betas: int | None = None
    """How many shape parameters are kept: 24 of Anny, 10 of SMPL's family if not given."""
    member: MemberOptions = field(default_factory=MemberOptions)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(unknown_name("There is no kind of folder", self.kind, KINDS))
        if self.unit not in ("auto", *METRES_PER_UNIT):
            raise InputError(unknown_name("There is no unit", self.unit, ("auto", *METRES_PER_UNIT)))
        if self.up not in ("auto", *YUP_FROM):
            raise InputError(unknown_name("There is no up axis", self.up, ("auto", *YUP_FROM)))
        if self.betas is not None and self.betas < 1:
            raise InputError(f"{self.betas} betas cannot be kept; keep one or more.")


@dataclass(frozen=True)
class _Plan:
    """Who is to be read, and how a person becomes a member and notes."""

    kind: str
    names: list[str]
    model_name: str
    model: BodyModel
    betas_count: int
    make: Callable[[str], tuple[Member, list[str]]]
    skipped: list[tuple[str, str]]


def _silent(*_: object) -> None:
    """Reports nothing."""


def convert_people(
    source: Path | str,
    out: Path | str,
    options: ConvertOptions | None = None,
    *,
    overwrite: bool = False,
    progress: Callable[[str, int, int], None] = _silent,
) -> PeopleDataset:
    """Make a dataset of the people in `source`; people that cannot be used are left out and named.

    Interrupted work with the same source and options is gone on with. Raises InputError when the source holds nobody,
    the body model is missing, `out` holds a finished dataset or other files, or fewer than two people could be used.
    """
    source, out = Path(source), Path(out)
    options = options or ConvertOptions()
    plan = _plan(source, options)
    check_names(plan.names)
    _open_work(out, {"source": str(source.absolute()), **_plain(options), "kind": plan.kind}, overwrite)
    made, notes, skipped = [], [], list(plan.skipped)
    for name, reason, remarks in _make_all(plan, out, options.member, progress):
        notes += remarks
        if reason:
            skipped.append((name, reason))
        else:
            made.append(name)
    need_many(out, len(made), skipped)
    write_people(
        out,
        made,
        body_model=plan.model_name,
        betas_count=plan.betas_count,
        joint_names=plan.model.skeleton.joint_names,
        yaws=options.member.yaws,
        view_size=options.member.size,
        skipped=skipped,
        notes=[f"made from {source.name} ({plan.kind})", *notes],
    )
    (out / RECORD).unlink(missing_ok=True)
    return read_people(out)


def _plan(source: Path, options: ConvertOptions) -> _Plan:
    if (source / INDEX).is_file():
        raise InputError(f"{source} is a dataset of people already; use it as it is.")
    subjects, lost = find_subjects(source) if options.kind != "scans" else ([], [])
    if options.kind == "thuman" and not subjects:
        raise InputError(
            f"No scans with SMPL parameters in {source}: it needs NAME/NAME.obj with NAME_smpl.pkl, .npz or .json; for "
            "scans alone use --kind scans."
        )
    if subjects and (options.kind == "thuman" or _any_readable(subjects)):
        return _plan_fitted(subjects, lost, options)
    return _plan_scans(find_people(source), options)


def _any_readable(subjects: list[Subject]) -> bool:
    try:
        return bool(family_of(subjects))
    except InputError:
        return False


def _plan_fitted(subjects: list[Subject], lost: list[tuple[str, str]], options: ConvertOptions) -> _Plan:
    if options.up not in ("auto", "y"):
        raise InputError("--up is for scans alone; scans with SMPL parameters stand as these say. Leave it away.")
    check_names([subject.name for subject in subjects])
    family, parameters, skipped = family_of(subjects)
    model = load_body_model(family)
    count = min(options.betas or 10, len(model.shape_basis))
    by_name = {subject.name: subject for subject in subjects if subject.name in parameters}

    def make(name: str) -> tuple[Member, list[str]]:
        return read_subject(by_name[name], parameters[name], model, count, options.unit, options.member), []

    return _Plan("thuman", list(by_name), family, model, count, make, [*lost, *skipped])


def _plan_scans(people: list[ScannedPerson], options: ConvertOptions) -> _Plan:
    model = load_body_model("anny")
    count = min(options.betas or 24, len(model.shape_basis))
    by_name = {person.name: person for person in people}
    check_names([person.name for person in people])

    def make(name: str) -> tuple[Member, list[str]]:
        return read_scanned(by_name[name], model, count, options.unit, options.up, options.member)

    return _Plan("scans", list(by_name), "anny", model, count, make, [])


def _make_all(
    plan: _Plan, out: Path, options: MemberOptions, progress: Callable[[str, int, int], None]
) -> list[tuple[str, str, list[str]]]:
    """Write the members that are not there yet: name, reason why there is none, and notes of each."""
    sizes = tensor_sizes(plan.betas_count, plan.model.skeleton.joint_names, options.yaws, options.size)

    def make(name: str) -> tuple[str, str, list[str]]:
        try:
            read_member(out / member_file(name), name, sizes)
            return name, "", []
        except InputError:
            pass
        try:
            member, notes = plan.make(name)
        except InputError as error:
            return name, str(error), []
        except torch.linalg.LinAlgError:  # a shape so odd that its equations cannot be solved
            return name, "no body could be fitted to it", []
        write_member(out, member)
        return name, "", notes

    results: list[tuple[str, str, list[str]]] = []
    progress("reading people", 0, len(plan.names))
    with scan_workers() as workers:
        for start in range(0, len(plan.names), BATCH):
            results += workers.map(make, plan.names[start : start + BATCH])
            progress("reading people", len(results), len(plan.names))
    return results


def _plain(options: ConvertOptions) -> dict[str, Any]:
    """The options as JSON gives them back."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(options)))
    return plain


def _open_work(out: Path, job: dict[str, Any], overwrite: bool) -> None:
    """Make the folder ready: empty, or with what interrupted work of the same job left."""
    if out.exists() and not out.is_dir():
        raise InputError(f"'{out}' is a file; give --out the name of a folder for the dataset.")
    record = out / RECORD
    if (out / INDEX).is_file() and not record.is_file() and not overwrite:
        raise InputError(f"'{out}' holds a finished dataset; name another --out, or add --overwrite to replace it.")
    ours = ("members", INDEX, RECORD)
    foreign = sorted(path.name for path in out.iterdir() if path.name not in ours) if out.is_dir() else []
    foreign = [name for name in foreign if not name.startswith(".")]
    if foreign or ((out / "members").is_dir() and not (record.is_file() or (out / INDEX).is_file())):
        raise InputError(
            f"'{out}' holds other files ('{(foreign or ['members'])[0]}'), which would mix with the dataset; "
            "name a new folder."
        )
    if out.is_dir():
        remove_leftovers(out)
    if _read_record(record) == job:
        return
    try:
        (out / INDEX).unlink(missing_ok=True)
        if (out / "members").is_dir():
            shutil.rmtree(out / "members")
    except OSError as error:
        raise InputError(f"Cannot empty '{out}': {error.strerror}. Choose another --out.") from error
    with replacing(record) as temporary:
        temporary.write_text(json.dumps(job, indent=1), encoding="utf-8")


def _read_record(record: Path) -> Any:
    try:
        return json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
