"""The deformation field: canonical points carried to posed space by a learned blend of bone transforms."""

from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor


class WeightField(Protocol):
    """Skinning weights at canonical points, learned; each row sums to one."""

    def __call__(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point bone"]:
        """Weights at points (metres, canonical)."""
        ...


class DeformationField(Protocol):
    """Canonical to posed space for several frames at once; all that root finding needs to know."""

    posed_from_canonical: Float[Tensor, "frame bone 4 4"]

    def blend(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3 4"]:
        """The blended transform at canonical points, each in the pose of its frame."""
        ...


class Skinning:
    """Forward skinning `x_posed = sum_b w_b(x_c) B_b x_c` for several frames (SNARF, equation 2)."""

    def __init__(self, weights: WeightField, posed_from_canonical: Float[Tensor, "frame bone 4 4"]) -> None:
        self.weights = weights
        self.posed_from_canonical = posed_from_canonical

    def blend(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3 4"]:
        """The blended transform at canonical points, each in the pose of its frame."""
        bones = self.posed_from_canonical[:, :, :3].flatten(2)
        weights = self.weights(points)
        if len(bones) == 1:
            return (weights @ bones[0]).unflatten(-1, (3, 4))
        return torch.einsum("pb,pbk->pk", weights, bones[frame]).unflatten(-1, (3, 4))


def apply_affine(
    transforms: Float[Tensor, "point 3 4"], points: Float[Tensor, "point 3"]
) -> Float[Tensor, "point 3"]:
    """Apply one 3x4 transform to each point."""
    return (transforms[..., :3] * points[:, None]).sum(-1) + transforms[..., 3]


def forward_skin(
    field: DeformationField, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]
) -> Float[Tensor, "point 3"]:
    """Posed positions of canonical points (metres)."""
    return apply_affine(field.blend(points, frame), points)
