"""Another person's motion on a head avatar: reenactment relative to how either of them is at rest."""

import logging
from dataclasses import replace
from pathlib import Path

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from avatars.export.driving.drivers import read_driver
from avatars.export.driving.head_faces import correspondence, shown_face
from avatars.export.driving.head_neutral import Neutral, neutral_of, nothing_of, own_motion
from avatars.export.films.head_cameras import share_in_picture
from avatars.models.head_avatar import HeadAvatar
from body_models import InputError, Motion, retarget
from body_models.motion.rigs import match_head_joints
from body_models.skeleton import rotation_matrices

_log = logging.getLogger(__name__)

SETTLES = 1.0
"""Seconds from which a clip shows how the driver is at rest."""
STILL = 0.02
"""Joints that turn by less never turn (radians)."""
OWN_JOINTS = 1e-6
"""A motion with joints nearer than this to a head's was made for it (metres)."""
_HEAD_JOINTS = {"root": "spine3", "neck": "head", "jaw": "jaw", "left_eye": "left_eye", "right_eye": "right_eye"}


def drive(
    avatar: HeadAvatar, source: Motion | Path | str, absolute: bool = False, frame_rate: float | None = None
) -> Motion:
    """A motion of anybody on a head avatar, in its joints and expression parameters (metres, radians).

    The source is a clip, a motion file, or the dataset of a tracked video. Expression, turns and shifts are taken
    relative to the driver's own rest (the quietest frames of the face; the mean turn and place of the head) and added
    to the avatar's; `absolute` takes expressions and turns as they are. Actions correspond by name; components without
    names only to those of the same model. Shifts are scaled down where the head would leave the picture of its video.
    Motion that was made for this very avatar comes back as it is. Raises InputError for a source that cannot be read,
    a face of another model, and a body whose head never turns.
    """
    driver = read_driver(source, frame_rate)
    motion = _on_device(driver.motion, avatar)
    if _is_own(motion, avatar):
        return _with_face(motion, avatar)
    matrix = correspondence(replace(driver, motion=motion), avatar)
    own = own_motion(avatar)
    motion = _folded_neck(_on_joints(motion, avatar), own)
    settled = neutral_of(own)
    start, rest = nothing_of(motion), replace(nothing_of(own), place=settled.place) if absolute else settled
    if not absolute and motion.duration >= SETTLES:
        start = neutral_of(motion)
    elif not absolute:
        _log.info("Motion '%s' is too short to tell the driver's rest; the model's is taken.", motion.name)
    rotations, shifts = _turned(motion, start, rest)
    share = share_in_picture(avatar, rotations, rest.place, shifts)
    if share < 1:
        _log.info("Motion '%s': shifts of the head are scaled by %g to stay in the picture.", motion.name, share)
    face = (
        settled.expression.expand(len(motion), -1) if matrix is None else shown_face(motion, matrix, start, rest, own)
    )
    return replace(
        own, name=motion.name, rotations=rotations, translations=rest.place + share * shifts,
        frame_rate=motion.frame_rate, expression=face,
    )  # fmt: skip


def _on_device(motion: Motion, avatar: HeadAvatar) -> Motion:
    like, face = avatar.model.joints, motion.expression
    parts = {name: getattr(motion, name).to(like) for name in ("rest_joints", "rotations", "translations")}
    return replace(motion, expression=None if face is None else face.to(like), **parts)


def _is_own(motion: Motion, avatar: HeadAvatar) -> bool:
    if motion.skeleton != avatar.skeleton or motion.expression_names != avatar.expression_names:
        return False
    if motion.expression is not None and motion.expression.shape[1] != avatar.model.sizes.expressions:
        return False
    return float((motion.rest_joints - avatar.model.joints).abs().max()) < OWN_JOINTS


def _with_face(motion: Motion, avatar: HeadAvatar) -> Motion:
    """The motion with an expression in each frame, the resting one where it says nothing about the face."""
    if motion.expression is not None:
        return motion
    return replace(motion, expression=neutral_of(own_motion(avatar)).expression.expand(len(motion), -1))


def _on_joints(motion: Motion, avatar: HeadAvatar) -> Motion:
    """The turns of the avatar's joints by name; of a body those of the head on its chest, in one place.

    Raises InputError for unknown joints and for a body that tells nothing about its head.
    """
    places = match_head_joints(motion.skeleton.joint_names)
    rotations = _turns_of_head(motion, avatar, places) if places else _turns_of_body(motion, avatar)
    names = avatar.skeleton.joint_names
    if any("look" in name.lower() for name in motion.expression_names):
        eyes = [bone for bone, name in enumerate(names) if name.endswith("_eye")]
        rotations[:, eyes] = 0.0  # trackers report gaze twice, as actions and as angles
    return replace(
        motion,
        skeleton=avatar.skeleton,
        rest_joints=avatar.model.joints,
        rotations=rotations,
        translations=motion.translations if places else torch.zeros_like(motion.translations),
    )


def _turns_of_head(motion: Motion, avatar: HeadAvatar, places: dict[str, int]) -> Float[Tensor, "frame bone 3"]:
    rotations = motion.rotations.new_zeros(len(motion), len(avatar.skeleton), 3)
    for bone, name in enumerate(avatar.skeleton.joint_names):
        place = places.get(_HEAD_JOINTS.get(name, name))
        if place is not None:
            rotations[:, bone] = motion.rotations[:, place]
    return rotations


def _turns_of_body(motion: Motion, avatar: HeadAvatar) -> Float[Tensor, "frame bone 3"]:
    skeleton, joints = avatar.skeleton, avatar.model.joints
    still = Motion("rest", skeleton, joints, torch.zeros_like(joints[None]), torch.zeros_like(joints[:1]), 1.0)
    rotations = retarget(motion, still).rotations.clone()
    rotations[:, 0] = 0.0
    moves = float((rotations - rotations[:1]).norm(dim=-1).max()) > STILL
    if motion.expression is None and not moves:
        raise InputError(
            f"Motion '{motion.name}' is of a body whose head does not turn and that has no face, so it cannot drive a "
            "head. Give head tracks (.npz), an ARKit recording (.csv), or the folder that `avatars prepare` makes of a "
            "video of a face."
        )
    _log.info("Motion '%s' is of a body: the turns of its head are used, not where it goes.", motion.name)
    return rotations


def _folded_neck(motion: Motion, own: Motion) -> Motion:
    """All turning of the head at the root, for an avatar whose neck never turned on its own."""
    names = own.skeleton.joint_names
    if "neck" not in names:
        return motion
    neck = names.index("neck")
    if float(own.rotations[:, neck].norm(dim=-1).max()) > STILL:
        return motion
    rotations = motion.rotations.clone()
    turns = rotation_matrices(motion.rotations)
    rotations[:, 0] = roma.rotmat_to_rotvec(turns[:, 0] @ turns[:, neck])
    rotations[:, neck] = 0.0
    return replace(motion, rotations=rotations)


def _turned(
    motion: Motion, start: Neutral, rest: Neutral
) -> tuple[Float[Tensor, "frame bone 3"], Float[Tensor, "frame 3"]]:
    """Turns and shifts of the head from the avatar's rest as the driver's are from his."""
    change = rotation_matrices(rest.turns) @ rotation_matrices(start.turns).mT
    rotations = roma.rotmat_to_rotvec(change @ rotation_matrices(motion.rotations))
    return rotations, (motion.translations - start.place) @ change[0].mT
