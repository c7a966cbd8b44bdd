"""An avatar of any kind in one pose, as triangles with colours where it has them."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.export.driving.motions import motion_on
from avatars.meshing import TriangleMesh
from avatars.models.avatar import Avatar, PosedAvatar
from avatars.models.head_avatar import HeadAvatar, PosedHead
from avatars.models.imavatar import Imavatar
from body_models import InputError, Motion

CANONICAL = "canonical"
"""What the pose is called in which an avatar is stored."""


@dataclass(frozen=True)
class Shape:
    """What is written of an avatar (metres, Y up)."""

    mesh: TriangleMesh
    colours: Float[Tensor, "vertex 3"] | None
    """Linear; None for avatars that know no colours."""


def shape_of(posed: PosedAvatar | PosedHead, resolution: int, exact: bool) -> Shape:
    """The posed surface; `exact` finds a body's by roots, a head's is always the skinned one."""
    if isinstance(posed, PosedHead):
        return Shape(posed.mesh(resolution), posed.vertex_colours(resolution))
    mesh = posed.mesh(resolution, exact)
    return Shape(mesh, posed.colours(mesh.vertices) if exact else posed.vertex_colours(resolution))


def canonical_shape(avatar: Avatar | HeadAvatar, resolution: int) -> Shape:
    """The surface as the avatar is stored: a body with its legs apart, a head with its mouth a little open.

    Raises InputError for heads that are not stored as one surface.
    """
    if isinstance(avatar, HeadAvatar):
        if isinstance(avatar.model, Imavatar) and not avatar.model.rigged:
            raise InputError(
                f"A head of the deformation '{avatar.model.options.deformation}' has another surface in every pose and "
                "is stored in none; take a frame of its video (`--pose 0`) or of a motion (`--motion FILE`)."
            )
        avatar.proxy(resolution)
        return shape_of(avatar.pose(pose=avatar.model.canonical_pose), resolution, exact=False)
    body = avatar.body(resolution)
    canonical = body.canonical()
    return Shape(TriangleMesh(canonical, body.faces), avatar.colours(canonical))


def training_pose(avatar: Avatar | HeadAvatar, index: int) -> PosedAvatar | PosedHead:
    """The avatar as a scan or a frame of the video that it was fitted to showed it."""
    return avatar.frame(index) if isinstance(avatar, HeadAvatar) else avatar.training_pose(index)


def pose_given(avatar: Avatar | HeadAvatar, pose: int | str | Float[Tensor, "bone 3"]) -> PosedAvatar | PosedHead:
    """The avatar in a training pose (or frame of its video) by number, in joint angles (radians), or "canonical".

    Raises InputError for poses that are not there.
    """
    if isinstance(pose, int):
        return training_pose(avatar, pose)
    if not isinstance(pose, str):
        return avatar.pose(pose=torch.as_tensor(pose))
    if pose != CANONICAL:
        raise InputError(f"Unknown pose '{pose}'; give a number, joint angles, or '{CANONICAL}'.")
    return avatar.pose(pose=avatar.model.canonical_pose)


def pose_of_clip(avatar: Avatar | HeadAvatar, clip: Motion, frame: int) -> PosedAvatar | PosedHead:
    """The avatar in one frame of a clip that was brought onto it; raises InputError for a frame that is not there."""
    if not 0 <= frame < len(clip):
        raise InputError(f"No frame {frame}: motion '{clip.name}' has {len(clip)}, counted from 0.")
    if isinstance(avatar, HeadAvatar):
        expression = None if clip.expression is None else clip.expression[frame]
        return avatar.pose(expression, clip.rotations[frame], clip.translations[frame])
    return avatar.pose(clip.rotations[frame], clip.translations[frame])


def pose_of_motion(avatar: Avatar | HeadAvatar, motion: Motion | Path | str, frame: int) -> PosedAvatar | PosedHead:
    """The avatar in one frame of anybody's motion."""
    return pose_of_clip(avatar, motion_on(avatar, motion), frame)
