"""Motion clips brought onto an avatar, from files or from the poses it was fitted to."""

from pathlib import Path

import torch

from avatars.export.driving.drivers import read_driver
from avatars.export.driving.head_motion import drive
from avatars.export.driving.head_neutral import own_motion
from avatars.models.avatar import Avatar
from avatars.models.head_avatar import HeadAvatar
from body_models import InputError, Motion, retarget

SECONDS_A_POSE = 1.0


def motion_on(
    avatar: Avatar | HeadAvatar, source: Motion | Path | str, absolute: bool = False, frame_rate: float | None = None
) -> Motion:
    """A clip, a motion file or a tracked video on an avatar of any kind: `motion_for` bodies, `drive` for heads.

    Raises InputError as they do, and for `absolute` with a body, whose motion is never relative.
    """
    if isinstance(avatar, HeadAvatar):
        return drive(avatar, source, absolute, frame_rate)
    if absolute:
        raise InputError("--absolute is for heads, which are driven relative to their rest otherwise; leave it away.")
    return motion_for(avatar, read_driver(source, frame_rate).motion)


def motion_for(avatar: Avatar, motion: Motion | Path | str, resolution: int = 192) -> Motion:
    """A clip, a motion file of any kind or a tracked video on the avatar's skeleton; ground at y = 0 (metres).

    Raises InputError for a file that cannot be read or a skeleton whose joints are not known.
    """
    name = f"Motion '{motion.name}'" if isinstance(motion, Motion) else motion
    clip = read_driver(motion).motion
    try:
        return retarget(clip, avatar.body(resolution))
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def training_motion(avatar: Avatar | HeadAvatar) -> Motion:
    """What an avatar was fitted to: a head's video, or a body's poses on one place, a second from each to the next."""
    return own_motion(avatar) if isinstance(avatar, HeadAvatar) else _training_poses(avatar)


def _training_poses(avatar: Avatar) -> Motion:
    if len(avatar.poses) == 0:
        raise InputError("This avatar holds no training poses; give a motion file.")
    body = avatar.body()
    pelvis = (avatar.translations + body.joints[0]) * torch.tensor([1.0, 0.0, 1.0], device=avatar.device)
    posed = zip(avatar.poses, avatar.translations - pelvis, strict=True)
    lowest = torch.stack([body.pose_vertices(pose, place)[:, 1].min() for pose, place in posed])
    up = torch.tensor([0.0, 1.0, 0.0], device=avatar.device)
    translations = avatar.translations - pelvis - lowest[:, None] * up
    return Motion("training poses", avatar.skeleton, body.joints, avatar.poses, translations, 1 / SECONDS_A_POSE)


def standing_motion(avatar: Avatar, seconds: float) -> Motion:
    """The canonical pose held for a while, standing on the ground."""
    body = avatar.body()
    place = -body.joints.new_tensor([float(body.joints[0, 0]), float(body.canonical()[:, 1].min()), 0.0])
    poses, places = avatar.model.canonical_pose.expand(2, -1, -1), place.expand(2, -1)
    return Motion("canonical pose", avatar.skeleton, body.joints, poses, places, 1 / seconds)
