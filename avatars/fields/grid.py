"""Values on a regular grid over a box of canonical space, read off by trilinear interpolation."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class GridSpec:
    """Where the nodes of a regular grid lie: lowest corner and spacing in metres, nodes along x, y and z."""

    lower: tuple[float, float, float]
    spacing: float
    shape: tuple[int, int, int]

    @staticmethod
    def covering(lower: Float[Tensor, "3"], upper: Float[Tensor, "3"], spacing: float) -> "GridSpec":
        """The grid of a spacing that covers a box."""
        counts = torch.ceil((upper - lower) / spacing).long() + 1
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

    def corners(
        self, points: Float[Tensor, "point 3"]
    ) -> tuple[Int[Tensor, "point 8"], Float[Tensor, "point 8"]]:
        """The eight nodes about each point and their trilinear weights; points outside take the border's values."""
        highest = points.new_tensor([n - 1.0 for n in self.shape])
        scaled = ((points - points.new_tensor(self.lower)) / self.spacing).clamp(min=torch.zeros_like(highest), max=highest)
        base = torch.minimum(scaled.detach().floor(), highest - 1)
        fraction = scaled - base
        first = base.long()
        _, ny, nz = self.shape
        index = (first[:, 0] * ny + first[:, 1]) * nz + first[:, 2]
        offsets = torch.tensor([(i * ny + j) * nz + k for i in (0, 1) for j in (0, 1) for k in (0, 1)])
        x, y, z = (torch.stack([1 - f, f], 1) for f in fraction.unbind(1))
        weights = x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]
        return index[:, None] + offsets.to(index), weights.flatten(1)


def interpolate(
    table: Float[Tensor, "row channel"], index: Int[Tensor, "point 8"], weights: Float[Tensor, "point 8"]
) -> Float[Tensor, "point channel"]:
    """Weighted sum of eight rows a point; differentiable in table and weights."""
    if len(index) == 0:
        return table.new_zeros(0, table.shape[1])
    return functional.embedding_bag(index, table, per_sample_weights=weights, mode="sum")
