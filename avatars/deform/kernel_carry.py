"""Launch the fused forward deformation: posed points and Jacobians, without gradients."""

from functools import cache
from types import ModuleType

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.fields.launches import as_warp, on_all_cores
from avatars.fields.patches import PatchedGrid
from avatars.fields.reading import check_frames, patches_on
from data_prep.warp_runtime import start_warp


@torch.no_grad()
def carry_points(
    points: Float[Tensor, "point 3"],
    frame: Int[Tensor, "point"],
    grid: PatchedGrid,
    log_weights: Float[Tensor, "node bone"],
    posed_from_canonical: Float[Tensor, "frame bone 4 4"],
    offsets: Float[Tensor, "frame node 3"] | None,
    jacobian: bool,
) -> tuple[Float[Tensor, "point 3"], Float[Tensor, "some 3 3"]]:
    """Posed points (metres) with the deformation's spatial Jacobians, or none of them where they are not wanted.

    In single precision, by the log-weights and offsets at the grid's nodes. Raises IndexError for frames that are not
    there.
    """
    check_frames(frame, len(posed_from_canonical))
    warp, kernel = start_warp(), _kernels().carry_kernel
    device = str(points.device)
    points, frames = points.contiguous(), frame.to(torch.int32).contiguous()
    bones, logs = posed_from_canonical[:, :, :3].contiguous(), log_weights.contiguous()
    moves = bones.new_zeros(len(bones), 0, 3) if offsets is None else offsets.contiguous()
    posed = torch.empty_like(points)
    slopes = points.new_empty(len(points) if jacobian else 0, 3, 3)

    def run(start: int, stop: int) -> None:
        inputs = [
            patches_on(grid, device),
            as_warp(points[start:stop], warp.vec3),
            as_warp(frames[start:stop], warp.int32),
            as_warp(logs, warp.float32),
            as_warp(bones, _kernels().Affine),
            as_warp(moves, warp.vec3),
            as_warp(posed[start:stop], warp.vec3),
            as_warp(slopes[start:stop], warp.mat33),
        ]
        warp.launch(kernel, dim=stop - start, inputs=inputs, device=device)

    if len(points):
        on_all_cores(kernel, run, len(points), points.device)
    return posed, slopes


@cache
def _kernels() -> ModuleType:
    start_warp()
    from avatars.deform.kernels import carrying

    return carrying
