"""What `bench_search.py` searches: posed points and sampled fields of the free body on its rigs."""

import argparse
import copy
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Int
from published_snarf import fitted_weights, fitting_box, posed_points, random_pose
from torch import Tensor

from avatars.deform.broyden import broyden, inverse_3x3
from avatars.deform.roots import Roots, SearchOptions
from avatars.deform.sampled import SampledSkinning
from avatars.deform.search import inverse_affine, search
from avatars.deform.starts import choose_starts
from avatars.fields.affine import apply_affine
from avatars.fields.grid import interpolate
from avatars.fields.patches import PatchedGrid, patched_grid
from avatars.fields.weights import SMALLEST
from avatars.models.start import weights_off_surface
from body_models import Body, load_anny
from body_models.anny.rigs import RigName
from data_prep.surface import Surface

SAMPLE = 2000
LIMBS = {
    "pelvis": "root", "spine1": "spine05", "spine2": "spine03", "spine3": "spine01", "neck": "neck01", "head": "head",
    "hip": "upperleg01", "knee": "lowerleg01", "ankle": "foot", "collar": "clavicle", "shoulder": "upperarm01",
    "elbow": "lowerarm01", "wrist": "wrist",
}  # fmt: skip
"""SMPL's joints and those of the full rig that they turn."""


@dataclass(frozen=True)
class Case:
    """Posed points and the field to search (one pose; metres)."""

    posed: Float[Tensor, "point 3"]
    frame: Int[Tensor, "point"]
    field: SampledSkinning
    """Never searched itself, so that it keeps no pose's table."""

    @property
    def bones(self) -> Float[Tensor, "1 bone 4 4"]:
        """The pose."""
        return self.field.posed_from_canonical

    def search(self, options: SearchOptions) -> Roots:
        """Roots of all points; the pose's coarse table is made anew each time."""
        return search(self.posed, self.frame, copy.copy(self.field), options)

    def mean_starts(self, options: SearchOptions) -> float:
        """How many bones start a search, in the mean over a sample of the points."""
        _, use = self.starts(self.sample(), options)
        return use.sum(1).float().mean().item()

    def sample(self) -> Float[Tensor, "point 3"]:
        """Some of the points, evenly spread."""
        return self.posed[:: max(1, len(self.posed) // SAMPLE)]

    def starts(self, posed: Float[Tensor, "point 3"], options: SearchOptions) -> tuple[Tensor, Tensor]:
        """Start points, and which of them are used, as the torch twin chooses them."""
        transforms = inverse_affine(self.bones)[0].expand(len(posed), -1, -1, -1)
        return choose_starts(
            posed, transforms, self.field.starts, options.start_bones, options.least_influence, options.reach
        )


def published_case(arguments: argparse.Namespace) -> Case:
    """The points that (a) and (b) are compared on, with (a)'s weights sampled on a grid."""
    body = load_anny().body()
    weights = fitted_weights(body, arguments.seed, arguments.fit_steps)
    grid = _grid(body, arguments.spacing)
    with torch.no_grad():
        values = torch.cat([weights.log_weights(some) for some in grid.nodes().split(50_000)])
    pose = random_pose(body, arguments.seed)
    bones = body.posed_from_canonical(pose[None], torch.zeros(1, 3))
    return _case(posed_points(body, pose, arguments.baseline_points, arguments.seed), grid, values, bones, arguments)


def rig_case(rig: RigName, count: int, arguments: argparse.Namespace) -> Case:
    """Points that are the same for every rig, and the body's own weights on that rig, spread off the surface."""
    compact, body = load_anny().body(), load_anny(rig).body()
    pose = random_pose(compact, arguments.seed)
    bones = body.posed_from_canonical(same_pose(pose, compact, body)[None], torch.zeros(1, 3))
    grid, values = _spread_weights(rig, arguments.spacing)
    return _case(posed_points(compact, pose, count, arguments.seed), grid, values, bones, arguments)


@cache
def _spread_weights(rig: RigName, spacing: float) -> tuple[PatchedGrid, Float[Tensor, "node bone"]]:
    """Logarithms of the body's weights on a grid about it."""
    body = load_anny(rig).body()
    grid = _grid(body, spacing)
    weights = weights_off_surface(Surface(body.canonical(), body.faces), body.skinning_weights, grid.patches[0])
    return grid, weights.clamp_min_(SMALLEST).log_()


def _grid(body: Body, spacing: float) -> PatchedGrid:
    box = fitting_box(body)
    return patched_grid(box[0], box[1], spacing)


def _case(
    posed: Float[Tensor, "point 3"],
    grid: PatchedGrid,
    values: Float[Tensor, "node bone"],
    bones: Float[Tensor, "1 bone 4 4"],
    arguments: argparse.Namespace,
) -> Case:
    device = arguments.device
    frame = torch.zeros(len(posed), dtype=torch.long, device=device)
    return Case(posed.to(device), frame, SampledSkinning(grid, values.to(device), bones.to(device)))


def same_pose(pose: Float[Tensor, "bone 3"], compact: Body, body: Body) -> Float[Tensor, "other 3"]:
    """A pose of the compact rig on another: the same limbs turn, fingers and toes stay as they are."""
    names = body.skeleton.joint_names
    result = body.canonical_pose.clone()
    for turn, name in zip(pose, compact.skeleton.joint_names, strict=True):
        side, _, limb = name.rpartition("_")
        other = LIMBS.get(limb, name) + {"left": ".L", "right": ".R"}.get(side, "")
        for same in (name, other):
            if same in names:
                result[names.index(same)] = turn
                break
    return result


@torch.no_grad()
def coarse_evaluations(case: Case, options: SearchOptions) -> float:
    """How often a point's searches read the coarse table, in the mean over a sample of the points.

    The kernel's first stage again in torch, which counts; the kernel reads less where it leaves out starts by a root
    that it has found.
    """
    field, posed, count = copy.copy(case.field), case.sample(), 0
    transforms = field.coarse_table[0]

    def carry(x: Float[Tensor, "some 3"]) -> Float[Tensor, "some 3"]:
        return apply_affine(interpolate(transforms, *field.coarse_grid.corners(x)).unflatten(1, (3, 4)), x)

    start, use = case.starts(posed, options)
    first, target = start[use], posed[use.nonzero()[:, 0]]

    def residual(x: Float[Tensor, "active 3"], active: Int[Tensor, "active"]) -> Float[Tensor, "active 3"]:
        nonlocal count
        count += len(x)
        return carry(x) - target[active]

    with torch.enable_grad():
        x = first.clone().requires_grad_()
        carried = carry(x)
        rows = [torch.autograd.grad(carried[:, i].sum(), x, retain_graph=i < 2)[0] for i in range(3)]
    inverse = inverse_3x3(torch.stack(rows, 1))
    broyden(residual, first, inverse, options.steps, options.near, options.divergence)
    return count / len(posed)
