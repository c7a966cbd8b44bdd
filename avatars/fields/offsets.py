"""Blendshape offset fields: how far canonical points move with expressions and poses, before the bones carry them."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avatars.fields.grid import interpolate
from avatars.fields.mlp import Mlp
from avatars.fields.patches import PatchedGrid
from avatars.fields.reading import read


@runtime_checkable
class OffsetField(Protocol):
    """A basis of displacements at canonical points, learned; coefficients (expression, pose feature) mix it."""

    def __call__(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point coefficient 3"]:
        """Displacement that each coefficient causes at points (metres)."""
        ...


class GridOffsets(nn.Module):
    """A displacement basis on a grid, zero at the start."""

    rim: Tensor
    rim_corners: Tensor
    rim_weights: Tensor

    def __init__(self, grid: PatchedGrid, coefficients: int) -> None:
        super().__init__()
        self.grid, self.coefficients = grid, coefficients
        self.basis = nn.Parameter(torch.zeros(grid.count, coefficients * 3))
        for name, value in zip(("rim", "rim_corners", "rim_weights"), grid.rim(), strict=True):
            self.register_buffer(name, value, persistent=False)

    def start_from(self, basis: Float[Tensor, "node coefficient 3"]) -> None:
        """Begin at given displacements (metres), one row a node."""
        with torch.no_grad():
            self.basis.copy_(basis.flatten(1))

    def at_nodes(self) -> Float[Tensor, "node channel"]:
        """The basis at the grid's nodes, coefficient by coefficient, continuous across the rims of patches."""
        if len(self.rim) == 0:
            return self.basis
        rim = interpolate(self.basis, self.rim_corners, self.rim_weights.to(self.basis))
        return self.basis.index_copy(0, self.rim, rim)

    def forward(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point coefficient 3"]:
        """Displacement that each coefficient causes at canonical points (metres)."""
        return read(self.basis, self.grid, points, mended=True).unflatten(1, (-1, 3))


class MlpOffsets(nn.Module):
    """A displacement basis by an MLP whose last layer starts at zero (IMavatar: 4 layers of 128)."""

    def __init__(self, coefficients: int, width: int = 128, depth: int = 4) -> None:
        super().__init__()
        self.hidden = Mlp(3, width, width, depth - 1)
        self.last = nn.Linear(width, coefficients * 3)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point coefficient 3"]:
        """Displacement that each coefficient causes at canonical points (metres)."""
        return self.last(nn.functional.softplus(self.hidden(points), beta=100)).unflatten(1, (-1, 3))
