"""A motion clip: rotations of any skeleton's joints over time."""

from dataclasses import dataclass, replace

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.skeleton import Skeleton, posed_from_rest, rotation_matrices, transform_points


@dataclass(frozen=True)
class Motion:
    """Poses of one skeleton at a steady rate (metres, radians, Y up; at rest the person faces +Z)."""

    name: str
    skeleton: Skeleton
    rest_joints: Float[Tensor, "bone 3"]
    """Joint centres in the pose where all rotations are zero."""
    rotations: Float[Tensor, "frame bone 3"]
    """Axis-angle of each joint relative to its parent, in axes parallel to the world's at rest."""
    translations: Float[Tensor, "frame 3"]
    """How far the root joint is from its place at rest."""
    frame_rate: float
    """Frames per second."""
    expression: Float[Tensor, "frame expression"] | None = None
    """Expression parameters over time; None for a clip that says nothing about the face."""
    expression_names: tuple[str, ...] = ()
    """Names of the expression parameters where they have a meaning (ARKit's); empty for a model's own components."""

    def __post_init__(self) -> None:
        if not 0 < self.frame_rate < float("inf"):
            raise InputError(f"Motion '{self.name}': a frame rate of {self.frame_rate} is not possible.")
        if len(self.rotations) == 0:
            raise InputError(f"Motion '{self.name}' has no frames.")
        if self.rotations.shape[1:2] != (len(self.skeleton),) or self.rest_joints.shape[:1] != (len(self.skeleton),):
            raise InputError(f"Motion '{self.name}': poses and skeleton differ in their number of joints.")
        if len(self.translations) != len(self.rotations):
            raise InputError(f"Motion '{self.name}': rotations and translations differ in their number of frames.")
        if self.expression is not None and len(self.expression) != len(self.rotations):
            raise InputError(f"Motion '{self.name}': rotations and expression differ in their number of frames.")
        for part in ("rest_joints", "rotations", "translations", "expression"):
            value = getattr(self, part)
            if value is not None and not torch.isfinite(value).all():
                raise InputError(f"Motion '{self.name}': {part} hold values that are not finite.")

    def __len__(self) -> int:
        return len(self.rotations)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the last."""
        return (len(self) - 1) / self.frame_rate

    def cut(self, start: int, stop: int) -> "Motion":
        """The frames from `start` up to, not including, `stop`; raises InputError when there are none."""
        if not 0 <= start < stop <= len(self):
            raise InputError(
                f"Motion '{self.name}' has frames 0 to {len(self) - 1}; cannot cut from {start} up to {stop}."
            )
        return replace(
            self,
            rotations=self.rotations[start:stop],
            translations=self.translations[start:stop],
            expression=None if self.expression is None else self.expression[start:stop],
        )

    def resample(self, frame_rate: float) -> "Motion":
        """The same motion at another rate: rotations by slerp, translations linearly; the first frame stays."""
        if not 0 < frame_rate < float("inf"):
            raise InputError(f"Motion '{self.name}': cannot resample to {frame_rate} frames per second.")
        count = int(self.duration * frame_rate + 1e-6) + 1
        position = torch.arange(count, dtype=torch.float64) * (self.frame_rate / frame_rate)
        position = position.clamp(max=len(self) - 1)
        before = position.floor().long()
        after = (before + 1).clamp(max=len(self) - 1)
        share = (position - before).to(self.rotations)
        face = self.expression
        return replace(
            self,
            rotations=_slerp(self.rotations[before], self.rotations[after], share[:, None, None]),
            translations=torch.lerp(self.translations[before], self.translations[after], share[:, None]),
            expression=None if face is None else torch.lerp(face[before], face[after], share[:, None]),
            frame_rate=float(frame_rate),
        )

    def posed_from_rest(self) -> Float[Tensor, "frame bone 4 4"]:
        """Transform of each bone from rest to each frame."""
        return posed_from_rest(
            rotation_matrices(self.rotations), self.translations, self.rest_joints, self.skeleton.parents
        )

    def joint_positions(self) -> Float[Tensor, "frame bone 3"]:
        """Where the joints are in each frame (metres)."""
        return transform_points(self.posed_from_rest(), self.rest_joints.expand(len(self), -1, -1))


def _slerp(
    start: Float[Tensor, "frame bone 3"], end: Float[Tensor, "frame bone 3"], share: Float[Tensor, "frame 1 1"]
) -> Float[Tensor, "frame bone 3"]:
    first, last = roma.rotvec_to_unitquat(start), roma.rotvec_to_unitquat(end)
    step = roma.unitquat_to_rotvec(roma.quat_product(roma.quat_conjugation(first), last))
    between = roma.quat_product(first, roma.rotvec_to_unitquat(share * step))
    return torch.where(share == 0, start, roma.unitquat_to_rotvec(between))
