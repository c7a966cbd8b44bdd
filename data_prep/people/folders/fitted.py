"""Folders of scans beside SMPL parameters, as THuman2.0 and RenderPeople fits come: who is in them."""

import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.model import BodyModel
from data_prep.cleaning import clean
from data_prep.mesh_files import MESH_SUFFIXES, read_meshes
from data_prep.people.folders.smpl_parameters import SUFFIXES, SmplParameters, read_smpl_parameters
from data_prep.people.from_meshes import MemberOptions, make_member
from data_prep.people.member import Member
from data_prep.surface import Surface
from data_prep.units import METRES_PER_UNIT

MAX_GAP = 0.06
"""Mean distance from a body to its scan (metres) above which the two do not belong together."""
_SCAN_ENDING = re.compile(r"(_obj|_\d+k)+$", re.IGNORECASE)
_PARAMETER_ENDING = re.compile(r"([_-]?(smpl[xh]?|params?|fit|parameters))+$")


@dataclass(frozen=True)
class Subject:
    """A scan and the file of its parameters."""

    name: str
    mesh: Path
    parameters: Path


def find_subjects(source: Path) -> tuple[list[Subject], list[tuple[str, str]]]:
    """Scans with parameters below a folder, and the scans that have none, with the reason.

    Parameters may lie beside the scan, in a folder of the scan's name, or in one of another name (`..._smpl`) within
    or beside the source, as long as the files' names agree.
    """
    if not source.is_dir():
        return [], []
    meshes = [path for path in _files(source) if path.suffix.lower() in MESH_SUFFIXES and not _says_smpl(path)]
    beside = sorted(folder for folder in source.resolve().parent.glob("*smpl*") if folder.is_dir())
    files = [path for folder in (source, *beside) for path in _files(folder) if path.suffix.lower() in SUFFIXES]
    of_name: dict[str, Path] = {}
    for path in sorted(files, key=lambda path: not _says_smpl(path)):
        of_name.setdefault(_PARAMETER_ENDING.sub("", path.stem.lower()), path)
    for path in sorted(files, key=lambda path: not _says_smpl(path)):
        of_name.setdefault(path.parent.name.lower(), path)
    neighbours = Counter(mesh.parent for mesh in meshes)
    subjects, lost = [], []
    for mesh in meshes:
        names = [_subject_name(mesh.stem)]
        if neighbours[mesh.parent] == 1 and mesh.parent != source:
            names.append(_subject_name(mesh.parent.name))
        parameters = next((of_name[name.lower()] for name in names if name.lower() in of_name), None)
        if parameters is None:
            lost.append((names[-1], "no SMPL parameters of its name"))
        else:
            subjects.append(Subject(names[-1], mesh, parameters))
    return subjects, lost


def read_subject(
    subject: Subject, parameters: SmplParameters, model: BodyModel, betas_count: int, unit: str, options: MemberOptions
) -> Member:
    """Make a member of a scan whose body is known; the scan is brought into the body's scale and place (metres).

    Raises InputError when the scan cannot be used or is not where its body is.
    """
    meshes = read_meshes(subject.mesh, frames=1)
    mesh, _ = clean(meshes[0])
    betas = torch.zeros(betas_count)
    given = parameters.betas[:betas_count]
    betas[: len(given)] = given
    body, pose = model.body(betas), parameters.pose(model)
    nowhere = torch.zeros(3)
    posed = body.pose_vertices(pose, nowhere)
    raw = torch.as_tensor(mesh.vertices, dtype=torch.float32)
    metres = _metres(raw, posed, unit) if parameters.scale is None or unit != "auto" else 1.0
    scan = (metres * raw - parameters.transl) / (parameters.scale or 1.0)
    faces = torch.as_tensor(mesh.faces, dtype=torch.int64)
    gap = float(Surface(scan, faces).closest(posed[:: max(1, len(posed) // 2000)]).distance.mean())
    if gap > MAX_GAP:
        raise InputError(
            f"its body lies {100 * gap:.0f} cm from the scan on average; check that the parameters are this scan's, "
            "and its unit (--unit)"
        )
    pelvis = body.pose_joints(pose, nowhere)[:1]
    return make_member(subject.name, [(scan, faces)], betas, pose[None], nowhere[None], pelvis, options)


def family_of(subjects: list[Subject]) -> tuple[str, dict[str, SmplParameters], list[tuple[str, str]]]:
    """The body model that most subjects have, their parameters, and the subjects left out with the reason.

    Raises InputError when no file of parameters can be read.
    """
    read: dict[str, SmplParameters] = {}
    skipped = []
    for subject in subjects:
        try:
            read[subject.name] = read_smpl_parameters(subject.parameters)
        except InputError as error:
            skipped.append((subject.name, str(error)))
    if not read:
        raise InputError(
            f"None of the {len(subjects)} files of SMPL parameters can be used; the first: {skipped[0][1]}. To find "
            "the poses from the scans alone, add --kind scans."
        )
    family = Counter(parameters.family for parameters in read.values()).most_common(1)[0][0]
    for name in [name for name, parameters in read.items() if parameters.family != family]:
        skipped.append((name, f"its parameters are of {read.pop(name).family}, most others' of {family}"))
    return family, read, skipped


def _metres(scan: Float[Tensor, "_ 3"], posed: Float[Tensor, "_ 3"], unit: str) -> float:
    """Metres in the scan's unit; where nobody told, of the unit that makes the scan about as large as its body."""
    if unit != "auto":
        return METRES_PER_UNIT[unit]
    ratio = float((scan.amax(0) - scan.amin(0)).norm() / (posed.amax(0) - posed.amin(0)).norm())
    return min(METRES_PER_UNIT.values(), key=lambda factor: abs(math.log(factor * ratio)))


def _files(folder: Path) -> list[Path]:
    """All files below a folder but hidden ones, in the order of their names."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    hidden = [path for path in found if any(part.startswith(".") for part in path.relative_to(folder).parts)]
    return sorted(set(found) - set(hidden))


def _says_smpl(path: Path) -> bool:
    return "smpl" in path.name.lower()


def _subject_name(name: str) -> str:
    """A scan's or folder's name without what tells its format and resolution."""
    return _SCAN_ENDING.sub("", name) or name
