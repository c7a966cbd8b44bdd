"""Folders of plain scans of many people: one folder or file a person, registered to the free body."""

from dataclasses import dataclass
from pathlib import Path

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.body import Body
from body_models.errors import InputError
from body_models.model import BodyModel
from data_prep.mesh_files import MESH_SUFFIXES
from data_prep.people.from_meshes import MemberOptions, make_member
from data_prep.people.member import Member
from data_prep.registration import register
from data_prep.registration.fine import FineScan, refine_pose
from data_prep.registration.kinematics import PoseState
from data_prep.registration.register import scan_surface
from data_prep.scans import load_scans
from data_prep.surface import Surface

ROUNDS = 12
CLOTHES = 0.15
"""Weight of surface that lies outside the body, where clothes are, against surface within it."""
ROUGHNESS = 0.01
"""Standard deviation of the surface about the body (metres)."""


@dataclass(frozen=True)
class ScannedPerson:
    """Where the scans of one person are: a folder, or a single file."""

    name: str
    source: Path


def find_people(source: Path) -> list[ScannedPerson]:
    """Each file of the folder, and each folder below it that holds scans, is a person.

    Raises InputError when there are none.
    """
    if not source.exists():
        raise InputError(f"No folder at {source}; give one that holds a folder of scans, or one file, for each person.")
    people = [ScannedPerson(path.stem, path) for path in _entries(source) if _is_scan(path)]
    for folder in (path for path in _entries(source) if path.is_dir()):
        holding = [place for place in (folder, *_folders_below(folder)) if any(map(_is_scan, _entries(place)))]
        names = [".".join((folder.name, *place.relative_to(folder).parts)) for place in holding]
        people += [
            ScannedPerson(folder.name if len(holding) == 1 else name, place)
            for name, place in zip(names, holding, strict=True)
        ]
    if not people:
        raise InputError(
            f"No scans in {source}; it should hold a folder of scans ({', '.join(MESH_SUFFIXES)}), or one file, for "
            "each person."
        )
    return people


def read_scanned(
    person: ScannedPerson,
    model: BodyModel,
    betas_count: int,
    unit: str,
    up: str,
    options: MemberOptions,
    seed: int = 0,
) -> tuple[Member, list[str]]:
    """Register a person's scans and make a member of them; the notes tell of scans that fit badly or were left out.

    Raises InputError when no scan shows a whole person.
    """
    try:
        folder = load_scans(person.source, unit, up)
        found = register(model, folder.scans, seed)
    except InputError as error:
        raise InputError(_in_one_line(str(error)).removeprefix(f"{person.name}: ")) from error
    betas = nearest_betas(model, found.body, betas_count)
    body = model.body(betas)
    scans = {scan.name: scan for scan in folder.scans}
    surfaces = [scan_surface(scans[name]) for name in found.names]
    states = [
        refine_pose(body, FineScan.of(surface, seed + 1), PoseState.from_pose(pose[None], translation[None]), seed)
        for surface, pose, translation in zip(surfaces, found.poses, found.translations, strict=True)
    ]
    state = PoseState.join(states)
    poses = roma.rotmat_to_rotvec(state.rotations)
    pelvis = body.pose_joints(poses, state.translation)[:, 0]
    meshes = [(surface.vertices, surface.faces) for surface in surfaces]
    generator = torch.Generator().manual_seed(seed)
    member = make_member(person.name, meshes, betas, poses, state.translation, pelvis, options, generator)
    left_out = [f"scan {name} was left out: {reason}" for name, reason in (*folder.skipped, *found.failed)]
    return member, [f"{person.name}: {note}" for note in (*found.notes, *left_out)]


def nearest_betas(model: BodyModel, dressed: Body, count: int) -> Float[Tensor, "beta"]:
    """The shape parameters whose body is inside a dressed one and has its joints.

    Least squares with unit variance of the betas; surface outside the body weighs little, since clothes are there.
    """
    normals = Surface(dressed.vertices, dressed.faces).vertex_normals
    slopes = torch.einsum("bvc,vc->vb", model.shape_basis[:count], normals)
    heights = ((dressed.vertices - model.template) * normals).sum(-1)
    joint_slopes = model.shape_basis_joints[:count].reshape(count, -1).T
    joint_heights = (dressed.joints - model.template_joints).reshape(-1)
    share = len(joint_heights) / len(heights)  # all of the surface weighs as much as all joints do
    betas = torch.zeros(count)
    for _ in range(ROUNDS):
        outside = heights - slopes @ betas > 0
        weights = share * torch.where(outside, CLOTHES, 1.0)
        matrix = slopes.T @ (weights[:, None] * slopes) + joint_slopes.T @ joint_slopes
        target = slopes.T @ (weights * heights) + joint_slopes.T @ joint_heights
        betas = torch.linalg.solve(matrix + ROUGHNESS**2 * torch.eye(count), target)
    return betas


def _in_one_line(message: str) -> str:
    """What a message says of each scan; all of it where it speaks of none."""
    of_scans = [line.strip() for line in message.splitlines() if line.startswith("  ")]
    return "; ".join(of_scans) or " ".join(message.split())


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _folders_below(folder: Path) -> list[Path]:
    below = (path for path in folder.rglob("*") if path.is_dir())
    return sorted(path for path in below if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _is_scan(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in MESH_SUFFIXES
