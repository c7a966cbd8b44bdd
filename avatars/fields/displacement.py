"""A displacement of canonical points, which a small network decodes from the place and from what it is told."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

from avatars.fields.grid import interpolate
from avatars.fields.patches import PatchedGrid
from body_models.errors import InputError

UNIT = 0.01
"""Metres that a unit of the decoder's output stands for."""
FIRST_SPREAD = 0.1
"""Spread of the grid's features at the start."""


class GridDisplacement(nn.Module):
    """Features at the nodes of a grid, decoded with a condition (expression, pose) to displacements; zero at the start.

    The network is evaluated at the nodes once a frame, and its displacements are interpolated between them. Raises
    InputError for sizes below one.
    """

    rim: Tensor
    rim_corners: Tensor
    rim_weights: Tensor

    def __init__(self, grid: PatchedGrid, condition: int, width: int = 32) -> None:
        super().__init__()
        if min(condition, width) < 1:
            raise InputError(
                f"A displacement field needs a condition and a width of at least one, not {condition} and {width}."
            )
        self.grid = grid
        self.tables = nn.ParameterList([FIRST_SPREAD * torch.randn(grid.count, width)])
        self.told, self.second, self.last = nn.Linear(condition, width), nn.Linear(width, width), nn.Linear(width, 3)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        for name, value in zip(("rim", "rim_corners", "rim_weights"), grid.rim(), strict=True):
            self.register_buffer(name, value, persistent=False)

    def at_nodes(self, condition: Float[Tensor, "frame condition"]) -> Float[Tensor, "frame node 3"]:
        """Displacement of every node in each frame (metres), continuous across the rims of patches."""
        return torch.stack([self._moved(told) for told in self.told(condition)])

    def _moved(self, told: Float[Tensor, "width"]) -> Float[Tensor, "node 3"]:
        moved: Tensor = UNIT * self.last(silu(self.second(silu(self.tables[0] + told))))
        if len(self.rim) == 0:
            return moved
        return moved.index_copy(0, self.rim, interpolate(moved, self.rim_corners, self.rim_weights.to(moved)))
