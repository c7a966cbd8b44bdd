"""A motion clip: rotations of any skeleton's joints over time."""

from dataclasses import dataclass, replace

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.motion.rigs import match_head_joints
from body_models.parameters import unknown_name
from body_models.skeleton import Skeleton, posed_from_rest, rotation_matrices, transform_points

_MITTENS = {"left_hand": "left_middle1", "right_hand": "right_middle1"}


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

    def loop(self, count: int, blend_frames: int | None = None) -> "Motion":
        """The clip as a seamless cycle, `count` times over; travel and heading go on from cycle to cycle.

        The last frames are blended into the first (by default a fifth of a second, at most a quarter of the clip), so
        that a cycle is that much shorter; one frame suits a clip that ends in the pose in which it starts. A head on
        its own turns back instead. Raises InputError when the clip is too short.
        """
        blend = max(min(round(self.frame_rate / 5), len(self) // 4), 1) if blend_frames is None else blend_frames
        if count < 1 or not 1 <= blend <= len(self) // 2:
            raise InputError(
                f"Motion '{self.name}' of {len(self)} frames cannot be looped {count} times with {blend} frames "
                f"blended: at least once, and from 1 up to half of its frames ({len(self) // 2})."
            )
        turn, travel = self._way_of_a_cycle(len(self) - blend)
        cycles = [self._cycle(blend, turn, travel)]
        for _ in range(count - 1):
            cycles.append(cycles[-1]._moved(turn, travel))
        face = cycles[0].expression
        return replace(
            self,
            rotations=torch.cat([cycle.rotations for cycle in cycles]),
            translations=torch.cat([cycle.translations for cycle in cycles]),
            expression=None if face is None else face.repeat(count, 1),
        )

    def _way_of_a_cycle(self, last: int) -> tuple[Float[Tensor, "3 3"], Float[Tensor, "3"]]:
        """Turn about the vertical, then shift along the ground, that bring the first frame's root to a later one's."""
        first_root, last_root = roma.rotvec_to_unitquat(self.rotations[[0, last], 0])
        _, y, _, w = roma.quat_product(last_root, roma.quat_conjugation(first_root))
        up = y.new_tensor([0.0, 1.0, 0.0])
        yaw = torch.atan2(torch.where(w < 0, -y, y), w.abs()) * (
            0 if match_head_joints(self.skeleton.joint_names) else 2
        )
        turn = roma.rotvec_to_rotmat(yaw * up)
        first, then = self.rest_joints[0] + self.translations[[0, last]]
        return turn, (then - turn @ first) * (1 - up)

    def _cycle(self, blend: int, turn: Float[Tensor, "3 3"], travel: Float[Tensor, "3"]) -> "Motion":
        """One cycle, whose first frames come out of the last ones, brought back to where it starts."""
        tail = len(self) - blend
        ending = self.cut(tail, len(self))._moved(turn.mT, -turn.mT @ travel)
        share = torch.arange(blend).to(self.translations)[:, None] / blend
        rotations, translations = self.rotations[:tail].clone(), self.translations[:tail].clone()
        rotations[:blend] = _slerp(ending.rotations, rotations[:blend], share[..., None])
        translations[:blend] = torch.lerp(ending.translations, translations[:blend], share)
        face = self.expression
        if face is not None:
            face = torch.cat([torch.lerp(face[tail:], face[:blend], share), face[blend:tail]])
        return replace(self, rotations=rotations, translations=translations, expression=face)

    def _moved(self, turn: Float[Tensor, "3 3"], shift: Float[Tensor, "3"]) -> "Motion":
        """The motion in another place: the world turned, then shifted."""
        root = roma.rotmat_to_rotvec(turn @ roma.rotvec_to_rotmat(self.rotations[:, 0]))
        places = (self.rest_joints[0] + self.translations) @ turn.mT + shift - self.rest_joints[0]
        return replace(self, rotations=torch.cat([root[:, None], self.rotations[:, 1:]], dim=1), translations=places)

    def on_skeleton(self, skeleton: Skeleton) -> "Motion":
        """The part of the motion that another skeleton of the same names has, such as SMPL's joints out of SMPL-X's.

        `left_hand` and `right_hand` are at rest, at the middle finger's root, where the motion has fingers instead.
        Raises InputError when another joint is missing or hangs elsewhere.
        """
        if skeleton == self.skeleton:
            return self
        sources = [self._counterpart(skeleton, joint) for joint in range(len(skeleton))]
        named = torch.tensor([name in self.skeleton.joint_names for name in skeleton.joint_names])
        rotations = self.rotations[:, sources] * named.to(self.rotations)[:, None]
        return replace(self, skeleton=skeleton, rest_joints=self.rest_joints[sources], rotations=rotations)

    def _counterpart(self, skeleton: Skeleton, joint: int) -> int:
        name, parent = skeleton.joint_names[joint], skeleton.parents[joint]
        if name not in self.skeleton.joint_names and name in _MITTENS:
            return self.skeleton.index(_MITTENS[name])
        if name not in self.skeleton.joint_names:
            raise InputError(unknown_name(f"Motion '{self.name}' has no joint", name, self.skeleton.joint_names))
        source = self.skeleton.index(name)
        ours = self.skeleton.parents[source]
        here, there = ("" if p < 0 else s.joint_names[p] for p, s in ((ours, self.skeleton), (parent, skeleton)))
        if here != there:
            raise InputError(f"Motion '{self.name}': joint '{name}' hangs elsewhere; retarget(motion, body) instead.")
        return source

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
