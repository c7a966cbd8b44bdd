"""Read tables at points of grids, with slopes where wanted: one kernel launch instead of dozens of torch operations.

`read_twin` gives the meaning in plain torch; it serves double precision and gradients of gradients. All else runs the
kernel, the same source on CPU and CUDA.
"""

from functools import cache, lru_cache
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.fields.grid import GridSpec, interpolate, interpolate_with_slopes
from avatars.fields.launches import as_warp, on_all_cores
from avatars.fields.patches import PatchedGrid
from data_prep.warp_runtime import on_torch_stream, start_warp

Grid = GridSpec | PatchedGrid
Slopes = Float[Tensor, "point 3 channel"] | None
SCATTER = 2654435761
"""Odd multiplier that scatters neighbouring numbers over 32 bits (Knuth, volume 3, section 6.4)."""


def read(
    table: Float[Tensor, "row channel"],
    grid: Grid,
    points: Float[Tensor, "point 3"],
    mended: bool = False,
    bits: int = 0,
    frame: Int[Tensor, "point"] | None = None,
) -> Float[Tensor, "point channel"]:
    """Values at points from a table with a row a node, differentiable in table and points (metres).

    `mended` gives the rims of fine patches what the first grid says there, whatever their own rows hold. `bits`
    scatters nodes over two to that power rows; 0 gives each its own. With `frame` the table holds the rows of several
    frames on end. Points that are not numbers get values that are none.
    """
    return _read(table, grid, points, mended, bits, frame, False)[0]


def read_with_slopes(
    table: Float[Tensor, "row channel"],
    grid: Grid,
    points: Float[Tensor, "point 3"],
    mended: bool = False,
    bits: int = 0,
    frame: Int[Tensor, "point"] | None = None,
) -> tuple[Float[Tensor, "point channel"], Float[Tensor, "point 3 channel"]]:
    """As `read`, with the values' derivatives along x, y and z (per metre), differentiable too."""
    values, slopes = _read(table, grid, points, mended, bits, frame, True)
    assert slopes is not None
    return values, slopes


def _read(
    table: Tensor, grid: Grid, points: Tensor, mended: bool, bits: int, frame: Tensor | None, slopes: bool
) -> tuple[Tensor, Slopes]:
    mended = mended and isinstance(grid, PatchedGrid) and len(grid.patches) > 1
    if len(points) == 0 or table.dtype != torch.float32 or points.dtype != torch.float32:
        return read_twin(table, grid, points, mended, bits, frame, slopes)
    values, rises = _Reading.apply(table, points, grid, mended, bits, frame, slopes)
    return values, rises if slopes else None


def read_twin(
    table: Float[Tensor, "row channel"],
    grid: Grid,
    points: Float[Tensor, "point 3"],
    mended: bool,
    bits: int,
    frame: Int[Tensor, "point"] | None,
    slopes: bool,
) -> tuple[Float[Tensor, "point channel"], Slopes]:
    """What reading means, by torch alone."""
    if mended and isinstance(grid, PatchedGrid):
        rim, corners, shares = grid.rim_on(table.device)
        firsts = torch.arange(0, len(table), grid.count, device=table.device)
        some = [(rim + first, corners + first) for first in firsts]
        for number, places in some:
            table = table.index_copy(0, number, interpolate(table, places, shares.to(table)))
    if slopes:
        index, weights, rises = grid.corner_slopes(points)
    else:
        (index, weights), rises = grid.corners(points), None
    if bits:
        index = (index * SCATTER & 0xFFFFFFFF) >> (32 - bits)
    if frame is not None:
        index = index + frame[:, None] * grid.count
    if rises is None:
        return interpolate(table, index, weights), None
    return interpolate_with_slopes(table, index, weights, rises)


