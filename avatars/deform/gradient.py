"""Gradients of canonical roots by implicit differentiation."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.deform.broyden import SINGULAR, inverse_3x3
from avatars.deform.roots import Roots
from avatars.deform.skinning import DeformationField, forward_skin


def polish(
    roots: Roots, posed: Float[Tensor, "point 3"], frame: Int[Tensor, "point"], field: DeformationField
) -> Roots:
    """Move roots of a nearby field towards those of this one by a Newton step; a root that it would harm stays."""
    target, frame_of = posed[roots.point], frame[roots.point]
    with torch.no_grad():
        inverse = _regular_inverse(field.jacobian(roots.canonical, frame_of))
        before = forward_skin(field, roots.canonical, frame_of) - target
        moved = roots.canonical - (inverse * before[:, None]).sum(-1)
        after = forward_skin(field, moved, frame_of) - target
        better = after.norm(dim=1) < before.norm(dim=1)
    canonical = torch.where(better[:, None], moved, roots.canonical)
    return replace(roots, canonical=canonical, inverse_jacobian=inverse)


def attach_gradient(
    roots: Roots, posed: Float[Tensor, "point 3"], frame: Int[Tensor, "point"], field: DeformationField
) -> Float[Tensor, "root 3"]:
    """The same roots, differentiable by the field's weights, offsets and bones and by the posed points.

    Implicit differentiation of d(x_c) = x_posed: `dx_c = -J^-1 (dd - dx_posed)`, J the exact spatial Jacobian of d at
    the root; x_c and J are constants (SNARF, equation 8). Values do not change; a root with a degenerate Jacobian
    passes no gradient on.
    """
    fixed, frame_of = roots.canonical.detach(), frame[roots.point]
    inverse = roots.inverse_jacobian
    if inverse is None:
        inverse = _regular_inverse(field.jacobian(fixed, frame_of))
    target = posed[roots.point]
    carried = forward_skin(field, fixed, frame_of)
    change = (carried - carried.detach()) - (target - target.detach())
    return fixed - (inverse * change[:, None]).sum(-1)


def _regular_inverse(jacobian: Float[Tensor, "root 3 3"]) -> Float[Tensor, "root 3 3"]:
    """Inverses; zero where the Jacobian is degenerate, so that no step is taken and no gradient passes there."""
    regular = torch.linalg.det(jacobian).abs() > SINGULAR
    return torch.where(regular[:, None, None], inverse_3x3(jacobian), torch.zeros_like(jacobian))
