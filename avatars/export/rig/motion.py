"""A clip as an engine plays it: turns of bones, the place of the first one, and weights of morph targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.models.avatar import Avatar
from avatars.models.head_avatar import HeadAvatar
from avatars.models.imavatar import Imavatar
from body_models import InputError, Motion

if TYPE_CHECKING:
    from avatars.export.rig.rig import Rig


@dataclass(frozen=True)
class RigMotion:
    """What an engine is told of a clip, on a rig's own bones (metres, radians, Y up)."""

    name: str
    rotations: Float[Tensor, "frame bone 3"]
    """Axis-angle of each bone relative to its parent, in axes parallel to the world's at rest."""
    translations: Float[Tensor, "frame 3"]
    """How far the first bone is from its place at rest."""
    morph_weights: Float[Tensor, "frame morph"]
    frame_rate: float
    """Frames a second."""

    def __len__(self) -> int:
        return len(self.rotations)

    def frame(self, index: int) -> RigMotion:
        """One frame, as a clip of its own."""
        one = slice(index, index + 1)
        return RigMotion(
            self.name, self.rotations[one], self.translations[one], self.morph_weights[one], self.frame_rate
        )


def rig_motion(avatar: Avatar | HeadAvatar, rig: Rig, clip: Motion) -> RigMotion:
    """A clip on an avatar's joints, as `avatars.export.motion_on` gives it, on the bones and morphs of its rig.

    Raises InputError for a clip of another skeleton.
    """
    if clip.skeleton != avatar.skeleton:
        raise InputError(
            f"Motion '{clip.name}' is of another skeleton ({len(clip.skeleton)} joints) than the avatar "
            f"({len(avatar.skeleton)}). Bring it over first: avatars.export.motion_on(avatar, motion)."
        )
    rotations = rig_rotations(avatar, clip.rotations.to(rig.joints))
    expression = None if clip.expression is None else clip.expression.to(rig.joints)
    weights = rig.morph_weights(rotations, expression)
    return RigMotion(clip.name, rotations, clip.translations.to(rig.joints), weights, clip.frame_rate)


def rig_rotations(
    avatar: Avatar | HeadAvatar, rotations: Float[Tensor, "frame bone 3"]
) -> Float[Tensor, "frame rig_bone 3"]:
    """The avatar's poses (axis-angle, radians) on the bones of its rig; see `head_skeleton` for those of heads."""
    if not isinstance(avatar, HeadAvatar):
        return rotations
    still = torch.zeros_like(rotations[:, :1])
    if not (isinstance(avatar.model, Imavatar) and avatar.model.options.ghost):
        return torch.cat([still, rotations], 1)
    ghost = avatar.model.ghost_rotation.to(rotations).expand_as(still)
    return torch.cat([still, rotations, ghost], 1)
