"""Find out which way a foreign skeleton stands and looks."""

import logging
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.motion.rigs import match_head_joints, match_joints
from body_models.skeleton import Skeleton

_log = logging.getLogger(__name__)


def upright_frame(path: Path, skeleton: Skeleton, rest: Float[Tensor, "bone 3"]) -> Float[Tensor, "3 3"]:
    """Rotation by quarter turns from the file's axes to ours, judged by where feet, head and hips are at rest.

    Heads on their own keep their axes, and so do unknown joint names, with a warning. Raises InputError when left and
    right coincide.
    """
    if match_head_joints(skeleton.joint_names):
        return torch.eye(3, dtype=rest.dtype)
    try:
        at = {name: rest[index] for name, index in match_joints(skeleton.joint_names).items()}
    except InputError:
        _log.warning("%s: joint names are not known; Y up and facing +Z is assumed", path)
        return torch.eye(3, dtype=rest.dtype)
    hips, ankles = (at["left_" + part] + at["right_" + part] for part in ("hip", "ankle"))
    up = _nearest_axis(hips - ankles)
    across = sum((at["left_" + part] - at["right_" + part] for part in ("hip", "ankle", "shoulder")), torch.zeros(3))
    if not (across * (1 - up.abs())).any():
        raise InputError(f"{path}: left and right joints lie upon each other at rest; check the rest pose.")
    left = _nearest_axis(across * (1 - up.abs()))
    ours_from_file = torch.stack([left, up, torch.linalg.cross(left, up)])
    if not torch.equal(ours_from_file, torch.eye(3, dtype=rest.dtype)):
        _log.info("%s: axes turned to Y up, facing +Z", path)
    return ours_from_file


def _nearest_axis(direction: Float[Tensor, "3"]) -> Float[Tensor, "3"]:
    axis = torch.zeros_like(direction)
    largest = direction.abs().argmax()
    axis[largest] = 1.0 if direction[largest] >= 0 else -1.0
    return axis
