"""Feature vectors on grids of several spacings, for small decoders; fine grids share rows of a table (hashing)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avatars.fields.grid import GridSpec, interpolate
from avatars.fields.patches import PatchedGrid
from body_models.errors import InputError

Grid = GridSpec | PatchedGrid

MOST_ROWS = 17
"""A table has at most two to this power rows; a surface touches few enough nodes of a fine grid to share them."""

SCATTER = 2654435761
"""Odd multiplier that scatters neighbouring numbers over 32 bits (Knuth, volume 3, section 6.4)."""


class FeatureGrids(nn.Module):
    """Features interpolated on grids and put side by side; nodes of a grid above `rows` share rows (Instant-NGP).

    Raises InputError for a grid without channels.
    """

    def __init__(self, levels: list[tuple[GridSpec, int]], most_rows: int = MOST_ROWS) -> None:
        super().__init__()
        for spec, channels in levels:
            if channels < 1:
                raise InputError(f"A feature grid of {spec.spacing} m needs at least one channel, not {channels}.")
        self.specs, self.most_rows = [spec for spec, _ in levels], most_rows
        sizes = [(min(spec.count, 2**most_rows), channels) for spec, channels in levels]
        self.tables = nn.ParameterList([0.01 * torch.randn(rows, channels) for rows, channels in sizes])

    @property
    def size(self) -> int:
        """Number of features a point."""
        return sum(table.shape[1] for table in self.tables)

    def forward(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point feature"]:
        """Features at canonical points (metres)."""
        parts = [points.new_zeros(len(points), 0)]
        for spec, table in zip(self.specs, self.tables, strict=True):
            index, weights = spec.corners(points)
            parts.append(interpolate(table, self._rows(spec, index), weights))
        return torch.cat(parts, 1)

    def with_slopes(
        self, points: Float[Tensor, "point 3"]
    ) -> tuple[Float[Tensor, "point feature"], Float[Tensor, "point 3 feature"]]:
        """Features, and their derivatives along x, y and z (per metre)."""
        values, slopes = [points.new_zeros(len(points), 0)], [points.new_zeros(len(points), 3, 0)]
        for spec, table in zip(self.specs, self.tables, strict=True):
            index, weights, rises = spec.corner_slopes(points)
            value, slope = interpolate_with_slopes(table, self._rows(spec, index), weights, rises)
            values.append(value)
            slopes.append(slope)
        return torch.cat(values, 1), torch.cat(slopes, 2)

    def _rows(self, spec: GridSpec, index: Int[Tensor, "point 8"]) -> Int[Tensor, "point 8"]:
        if spec.count <= 2**self.most_rows:
            return index
        return (index * SCATTER & 0xFFFFFFFF) >> (32 - self.most_rows)


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


def smooth_slopes(
    grid: Grid, table: Float[Tensor, "row channel"], points: Float[Tensor, "point 3"]
) -> Float[Tensor, "point 3 channel"]:
    """Differences over half a spacing to either side: derivatives that, unlike the exact ones, pass smoothly on.

    They are the derivatives of the field averaged over one cell's width (per metre).
    """
    spacing = spacing_at(grid, points)
    steps = 0.5 * spacing[:, None, None] * torch.eye(3).to(points)
    ends = torch.stack([points[:, None] + steps, points[:, None] - steps], 1)
    values = interpolate(table, *grid.corners(ends.reshape(-1, 3))).reshape(len(points), 2, 3, table.shape[1])
    return (values[:, 0] - values[:, 1]) / spacing[:, None, None]


def spacing_at(grid: Grid, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point"]:
    """Spacing of the finest grid that holds each point (metres)."""
    patches = grid.patches if isinstance(grid, PatchedGrid) else (grid,)
    spacing = points.new_full((len(points),), patches[0].spacing)
    for patch in patches[1:]:
        spacing = torch.where(patch.contains(points), patch.spacing, spacing)
    return spacing
