"""Values on a regular grid over a box of canonical space, read off by trilinear interpolation."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from body_models.errors import InputError


@dataclass(frozen=True)
class GridSpec:
    """Where the nodes of a regular grid lie: lowest corner and spacing in metres, nodes along x, y and z."""

    lower: tuple[float, float, float]
    spacing: float
    shape: tuple[int, int, int]

    @staticmethod
    def covering(lower: Float[Tensor, "3"], upper: Float[Tensor, "3"], spacing: float) -> "GridSpec":
        """The grid of a spacing that covers a box; at least two nodes along each axis.

        Raises InputError for a spacing that is not positive.
        """
        if not spacing > 0:
            raise InputError(f"A grid's spacing must be positive, not {spacing} m.")
        counts = torch.ceil((upper - lower) / spacing).long().clamp_min(1) + 1
        x, y, z = (int(c) for c in counts)
        return GridSpec((float(lower[0]), float(lower[1]), float(lower[2])), spacing, (x, y, z))

    @property
    def count(self) -> int:
        """Number of nodes."""
        x, y, z = self.shape
        return x * y * z

    def nodes(self) -> Float[Tensor, "node 3"]:
        """Positions of all nodes, z fastest (metres)."""
        axes = [low + self.spacing * torch.arange(n) for low, n in zip(self.lower, self.shape, strict=True)]
        return torch.cartesian_prod(*axes)

    def contains(self, points: Float[Tensor, "point 3"]) -> Bool[Tensor, "point"]:
        """Whether points lie in the grid's box."""
        lower = points.new_tensor(self.lower)
        upper = lower + self.spacing * (points.new_tensor(self.shape) - 1)
        return ((points >= lower) & (points <= upper)).all(1)

    def corners(self, points: Float[Tensor, "point 3"]) -> tuple[Int[Tensor, "point 8"], Float[Tensor, "point 8"]]:
        """The eight nodes about each point and their trilinear weights; points outside take the border's values.

        Points that are not numbers get weights that are not numbers, at nodes that exist.
        """
        index, fraction = self._cell(points)
        return index, _products(*(torch.stack([1 - f, f], 1) for f in fraction.unbind(1)))

    def corner_slopes(
        self, points: Float[Tensor, "point 3"]
    ) -> tuple[Int[Tensor, "point 8"], Float[Tensor, "point 8"], Float[Tensor, "point 3 8"]]:
        """As `corners`, and the derivatives of the weights along x, y and z (per metre; zero beyond the border)."""
        index, fraction = self._cell(points)
        values = [torch.stack([1 - f, f], 1) for f in fraction.unbind(1)]
        upper = points.new_tensor(self.lower) + self.spacing * (points.new_tensor(self.shape) - 1)
        within = (points >= points.new_tensor(self.lower)) & (points <= upper)
        rise = points.new_tensor([-1.0, 1.0]) / self.spacing
        rises = [rise * w[:, None] for w in within.unbind(1)]
        slopes = [_products(*(rises[k] if k == axis else values[k] for k in range(3))) for axis in range(3)]
        return index, _products(*values), torch.stack(slopes, 1)

    def _cell(self, points: Float[Tensor, "point 3"]) -> tuple[Int[Tensor, "point 8"], Float[Tensor, "point 3"]]:
        """The eight nodes about each point, and where between them it lies (0..1 along each axis)."""
        highest = points.new_tensor([n - 1.0 for n in self.shape])
        scaled = (points - points.new_tensor(self.lower)) / self.spacing
        scaled = scaled.clamp(min=torch.zeros_like(highest), max=highest)
        base = torch.minimum(scaled.detach().nan_to_num().floor(), highest - 1)
        first = base.long()
        _, ny, nz = self.shape
        index = (first[:, 0] * ny + first[:, 1]) * nz + first[:, 2]
        offsets = torch.tensor([(i * ny + j) * nz + k for i in (0, 1) for j in (0, 1) for k in (0, 1)])
        return index[:, None] + offsets.to(index), scaled - base


def _products(
    x: Float[Tensor, "point 2"], y: Float[Tensor, "point 2"], z: Float[Tensor, "point 2"]
) -> Float[Tensor, "point 8"]:
    """All products of one factor an axis, z fastest."""
    return (x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]).flatten(1)


def interpolate(
    table: Float[Tensor, "row channel"], index: Int[Tensor, "point 8"], weights: Float[Tensor, "point 8"]
) -> Float[Tensor, "point channel"]:
    """Weighted sum of eight rows a point; differentiable in table and weights, twice too."""
    if len(index) == 0:
        return table.new_zeros(0, table.shape[1])
    return _Interpolation.apply(table, index, weights)


def interpolate_with_slopes(
    table: Float[Tensor, "row channel"],
    index: Int[Tensor, "point 8"],
    weights: Float[Tensor, "point 8"],
    slopes: Float[Tensor, "point 3 8"],
) -> tuple[Float[Tensor, "point channel"], Float[Tensor, "point 3 channel"]]:
    """Values and derivatives as weighted sums of eight rows a point; differentiable in all but the index."""
    rows = table.index_select(0, index.reshape(-1)).reshape(len(index), 8, table.shape[1])
    both = torch.cat([weights[:, None], slopes], 1) @ rows
    return both[:, 0], both[:, 1:]


class _Interpolation(torch.autograd.Function):
    """torch's embedding_bag forward; backward it sorts all indices, where adding up the rows is ten times as fast."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(table, index, weights)
        return functional.embedding_bag(index, table, per_sample_weights=weights, mode="sum")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        (gradient,), (table, index, weights) = gradients, ctx.saved_tensors
        by_table = by_weights = None
        if ctx.needs_input_grad[0]:
            shares = (weights[..., None] * gradient[:, None]).flatten(0, 1)
            by_table = torch.zeros_like(table).index_add_(0, index.reshape(-1), shares)
        if ctx.needs_input_grad[2]:
            by_weights = (table[index] * gradient[:, None]).sum(-1)
        return by_table, None, by_weights
