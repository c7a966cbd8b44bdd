"""Forward search: the canonical points that a deformation field carries to given posed points.

One door for every field and implementation: `search(posed, frame, field, options) -> Roots`.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.deform.broyden import broyden, inverse_3x3
from avatars.deform.kernel_search import find_roots
from avatars.deform.roots import Roots, SearchOptions, distinct
from avatars.deform.sampled import SampledSkinning
from avatars.deform.skinning import DeformationField, forward_skin
from avatars.deform.starts import choose_starts
from body_models import InputError
from body_models.precision import matmul


@torch.no_grad()
def search(
    posed: Float[Tensor, "point 3"],
    frame: Int[Tensor, "point"],
    field: DeformationField,
    options: SearchOptions,
) -> Roots:
    """Find the distinct canonical roots of posed points (SNARF, section 3.2); nothing for points that are no numbers.

    Fields sampled on grids, in single precision, are searched by the fused kernel; every other field, and double
    precision, by the torch twin, which gives the meaning.
    """
    _check(posed, frame, field)
    if isinstance(field, SampledSkinning) and posed.dtype == torch.float32:
        return find_roots(posed, frame, field, options, inverse_affine(field.posed_from_canonical))
    return search_twin(posed, frame, field, options)


@torch.no_grad()
def search_twin(
    posed: Float[Tensor, "point 3"],
    frame: Int[Tensor, "point"],
    field: DeformationField,
    options: SearchOptions,
) -> Roots:
    """The search in plain torch: Broyden's method on the exact field from every chosen start."""
    canonical_from_posed = inverse_affine(field.posed_from_canonical)[frame]
    start, use = choose_starts(
        posed, canonical_from_posed, field.starts, options.start_bones, options.least_influence, options.reach
    )
    point = use.nonzero()[:, 0]
    target, frame_of, first = posed[point], frame[point], start[use]
    inverse = inverse_3x3(field.jacobian(first, frame_of))

    def residual(x: Float[Tensor, "active 3"], active: Int[Tensor, "active"]) -> Float[Tensor, "active 3"]:
        return forward_skin(field, x, frame_of[active]) - target[active]

    roots, converged = broyden(residual, first, inverse, options.steps, options.tolerance, options.divergence)
    slots = posed.new_full(start.shape, torch.nan)
    slots[use] = torch.where(converged[:, None], roots, torch.nan)
    keep = distinct(slots, options.separation)
    return Roots(slots[keep], keep.nonzero()[:, 0], len(posed))


def inverse_affine(transforms: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 3 4"]:
    """Inverses of affine transforms, scaled and reflected ones too; NaN where there is none."""
    linear, translation = transforms[..., :3, :3], transforms[..., :3, 3:]
    determinant = torch.linalg.det(linear)
    regular = (determinant.abs() > 1e-9)[..., None, None]
    safe = torch.where(regular, linear, torch.eye(3).to(linear))
    inverse = torch.where(regular, torch.linalg.inv(safe), torch.nan)
    return torch.cat([inverse, -matmul(inverse, translation)], dim=-1)


def _check(posed: Tensor, frame: Tensor, field: DeformationField) -> None:
    bones = field.posed_from_canonical
    if bones.device != posed.device or frame.device != posed.device:
        raise InputError(
            f"The points are on {posed.device}, their frames on {frame.device} and the field on {bones.device}: "
            "bring all to one device with .to(device)."
        )
    if len(frame) != len(posed):
        raise InputError(f"There are {len(posed)} points but {len(frame)} frame numbers: give one for each point.")
    if posed.dtype != bones.dtype:
        raise InputError(f"The points are {posed.dtype} but the bones {bones.dtype}: give both the same precision.")
    if len(posed) and not (int(frame.min()) >= 0 and int(frame.max()) < len(bones)):
        raise InputError(f"Frames run from {int(frame.min())} to {int(frame.max())}, but there are {len(bones)} poses.")
