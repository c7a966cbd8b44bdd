"""The deformation field: canonical points carried to posed space by a learned blend of bone transforms."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.fields.affine import apply_affine, blend_bones


@runtime_checkable
class WeightField(Protocol):
    """Skinning weights at canonical points, learned; each row sums to one."""

    def __call__(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point bone"]:
        """Weights at points (metres, canonical)."""
        ...


@runtime_checkable
class DeformationField(Protocol):
    """Canonical to posed space for several frames at once; all that root finding needs to know."""

    posed_from_canonical: Float[Tensor, "frame bone 4 4"]

    def blend(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3 4"]:
        """The blended transform at canonical points, each in the pose of its frame."""
        ...

    def jacobian(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3 3"]:
        """Exact spatial Jacobian of the deformation, a constant to gradients."""
        ...


class Skinning:
    """Forward skinning `x_posed = sum_b w_b(x_c) B_b x_c` for several frames (SNARF, equation 2)."""

    def __init__(self, weights: WeightField, posed_from_canonical: Float[Tensor, "frame bone 4 4"]) -> None:
        self.weights = weights
        self.posed_from_canonical = posed_from_canonical

    def blend(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3 4"]:
        """The blended transform at canonical points, each in the pose of its frame."""
        return blend_bones(self.weights(points), self.posed_from_canonical, frame)

    def jacobian(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3 3"]:
        """Exact spatial Jacobian of the deformation by automatic differentiation, a constant to gradients."""
        with torch.enable_grad():
            x = points.detach().requires_grad_()
            carried = forward_skin(self, x, frame)
            rows = [torch.autograd.grad(carried[:, i].sum(), x, retain_graph=i < 2)[0] for i in range(3)]
        return torch.stack(rows, 1).detach()


def forward_skin(
    field: DeformationField, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]
) -> Float[Tensor, "point 3"]:
    """Posed positions of canonical points (metres)."""
    return apply_affine(field.blend(points, frame), points)
