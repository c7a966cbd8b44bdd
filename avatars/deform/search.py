"""Forward search: the canonical points that a deformation field carries to given posed points.

One interface for every deformation field and implementation: `search(posed, frame, field, skeleton, options) -> Roots`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatars.deform.broyden import broyden, inverse_3x3
from avatars.deform.skinning import DeformationField, forward_skin
from avatars.fields.affine import apply_affine


@dataclass(frozen=True)
class SearchOptions:
    """How hard to look for roots."""

    steps: int = 15
    """Root-finding iterations from each start; more is slower and rarely better."""
    tolerance: float = 1e-4
    """Accept a root when its posed residual is below this (metres)."""
    divergence: float = 0.5
    """Give up a start whose posed residual exceeds this (metres)."""
    start_bones: int = 5
    """How many of the nearest bones start a search for each point; cost grows in proportion."""
    reach: float = 0.35
    """Points farther than this from every bone are outside the body without a search (metres)."""


@dataclass(frozen=True)
class Bones:
    """Line segments that stand for the bones in canonical space, to choose where searches start (metres)."""

    heads: Float[Tensor, "segment 3"]
    tails: Float[Tensor, "segment 3"]
    bone: Int[Tensor, "segment"]
    """The bone each segment moves with."""


@dataclass(frozen=True)
class Roots:
    """Distinct canonical roots of all points, flat; points may have none, one or several."""

    canonical: Float[Tensor, "root 3"]
    point: Int[Tensor, "root"]
    """Which posed point each root belongs to."""
    point_count: int


@torch.no_grad()
def search(
    posed: Float[Tensor, "point 3"],
    frame: Int[Tensor, "point"],
    field: DeformationField,
    bones: Bones,
    options: SearchOptions,
) -> Roots:
    """Find every canonical root reachable from the nearest bones, by Broyden's method (SNARF, section 3.2)."""
    bone, near = nearest_bones(posed, frame, field.posed_from_canonical, bones, options)
    point = near.nonzero()[:, 0]
    start_bone = bone[near]
    target, frame_of = posed[point], frame[point]
    rigid = field.posed_from_canonical[frame_of, start_bone]
    start = (rigid[:, :3, :3] * (target - rigid[:, :3, 3])[:, :, None]).sum(1)  # R^T (x - t)
    inverse = inverse_3x3(field.blend(start, frame_of)[..., :3])

    def residual(x: Float[Tensor, "active 3"], active: Int[Tensor, "active"]) -> Float[Tensor, "active 3"]:
        return forward_skin(field, x, frame_of[active]) - target[active]

    roots, converged = broyden(residual, start, inverse, options.steps, options.tolerance, options.divergence)
    slots = posed.new_full((*near.shape, 3), torch.nan)
    slots[near] = torch.where(converged[:, None], roots, torch.nan)
    keep = distinct(slots)
    return Roots(slots[keep], keep.nonzero()[:, 0], len(posed))


def nearest_bones(
    posed: Float[Tensor, "point 3"],
    frame: Int[Tensor, "point"],
    posed_from_canonical: Float[Tensor, "frame bone 4 4"],
    bones: Bones,
    options: SearchOptions,
) -> tuple[Int[Tensor, "point start"], Bool[Tensor, "point start"]]:
    """The bones nearest to each point, and which of those are within reach."""
    transforms = posed_from_canonical[:, bones.bone]
    heads = (transforms[..., :3, :3] @ bones.heads[..., None])[..., 0] + transforms[..., :3, 3]
    axes = (transforms[..., :3, :3] @ (bones.tails - bones.heads)[..., None])[..., 0]
    offset = posed[:, None] - heads[frame]
    axis = axes[frame]
    along = ((offset * axis).sum(-1) / (axis * axis).sum(-1).clamp_min(1e-8)).clamp(0, 1)
    squared = (offset - along[..., None] * axis).square().sum(-1)
    per_bone = squared.new_full((len(posed), posed_from_canonical.shape[1]), torch.inf)
    per_bone = per_bone.scatter_reduce(1, bones.bone.expand(len(posed), -1), squared, "amin")
    count = min(options.start_bones, per_bone.shape[1])
    nearest, index = per_bone.topk(count, dim=1, largest=False)
    return index, nearest < options.reach**2


def distinct(roots: Float[Tensor, "point start 3"], separation: float = 2e-3) -> Bool[Tensor, "point start"]:
    """Marks the roots (NaN where a search failed) that repeat no earlier root of their point (metres)."""
    valid = ~roots[..., 0].isnan()
    keep = valid.clone()
    for later in range(1, roots.shape[1]):
        for earlier in range(later):
            close = (roots[:, later] - roots[:, earlier]).square().sum(-1) < separation**2
            keep[:, later] &= ~(close & valid[:, earlier])
    return keep


def attach_gradient(
    roots: Float[Tensor, "root 3"],
    posed: Float[Tensor, "root 3"],
    frame: Int[Tensor, "root"],
    field: DeformationField,
) -> Float[Tensor, "root 3"]:
    """The same roots, differentiable by the field's weights and bones and by the posed points.

    Implicit differentiation of d(x_c) = x_posed: `dx_c = -J^-1 (dd - dx_posed)`, J the exact spatial Jacobian of d at
    the root; x_c and J are constants (SNARF, equation 8). Values do not change.
    """
    fixed = roots.detach()
    inverse = inverse_3x3(field.jacobian(fixed, frame))
    carried = apply_affine(field.blend(fixed, frame), fixed)
    change = (carried - carried.detach()) - (posed - posed.detach())
    return fixed - (inverse * change[:, None]).sum(-1)
