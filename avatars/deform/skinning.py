"""The deformation field, once for all methods: `x_posed = T(x_c) (x_c + offset(x_c))`.

`T` is the blend of the bones' transforms by the skinning weights, `offset` the sum of expression and pose blendshapes.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.deform.starts import StartTable
from avatars.fields.affine import apply_affine, blend_bones
from avatars.fields.offsets import OffsetField
from avatars.fields.weights import WeightField
from body_models.precision import matmul


@runtime_checkable
class DeformationField(Protocol):
    """Canonical to posed space for several frames at once; all that root finding needs to know."""

    posed_from_canonical: Float[Tensor, "frame bone 4 4"]
    starts: StartTable
    """Where each bone has influence, so that searches start from the bones that can matter."""

    def blend(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3 4"]:
        """The blended transform at canonical points, each in the pose of its frame."""
        ...

    def shifted(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        """Canonical points moved by the blendshapes of their frame (metres)."""
        ...

    def jacobian(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3 3"]:
        """Exact spatial Jacobian of the deformation, a constant to gradients."""
        ...


@runtime_checkable
class Carrier(Protocol):
    """A deformation field that carries points faster than by its parts."""

    def carried(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        """Posed positions of canonical points (metres)."""
        ...


class Skinning:
    """The exact deformation by any weight and offset fields, for several frames (SNARF, equation 2; IMavatar, 3).

    `coefficients` mix the offset field's basis, one row a frame. The meaning of every faster implementation.
    """

    def __init__(
        self,
        weights: WeightField,
        posed_from_canonical: Float[Tensor, "frame bone 4 4"],
        starts: StartTable,
        offsets: OffsetField | None = None,
        coefficients: Float[Tensor, "frame coefficient"] | None = None,
    ) -> None:
        self.weights, self.offsets, self.coefficients = weights, offsets, coefficients
        self.posed_from_canonical = posed_from_canonical
        self.starts = starts

    def blend(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3 4"]:
        """The blended transform at canonical points, each in the pose of its frame."""
        return blend_bones(self.weights(points), self.posed_from_canonical, frame)

    def shifted(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        """Canonical points moved by the blendshapes of their frame (metres)."""
        if self.offsets is None or self.coefficients is None:
            return points
        return points + (self.offsets(points) * self.coefficients[frame][..., None]).sum(1)

    def jacobian(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3 3"]:
        """Exact spatial Jacobian of the deformation by automatic differentiation, a constant to gradients."""
        with torch.enable_grad():
            x = points.detach().requires_grad_()
            carried = forward_skin(self, x, frame)
            rows = [torch.autograd.grad(carried[:, i].sum(), x, retain_graph=i < 2)[0] for i in range(3)]
        return torch.stack(rows, 1).detach()


def blended_jacobian(
    log_weights: Float[Tensor, "point bone"],
    rises: Float[Tensor, "point 3 bone"],
    bones: Float[Tensor, "point bone 3 4"],
    shifted: Float[Tensor, "point 3"],
    stretch: Float[Tensor, "#point 3 3"],
) -> Float[Tensor, "point 3 3"]:
    """Spatial Jacobian of `T(x) shifted(x)`, with `T` the bones blended by softmaxed logarithms that change by `rises`.

    `stretch` is the Jacobian of `shifted`.
    """
    weights = torch.softmax(log_weights, dim=1)
    carried = matmul(bones[..., :3], shifted[:, None, :, None])[..., 0] + bones[..., 3]  # point bone 3
    spread = weights[..., None] * (carried - (weights[..., None] * carried).sum(1, keepdim=True))
    turn = matmul(rises, spread)  # point axis 3
    return matmul((weights[..., None, None] * bones[..., :3]).sum(1), stretch) + turn.mT


def forward_skin(
    field: DeformationField, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]
) -> Float[Tensor, "point 3"]:
    """Posed positions of canonical points (metres)."""
    if isinstance(field, Carrier):
        return field.carried(points, frame)
    return apply_affine(field.blend(points, frame), field.shifted(points, frame))
