"""Launch the fused search kernel: all cores on the CPU, torch's stream on CUDA."""

from functools import cache
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.deform.roots import Roots, SearchOptions
from avatars.deform.sampled import SampledSkinning
from avatars.fields.launches import on_all_cores
from avatars.fields.reading import patches_on
from data_prep.warp_runtime import start_warp

POINTS_AT_ONCE = 250_000
"""Slots for the roots of this many points are kept at a time; the roots alone are kept for all."""
BASIN = 9e-3
"""What starts, or comes near, within this of a root found before would land on it (metres)."""
CELL = 0.04
"""Size of the cells by which points are put in order (metres)."""


def find_roots(
    posed: Float[Tensor, "point 3"],
    frame: Int[Tensor, "point"],
    field: SampledSkinning,
    options: SearchOptions,
    canonical_from_posed: Float[Tensor, "frame bone 3 4"],
) -> Roots:
    """Distinct roots of posed points, by the kernel (float32; metres)."""
    arguments = _field_arguments(field, canonical_from_posed, options)
    chunks = zip(posed.split(POINTS_AT_ONCE), frame.split(POINTS_AT_ONCE), strict=True)
    parts = [_search_chunk(p.contiguous(), f.to(torch.int32).contiguous(), arguments, options) for p, f in chunks]
    canonical, point, inverse = [], [], []
    for number, part in enumerate(parts):
        canonical.append(part[0])
        point.append(part[1] + number * POINTS_AT_ONCE)
        inverse.append(part[2])
    if not parts:
        return Roots(posed.new_zeros(0, 3), frame.new_zeros(0).long(), 0, posed.new_zeros(0, 3, 3))
    return Roots(torch.cat(canonical), torch.cat(point), len(posed), torch.cat(inverse))


def _search_chunk(
    posed: Float[Tensor, "point 3"], frame: Int[Tensor, "point"], arguments: list[Any], options: SearchOptions
) -> tuple[Float[Tensor, "root 3"], Int[Tensor, "root"], Float[Tensor, "root 3 3"]]:
    slots = posed.new_empty(len(posed), options.start_bones, 3)
    inverses = posed.new_empty(len(posed), options.start_bones, 3, 3)
    counts = torch.empty(len(posed), dtype=torch.int32, device=posed.device)
    _launch(_nearby(posed, frame), [posed, frame], arguments, [slots, inverses, counts])
    keep = torch.arange(options.start_bones, device=posed.device) < counts[:, None]
    return slots[keep], keep.nonzero()[:, 0], inverses[keep]


def _nearby(posed: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Int[Tensor, "point"]:
    """An order in which points of one frame and place come together, so that what they read stays in the caches."""
    cell = torch.floor(posed.nan_to_num(0.0, 0.0, 0.0) / CELL).long() & 63
    key = ((frame.long() * 64 + cell[:, 0]) * 64 + cell[:, 1]) * 64 + cell[:, 2]
    return key.argsort().to(torch.int32)


def _launch(order: Tensor, inputs: list[Tensor], arguments: list[Any], outputs: list[Tensor]) -> None:
    """Run the kernel over all points, on the CPU in slices that the cores take one after the other."""
    warp, kernels = start_warp(), _kernels()
    count, device = len(order), order.device
    first = [_as_warp(value, kind) for value, kind in zip(inputs, (warp.vec3, warp.int32), strict=True)]
    last = [_as_warp(value, kind) for value, kind in zip(outputs, (warp.vec3, warp.mat33, warp.int32), strict=True)]

    def run(start: int, stop: int) -> None:
        some = _as_warp(order[start:stop], warp.int32)
        values = [some, *first, *arguments, *last]
        warp.launch(kernels.search_kernel, dim=stop - start, inputs=values, device=str(device))

    on_all_cores(kernels.search_kernel, run, count, device)


def _field_arguments(
    field: SampledSkinning, canonical_from_posed: Float[Tensor, "frame bone 3 4"], options: SearchOptions
) -> list[Any]:
    warp, kernels = start_warp(), _kernels()
    device = str(field.log_weights.device)
    bones = field.posed_from_canonical.detach()[:, :, :3].contiguous()
    frames, nodes = len(bones), field.coarse_table.shape[1]
    log_weights = field.log_weights.detach().contiguous()
    if field.prepared.marks is None:
        field.prepared.marks = _marks(log_weights)
    offsets = bones.new_zeros(frames, 0, 3) if field.offsets is None else field.offsets.detach().contiguous()
    return [
        _as_warp(bones, kernels.Affine),
        _as_warp(canonical_from_posed.detach().contiguous(), kernels.Affine),
        patches_on(field.coarse_grid, device),
        _as_warp(field.coarse_table.reshape(frames, nodes, 3, 4), kernels.Affine),
        _as_warp(field.starts.influence, warp.uint8),
        patches_on(field.grid, device),
        _as_warp(log_weights, warp.float32),
        _as_warp(field.prepared.marks, warp.uint64),
        _as_warp(offsets, warp.vec3),
        _as_warp(field.starts.reaches(options.least_influence), warp.vec3),
        _limits(options),
    ]


def _marks(log_weights: Float[Tensor, "node bone"]) -> Int[Tensor, "node word"]:
    """Which bones weigh something at each node, a bit each."""
    warp, kernels = start_warp(), _kernels()
    words = -(-log_weights.shape[1] // 64)
    marks = torch.empty(len(log_weights), words, dtype=torch.int64, device=log_weights.device)

    def run(start: int, stop: int) -> None:
        values = [_as_warp(log_weights[start:stop], warp.float32), _as_warp(marks[start:stop], warp.uint64)]
        warp.launch(kernels.mark_kernel, dim=stop - start, inputs=values, device=str(log_weights.device))

    on_all_cores(kernels.mark_kernel, run, len(log_weights), log_weights.device)
    return marks


def _limits(options: SearchOptions) -> Any:
    limits = _kernels().Limits()
    limits.starts, limits.least, limits.reach = options.start_bones, options.least_influence, options.reach
    limits.steps, limits.near, limits.tolerance = options.steps, max(options.near, options.tolerance), options.tolerance
    limits.divergence, limits.separation = options.divergence, options.separation
    limits.basin = max(BASIN, options.separation)
    return limits


def _as_warp(tensor: Tensor, kind: Any) -> Any:
    """A Warp array that shares a tensor's memory."""
    return start_warp().from_torch(tensor, dtype=kind, requires_grad=False)


@cache
def _kernels() -> ModuleType:
    start_warp()
    from avatars.deform.kernels import search

    return search
