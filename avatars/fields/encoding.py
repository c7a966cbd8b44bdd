"""Feature vectors on grids of several spacings, for small decoders; fine grids share rows of a table (hashing)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avatars.fields.grid import GridSpec
from avatars.fields.patches import PatchedGrid
from avatars.fields.reading import Grid, read, read_with_slopes
from body_models.errors import InputError

MOST_ROWS = 17
"""A table has at most two to this power rows; a surface touches few enough nodes of a fine grid to share them."""


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
        parts += [read(table, spec, points, bits=bits) for spec, table, bits in self._levels()]
        return torch.cat(parts, 1)

    def with_slopes(
        self, points: Float[Tensor, "point 3"]
    ) -> tuple[Float[Tensor, "point feature"], Float[Tensor, "point 3 feature"]]:
        """Features, and their derivatives along x, y and z (per metre)."""
        values, slopes = [points.new_zeros(len(points), 0)], [points.new_zeros(len(points), 3, 0)]
        for spec, table, bits in self._levels():
            value, slope = read_with_slopes(table, spec, points, bits=bits)
            values.append(value)
            slopes.append(slope)
        return torch.cat(values, 1), torch.cat(slopes, 2)

    def _levels(self) -> list[tuple[GridSpec, Float[Tensor, "row channel"], int]]:
        """Each grid with its table, and the power of two of its rows where nodes share them."""
        shared = [self.most_rows if spec.count > 2**self.most_rows else 0 for spec in self.specs]
        return list(zip(self.specs, self.tables, shared, strict=True))


def with_smooth_slopes(
    grid: Grid, table: Float[Tensor, "row channel"], points: Float[Tensor, "point 3"], mended: bool = False
) -> tuple[Float[Tensor, "point channel"], Float[Tensor, "point 3 channel"]]:
    """Values at points, and differences over half a spacing to either side: derivatives that pass smoothly on.

    They are the exact derivatives of the field averaged over one cell's width (per metre); `mended` as for `read`.
    """
    spacing = spacing_at(grid, points)[:, None, None]
    steps = 0.5 * spacing * torch.eye(3).to(points)
    middle = points[:, None]
    places = torch.cat([middle, middle + steps, middle - steps], 1)
    values = read(table, grid, places.reshape(-1, 3), mended).unflatten(0, (len(points), 7))
    return values[:, 0], (values[:, 1:4] - values[:, 4:]) / spacing


def spacing_at(grid: Grid, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point"]:
    """Spacing of the finest grid that holds each point (metres)."""
    patches = grid.patches if isinstance(grid, PatchedGrid) else (grid,)
    spacing = points.new_full((len(points),), patches[0].spacing)
    for patch in patches[1:]:
        spacing = torch.where(patch.contains(points), patch.spacing, spacing)
    return spacing
