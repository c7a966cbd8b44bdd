"""Broyden's method for many small independent systems at once."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Residual = Callable[[Float[Tensor, "active 3"], Int[Tensor, "active"]], Float[Tensor, "active 3"]]
"""Residual at current iterates; the second argument says which of the systems they belong to."""
SINGULAR = 1e-3
"""Determinants nearer to zero than this are not divided by."""


@torch.no_grad()
def broyden(
    residual: Residual,
    start: Float[Tensor, "system 3"],
    inverse_jacobian: Float[Tensor, "system 3 3"],
    steps: int,
    tolerance: float,
    divergence: float,
) -> tuple[Float[Tensor, "system 3"], Bool[Tensor, "system"]]:
    """Roots found by the "good" Broyden update, and which systems converged.

    A system leaves the active set once its residual falls below `tolerance`, or is given up at `divergence` (both in
    the residual's unit). Source: Broyden 1965; used for skinning by SNARF, section 3.2.
    """
    roots = start.clone()
    converged = torch.zeros(len(start), dtype=torch.bool, device=start.device)
    active = torch.arange(len(start), device=start.device)
    point, inverse = start, inverse_jacobian
    value = residual(point, active)
    for step in range(steps + 1):
        size = value.norm(dim=1)
        done = size < tolerance
        roots[active[done]] = point[done]
        converged[active[done]] = True
        going = ~done & (size < divergence)
        if step == steps or not going.any():
            break
        active, point, inverse, value = active[going], point[going], inverse[going], value[going]
        move = -_apply(inverse, value)
        point = point + move
        new_value = residual(point, active)
        inverse = _updated(inverse, move, new_value - value)
        value = new_value
    return roots, converged


def _updated(
    inverse: Float[Tensor, "active 3 3"], move: Float[Tensor, "active 3"], change: Float[Tensor, "active 3"]
) -> Float[Tensor, "active 3 3"]:
    """Rank-one update of the inverse Jacobian that maps the residual's change to the move (Sherman-Morrison)."""
    mapped = _apply(inverse, change)
    row = (move[:, :, None] * inverse).sum(1)
    denominator = (row * change).sum(1)
    denominator = torch.where(denominator < 0, denominator - 1e-6, denominator + 1e-6)
    return inverse + (move - mapped)[:, :, None] * (row / denominator[:, None])[:, None]


def _apply(matrix: Float[Tensor, "active 3 3"], vector: Float[Tensor, "active 3"]) -> Float[Tensor, "active 3"]:
    return (matrix * vector[:, None]).sum(-1)


def inverse_3x3(matrix: Float[Tensor, "system 3 3"]) -> Float[Tensor, "system 3 3"]:
    """Inverse by the adjugate; the identity where the matrix is (nearly) singular, so that nothing becomes NaN."""
    a, b, c = matrix.unbind(1)
    cross = torch.linalg.cross
    adjugate = torch.stack([cross(b, c), cross(c, a), cross(a, b)], 2)
    determinant = (a * adjugate[:, :, 0]).sum(1)
    regular = determinant.abs() > SINGULAR
    safe = torch.where(regular, determinant, torch.ones_like(determinant))
    identity = torch.eye(3, device=matrix.device, dtype=matrix.dtype)
    return torch.where(regular[:, None, None], adjugate / safe[:, None, None], identity)
