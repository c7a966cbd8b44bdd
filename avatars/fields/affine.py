"""Affine transforms of points, and blends of the bones' transforms."""

from jaxtyping import Float, Int
from torch import Tensor


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
    if len(bones) == 1:
        return (weights @ bones[0]).unflatten(-1, (3, 4))
    return (weights[:, None] @ bones[frame])[:, 0].unflatten(-1, (3, 4))
