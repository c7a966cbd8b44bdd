"""An avatar's clip on the bones and morph targets of its rig."""

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.export.rig.clip import RigMotion
from avatars.export.rig.rig import Rig
from avatars.models.avatar import Avatar
from avatars.models.head_avatar import HeadAvatar
from avatars.models.imavatar import Imavatar
from body_models import InputError, Motion


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