class _Reading(torch.autograd.Function):
    """The kernels as one differentiable operation."""

    @staticmethod
    def forward(
        ctx: Any, table: Tensor, points: Tensor, grid: Grid, mended: bool, bits: int, frame: Tensor | None, slopes: bool
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(table, points)
        ctx.how = (grid, mended, bits, frame, slopes)
        count, channels = len(points), table.shape[1]
        values = points.new_zeros(count, channels)
        rises = points.new_zeros(count if slopes else 0, 3, channels)
        _run_reading(table, points, ctx.how, values, rises)
        if not slopes:
            ctx.mark_non_differentiable(rises)
        return values, rises

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        table, points = ctx.saved_tensors
        by_table, by_points = ctx.needs_input_grad[:2]
        none = (None,) * 5
        if torch.is_grad_enabled():
            return (*_twin_gradients(table, points, ctx.how, gradients, by_table, by_points), *none)
        to_table = torch.zeros_like(table) if by_table else table.new_zeros(0, 0)
        to_points = torch.empty_like(points) if by_points else points.new_zeros(0, 3)
        slopes = gradients[1] if ctx.how[4] else table.new_zeros(0, 3, table.shape[1])
        given = [gradients[0].contiguous(), slopes.contiguous()]
        _run_handing_back(table, points, ctx.how, given, to_table, to_points)
        return (to_table if by_table else None, to_points if by_points else None, *none)


def _twin_gradients(
    table: Tensor, points: Tensor, how: tuple[Any, ...], gradients: tuple[Tensor, ...], by_table: bool, by_points: bool
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients with a graph of their own, for a second derivative."""
    grid, mended, bits, frame, slopes = how
    outputs = [value for value in read_twin(table, grid, points, mended, bits, frame, slopes) if value is not None]
    wanted = [value for value, asked in ((table, by_table), (points, by_points)) if asked]
    given = gradients[: len(outputs)]
    found = torch.autograd.grad(outputs, wanted, given, create_graph=True, allow_unused=True)
    answers = iter(found)
    return next(answers) if by_table else None, next(answers) if by_points else None


def _run_reading(table: Tensor, points: Tensor, how: tuple[Any, ...], values: Tensor, rises: Tensor) -> None:
    warp, kernel = start_warp(), _kernels().read_kernel
    table, points, frames = _plain(table, points, how)
    device, patches, rows = str(points.device), patches_on(how[0], str(points.device)), _rows(how, str(points.device))

    def run(start: int, stop: int) -> None:
        where = [as_warp(points[start:stop], warp.vec3), as_warp(frames[start:stop], warp.int32), how[0].count]
        answers = [as_warp(values[start:stop], warp.float32), as_warp(rises[start:stop], warp.float32)]
        inputs = [patches, *where, rows, as_warp(table, warp.float32), *answers]
        warp.launch(kernel, dim=stop - start, inputs=inputs, device=device)

    on_all_cores(kernel, run, len(points), points.device)


def _run_handing_back(
    table: Tensor, points: Tensor, how: tuple[Any, ...], given: list[Tensor], to_table: Tensor, to_points: Tensor
) -> None:
    """On one core of a CPU, where nothing would keep several from adding to a row at once."""
    warp, kernel = start_warp(), _kernels().hand_back_kernel
    table, points, frames = _plain(table, points, how)
    device = str(points.device)
    where = [as_warp(points, warp.vec3), as_warp(frames, warp.int32), how[0].count]
    values = [as_warp(value, warp.float32) for value in (table, *given, to_table)]
    inputs = [patches_on(how[0], device), *where, _rows(how, device), *values, as_warp(to_points, warp.vec3)]
    with on_torch_stream(points.device):
        warp.launch(kernel, dim=len(points), inputs=inputs, device=device)


def _plain(table: Tensor, points: Tensor, how: tuple[Any, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Table, points and frames as kernels take them; raises IndexError where they would be read beyond their ends."""
    grid, _, bits, frame, _ = how
    rows = 2**bits if bits else grid.count
    if len(table) < rows:
        raise IndexError(f"The table has {len(table)} rows, but its grid needs {rows}.")
    if frame is not None:
        check_frames(frame, len(table) // grid.count)
    frames = _no_frames(points.device) if frame is None else frame.to(torch.int32).contiguous()
    return table.detach().contiguous(), points.detach().contiguous(), frames


def check_frames(frame: Int[Tensor, "point"], count: int) -> None:
    """Raise IndexError for frames beyond `count`, which a kernel would read all the same; not on CUDA, which waits."""
    if frame.device.type == "cpu" and len(frame):
        least, most = (int(value) for value in frame.aminmax())
        if least < 0 or most >= count:
            raise IndexError(f"Frames run from {least} to {most}, but there are {count}.")


@lru_cache(maxsize=128)
def patches_on(grid: Grid, device: str) -> Any:
    """A grid's patches as kernels take them."""
    warp, kernels = start_warp(), _kernels()
    patches, offsets = (grid.patches, grid.offsets) if isinstance(grid, PatchedGrid) else ((grid,), (0,))
    rows = []
    for spec, offset in zip(patches, offsets, strict=True):
        patch = kernels.Patch()
        lower, shape = torch.tensor(spec.lower), torch.tensor(spec.shape, dtype=torch.float32)
        upper = lower + spec.spacing * (shape - 1)  # in single precision, as GridSpec.contains has it
        patch.lower, patch.upper = warp.vec3(*spec.lower), warp.vec3(*upper.tolist())
        patch.spacing, patch.shape, patch.offset = spec.spacing, warp.vec3i(*spec.shape), offset
        rows.append(patch)
    return warp.array(rows, dtype=kernels.Patch, device=device)


def _rows(how: tuple[Any, ...], device: str) -> Any:
    grid, mended, bits, _, _ = how
    return _rows_on(grid if mended else None, bits, device)


@lru_cache(maxsize=128)
def _rows_on(grid: PatchedGrid | None, bits: int, device: str) -> Any:
    warp, rows = start_warp(), _kernels().Rows()
    rows.shift = 32 - bits if bits else 0
    if grid is None:
        slot, corners, shares = torch.zeros(0), torch.zeros(0, 8), torch.zeros(0, 8)
    else:
        rim, corners, shares = grid.rim()
        slot = torch.full((grid.count,), -1)
        slot[rim] = torch.arange(len(rim))
    rows.slot = warp.array(slot.int().numpy(), dtype=warp.int32, device=device)
    rows.corners = warp.array(corners.int().numpy(), dtype=warp.int32, device=device)
    rows.shares = warp.array(shares.float().numpy(), dtype=warp.float32, device=device)
    return rows


@cache
def _no_frames(device: torch.device) -> Int[Tensor, "0"]:
    return torch.zeros(0, dtype=torch.int32, device=device)


@cache
def _kernels() -> ModuleType:
    start_warp()
    from avatars.fields.kernels import reading

    return reading
