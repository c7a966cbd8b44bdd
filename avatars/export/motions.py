"""Motion clips brought onto an avatar, from files or from the poses it was fitted to."""

from pathlib import Path

import torch

from avatars.models.avatar import Avatar
from body_models import InputError, Motion, load_motion, retarget

SECONDS_A_POSE = 1.0


def motion_for(avatar: Avatar, motion: Motion | Path | str, resolution: int = 192) -> Motion:
    """A clip, or a motion file of any kind, on the avatar's skeleton; the ground is at y = 0 (metres).

    Raises InputError for a file that cannot be read or a skeleton whose joints are not known.
    """
    clip, name = (motion, f"Motion '{motion.name}'") if isinstance(motion, Motion) else (load_motion(motion), motion)
    try:
        return retarget(clip, avatar.body(resolution))
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def training_motion(avatar: Avatar) -> Motion:
    """The poses an avatar was fitted to, one after another on one place, a second from each to the next."""
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
