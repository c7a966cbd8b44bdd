"""What backward methods share: weights are told at the posed point, which is carried back once, without a search."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avatars.fields.affine import blend_bones
from avatars.fields.occupancy import GridOccupancy, MlpOccupancy
from avatars.models.snarf import Snarf

SMALLEST_DETERMINANT = 1e-3
"""Blends that flatten space more than this (bones turned half around against each other) are inverted as if less."""


class InverseSkinning(nn.Module, ABC):
    """The canonical occupancy and bones of a SNARF model, reached by `x_c = (sum_b w_b B_b)^-1 x_posed`."""

    def __init__(self, snarf: Snarf) -> None:
        super().__init__()
        self.snarf = snarf
        snarf.weights.requires_grad_(False)
        snarf.joint_shift.requires_grad_(False)

    @property
    def occupancy(self) -> GridOccupancy | MlpOccupancy:
        """The canonical shape."""
        return self.snarf.occupancy

    @abstractmethod
    def weights(
        self,
        posed: Float[Tensor, "point 3"],
        frame: Int[Tensor, "point"],
        pose: Float[Tensor, "frame bone 3"],
        translation: Float[Tensor, "frame 3"],
    ) -> Float[Tensor, "point bone"]:
        """Skinning weights at posed points (metres), each in the pose of its frame."""

    def pose_code(self, pose: Float[Tensor, "frame bone 3"]) -> Float[Tensor, "frame code"] | None:
        """What the occupancy network is told of each pose."""
        return self.snarf.pose_code(pose)

    def carry_back(
        self,
        posed: Float[Tensor, "point 3"],
        frame: Int[Tensor, "point"],
        pose: Float[Tensor, "frame bone 3"],
        translation: Float[Tensor, "frame 3"],
        weights: Float[Tensor, "point bone"],
    ) -> Float[Tensor, "point 3"]:
        """The one canonical point of each posed point (metres)."""
        bones = self.snarf.posed_from_canonical(pose, translation)
        return apply_inverse(blend_bones(weights, bones, frame), posed)

    def forward(
        self,
        posed: Float[Tensor, "point 3"],
        frame: Int[Tensor, "point"],
        pose: Float[Tensor, "frame bone 3"],
        translation: Float[Tensor, "frame 3"],
        code: Float[Tensor, "frame code"] | None = None,
    ) -> Float[Tensor, "point"]:
        """Occupancy logits at posed points (metres), positive inside."""
        weights = self.weights(posed, frame, pose, translation)
        canonical = self.carry_back(posed, frame, pose, translation, weights)
        return self.snarf.canonical_logits(canonical, None if code is None else code[frame])


def apply_inverse(transforms: Float[Tensor, "point 3 4"], points: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"]:
    """Undo one affine transform a point; where it all but flattens space, the result is finite, not exact."""
    x, y, z = transforms[..., :3].unbind(-1)
    cofactors = torch.stack([torch.linalg.cross(y, z), torch.linalg.cross(z, x), torch.linalg.cross(x, y)], 1)
    determinant = (x * cofactors[:, 0]).sum(-1)
    sign = torch.where(determinant < 0, -1.0, 1.0)
    determinant = sign * determinant.abs().clamp_min(SMALLEST_DETERMINANT)
    return (cofactors * (points - transforms[..., 3])[:, None]).sum(-1) / determinant[:, None]
