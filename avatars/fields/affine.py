"""Affine transforms of points, and blends of the bones' transforms."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from body_models.precision import matmul

MANY_FRAMES = 32
"""Above this, blending every point in every frame costs more than it saves."""


def apply_affine(transforms: Float[Tensor, "point 3 4"], points: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"]:
    """Apply one 3x4 transform to each point."""
    return (transforms[..., :3] * points[:, None]).sum(-1) + transforms[..., 3]


def blend_bones(
    weights: Float[Tensor, "point bone"],
    posed_from_canonical: Float[Tensor, "frame bone 4 4"],
    frame: Int[Tensor, "point"],
) -> Float[Tensor, "point 3 4"]:
    """Mix the bones' transforms by each point's weights, in the pose of its frame (linear blend skinning)."""
    bones = posed_from_canonical[:, :, :3].flatten(2)
    if len(bones) > MANY_FRAMES:
        return matmul(weights[:, None], bones[frame])[:, 0].unflatten(-1, (3, 4))
    every = matmul(weights, bones.transpose(0, 1).flatten(1)).unflatten(1, (-1, 12))  # one GEMM for all frames
    own = every[:, 0] if len(bones) == 1 else every[torch.arange(len(frame), device=frame.device), frame]
    return own.unflatten(-1, (3, 4))
