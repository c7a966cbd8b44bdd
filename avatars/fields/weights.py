"""Skinning-weight fields: logits on a grid (fast) and an MLP (the publication's)."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avatars.fields.grid import interpolate
from avatars.fields.mlp import Mlp
from avatars.fields.patches import PatchedGrid
from avatars.fields.reading import read
from avatars.fields.softmax import SHARPNESS, hierarchical_log_weights, hierarchical_logits, logit_count

SMALLEST = 1e-7
"""Weights below this start as if they were this; a logarithm needs a floor."""


@runtime_checkable
class WeightField(Protocol):
    """Skinning weights at canonical points, learned; each row sums to one."""

    def __call__(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point bone"]:
        """Weights at points (metres, canonical)."""
        ...

    def log_weights(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point bone"]:
        """Logarithms of the weights, but for a constant of each point."""
        ...


class GridWeights(nn.Module):
    """Skinning weights as logits on a grid: interpolated, then softmaxed.

    Interpolating logits instead of weights keeps the field of a network of four layers to a millimetre on a grid of
    25 mm, where interpolated weights (Fast-SNARF's) need one of 8 mm. `parents` turns on the hierarchical softmax.
    """

    rim: Tensor
    rim_corners: Tensor
    rim_weights: Tensor

    def __init__(self, grid: PatchedGrid, bones: int, parents: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.grid, self.parents = grid, parents
        self.logits = nn.Parameter(torch.zeros(grid.count, logit_count(parents) if parents else bones))
        for name, value in zip(("rim", "rim_corners", "rim_weights"), grid.rim(), strict=True):
            self.register_buffer(name, value, persistent=False)

    def start_from(self, weights: Float[Tensor, "node bone"]) -> None:
        """Begin at given weights, one row a node."""
        floored = weights.clamp_min(SMALLEST)
        logits = floored.log() if self.parents is None else hierarchical_logits(floored, self.parents)
        with torch.no_grad():
            self.logits.copy_(logits / SHARPNESS)

    def at_nodes(self) -> Float[Tensor, "node bone"]:
        """Logarithms of the weights at the grid's nodes, but for a constant; continuous across the rims of patches."""
        values = SHARPNESS * self.logits
        if self.parents is not None:
            values = hierarchical_log_weights(values, self.parents)
        if len(self.rim) == 0:
            return values
        return values.index_copy(0, self.rim, interpolate(values, self.rim_corners, self.rim_weights.to(values)))

    def log_weights(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point bone"]:
        """Logarithms of the weights at canonical points (metres), but for a constant of each point."""
        if self.parents is None:
            return read(SHARPNESS * self.logits, self.grid, points, mended=True)
        return read(self.at_nodes(), self.grid, points)

    def forward(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point bone"]:
        """Weights at canonical points (metres)."""
        return torch.softmax(self.log_weights(points), dim=1)


class MlpWeights(nn.Module):
    """Skinning weights by an MLP and a softmax (SNARF's field: 4 layers of 128)."""

    def __init__(self, bones: int, width: int = 128, depth: int = 4, parents: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.parents = parents
        self.mlp = Mlp(3, logit_count(parents) if parents else bones, width, depth)

    def log_weights(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point bone"]:
        """Logarithms of the weights at canonical points (metres), but for a constant of each point."""
        values = SHARPNESS * self.mlp(points)
        return values if self.parents is None else hierarchical_log_weights(values, self.parents)

    def forward(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point bone"]:
        """Weights at canonical points (metres)."""
        return torch.softmax(self.log_weights(points), dim=1)
