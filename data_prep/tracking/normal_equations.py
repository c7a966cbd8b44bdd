"""Normal equations of the data: landmarks with robust weights and the silhouette, a few frames at a time."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from data_prep.tracking.head_points import HeadPoints
from data_prep.tracking.measured import Measured
from data_prep.tracking.motion_model import RIGID, HeadState, linearise
from data_prep.tracking.outline_term import Skull, outline_rows

_AT_ONCE = 16
"""Frames linearised together, so that their derivatives stay in the processor's cache."""


@dataclass(frozen=True)
class DataTerm:
    """What the fit compares: points, their measured places, and how residuals are judged."""

    points: HeadPoints
    skull: Skull | None
    measured: Measured
    outlier: float
    """Robust scale of landmark residuals in face sizes."""
    outline_weight: float


@dataclass(frozen=True)
class Normal:
    """Gauss-Newton matrix and negative gradient of every frame's unknowns, the shared ones last; the data's energy."""

    matrix: Float[Tensor, "frame unknown unknown"]
    pull: Float[Tensor, "frame unknown"]
    energy: Float[Tensor, ""]
    offset_matrix: Float[Tensor, "point 3 3"]
    """The same by each point's place at rest, summed over the frames; zero unless asked for."""
    offset_pull: Float[Tensor, "point 3"]


def normal_equations(
    data: DataTerm, state: HeadState, shared: bool, rigid_only: bool = False, offsets: bool = False
) -> Normal:
    """Sum of all data terms at a state, in double precision."""
    count = len(data.points)
    matrices, pulls, energy = [], [], torch.zeros((), dtype=torch.float64)
    by_offset, pull_offset = torch.zeros(count, 3, 3, dtype=torch.float64), torch.zeros(count, 3, dtype=torch.float64)
    for start in range(0, len(state), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        some, measured = state.chosen(part), data.measured.chosen(part)
        image, jacobian, by_rest = linearise(data.points, some, shared)
        if rigid_only:
            jacobian = torch.cat([jacobian[..., :RIGID], jacobian[..., -1:]], -1) if shared else jacobian[..., :RIGID]
        gap = measured.landmarks - image
        weights, robust = robust_weights(gap, measured, data.outlier)
        rows = jacobian.flatten(1, 2)
        weighted = (weights[..., None, None] * jacobian).flatten(1, 2)
        matrix = (weighted.mT @ rows).double()
        pull = (weighted.mT @ gap.flatten(1)[..., None])[..., 0].double()
        energy = energy + robust.sum().double()
        energy = energy + _add_outline(data, some, measured, shared, rigid_only, matrix, pull)
        matrices.append(matrix)
        pulls.append(pull)
        if offsets:
            scaled = weights[..., None, None] * by_rest
            by_offset += torch.einsum("fpki,fpkj->pij", scaled, by_rest).double()
            pull_offset += torch.einsum("fpki,fpk->pi", scaled, gap).double()
    return Normal(torch.cat(matrices), torch.cat(pulls), energy, by_offset, pull_offset)


def _add_outline(
    data: DataTerm, state: HeadState, measured: Measured, shared: bool, rigid_only: bool, matrix: Tensor, pull: Tensor
) -> Tensor:
    """Add the silhouette's share in place; returns its energy."""
    if data.skull is None or data.outline_weight == 0:
        return torch.zeros((), dtype=torch.float64)
    rows = outline_rows(data.skull, data.points.pivot, state, measured, shared)
    if rows is None:
        return torch.zeros((), dtype=torch.float64)
    jacobian = rows.jacobian.double()
    shared_count = jacobian.shape[-1] - RIGID
    if rigid_only and shared:
        jacobian = torch.cat([jacobian[..., :RIGID], jacobian[..., -1:]], -1)
        shared_count = 1
    size = matrix.shape[-1]
    columns = [*range(RIGID), *range(size - shared_count, size)]
    precision, gap = data.outline_weight * rows.precision.double(), rows.gap.double()
    weighted = precision[..., None] * jacobian
    index = torch.tensor(columns)
    matrix[:, index[:, None], index] += weighted.mT @ jacobian
    pull[:, index] += (weighted.mT @ gap[..., None])[..., 0]
    return (precision * gap**2).sum() / 2


def robust_weights(gap: Tensor, measured: Measured, outlier: float) -> tuple[Tensor, Tensor]:
    """Geman and McClure's weights of landmarks (inverse variance in the picture's units) and their energies."""
    squared = (gap**2).sum(-1) / measured.sizes[:, None] ** 2
    fade = outlier**2 / (outlier**2 + squared)
    weights = measured.precision / measured.sizes[:, None] ** 2 * fade**2
    return weights, measured.precision * squared * fade / 2
