"""Blendshapes and linear blend skinning of surfaces, the arithmetic all body models share."""

import torch
from jaxtyping import Float
from torch import Tensor


def blend_offsets(
    coefficients: Float[Tensor, "*batch coefficient"], basis: Float[Tensor, "coefficient point 3"]
) -> Float[Tensor, "*batch point 3"]:
    """Displacement of each point: the basis weighted by the coefficients."""
    return (coefficients @ basis.flatten(1)).unflatten(-1, (-1, 3))


def pose_feature(rotations: Float[Tensor, "*batch bone 3 3"]) -> Float[Tensor, "*batch feature"]:
    """What pose correctives depend on: every joint's rotation but the root's, less the identity (SMPL, equation 9)."""
    identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    return (rotations[..., 1:, :, :] - identity).flatten(-3)


def skin(
    vertices: Float[Tensor, "*#batch vertex 3"],
    weights: Float[Tensor, "vertex bone"],
    transforms: Float[Tensor, "*#batch bone 4 4"],
) -> Float[Tensor, "*batch vertex 3"]:
    """Linear blend skinning: move each vertex by the weighted mean of the bones' transforms."""
    affine = transforms[..., :3, :].flatten(-2)  # one GEMM instead of a batched einsum
    blended = (weights @ affine).unflatten(-1, (3, 4))
    return (blended[..., :3] @ vertices[..., None])[..., 0] + blended[..., 3]
