"""What AMASS and smplx-type files say frame by frame, under any of the keys in use."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.motion.npz_files import expression_names, numbers

_log = logging.getLogger(__name__)

_OF_WIDTH = {63: "smpl", 66: "smpl", 72: "smpl", 156: "smplh", 165: "smplx"}
_BODY_COLUMNS = 66
"""Root and 21 body joints: what AMASS files without hands have."""
_PARTS = {
    "root": (("root_orient", "global_orient"), (3,)),
    "body": (("pose_body", "body_pose"), (63, 69)),
    "jaw": (("pose_jaw", "jaw_pose"), (3,)),
    "eyes": (("pose_eye",), (6,)),
    "left eye": (("leye_pose",), (3,)),
    "right eye": (("reye_pose",), (3,)),
    "hands": (("pose_hand",), (90,)),
    "left hand": (("left_hand_pose",), (45,)),
    "right hand": (("right_hand_pose",), (45,)),
}
"""Keys of files that hold poses in parts, AMASS's spelling first, then smplx's; and how many numbers a frame has."""


def pose_columns(path: Path, arrays: Mapping[str, np.ndarray]) -> tuple[Float[Tensor, "frame column"], str]:
    """Axis-angle numbers of all joints of the SMPL-family model that they are of, and that model."""
    if "poses" not in arrays:
        return _joined_parts(path, arrays)
    poses = numbers(path, arrays, "poses")
    poses = poses.flatten(1) if poses.ndim == 3 else poses
    if poses.ndim == 2 and len(poses) == 0:
        raise InputError(f"{path}: 'poses' has shape {tuple(poses.shape)}: no frames. Export the clip again.")
    free = "joint_names" in arrays and poses.ndim == 2 and poses.shape[1] == 3 * arrays["joint_names"].size
    if poses.ndim != 2 or not (free or poses.shape[1] in _OF_WIDTH):
        raise InputError(
            f"{path}: 'poses' has shape {tuple(poses.shape)}; expected frames x 72 (SMPL), 156 (SMPL-H), 165 (SMPL-X), "
            "or 66 or 63 (body without hands, with or without root): three numbers a joint. Export all joints again."
        )
    model = _OF_WIDTH.get(poses.shape[1], "anny")
    if poses.shape[1] == 63 and not free:
        root = _part(path, arrays, "root", len(poses))
        poses = torch.cat([poses.new_zeros(len(poses), 3) if root is None else root, poses], dim=1)
    if poses.shape[1] == _BODY_COLUMNS and not free:
        poses = torch.cat([poses, poses.new_zeros(len(poses), 6)], dim=1)
    return poses, model


def _joined_parts(path: Path, arrays: Mapping[str, np.ndarray]) -> tuple[Float[Tensor, "frame column"], str]:
    keys = [key for key in _PARTS["body"][0] if key in arrays]
    if not keys:
        raise InputError(
            f"{path}: no key 'poses' with plain numbers, nor 'pose_body' or 'body_pose'. Keys found: "
            f"{', '.join(arrays) or 'none'}."
        )
    frames = 1 if arrays[keys[0]].ndim == 1 else len(arrays[keys[0]])
    parts = {name: _part(path, arrays, name, frames) for name in _PARTS}
    body = parts["body"]
    if body is None or frames == 0:
        raise InputError(f"{path}: '{keys[0]}' has no frames.")
    root = _or_rest(parts["root"], body, 3)
    fingers = [parts["hands"]] if parts["hands"] is not None else [parts["left hand"], parts["right hand"]]
    face = [parts["jaw"], *([parts["eyes"]] if parts["eyes"] is not None else [parts["left eye"], parts["right eye"]])]
    moved_face, moved_hands = (any(part is not None for part in group) for group in (face, fingers))
    if body.shape[1] == 69 or not (moved_face or moved_hands):
        return torch.cat([root, body, body.new_zeros(frames, 69 - body.shape[1])], dim=1), "smpl"
    hands = torch.cat([_or_rest(part, body, 90 // len(fingers)) for part in fingers], dim=1)
    if not moved_face:
        return torch.cat([root, body, hands], dim=1), "smplh"
    eyes = face[1:]
    turns = [_or_rest(face[0], body, 3), *(_or_rest(part, body, 6 // len(eyes)) for part in eyes)]
    return torch.cat([root, body, *turns, hands], dim=1), "smplx"


def _or_rest(
    part: Float[Tensor, "frame column"] | None, like: Float[Tensor, "frame other"], width: int
) -> Float[Tensor, "frame width"]:
    return like.new_zeros(len(like), width) if part is None else part


def _part(path: Path, arrays: Mapping[str, np.ndarray], name: str, frames: int) -> Float[Tensor, "frame column"] | None:
    keys, widths = _PARTS[name]
    key = next((key for key in keys if key in arrays), None)
    if key is None:
        return None
    values = numbers(path, arrays, key)
    values = values[None] if values.ndim == 1 else values.flatten(1)
    if len(values) != frames or values.shape[1] not in widths:
        pca = " Fingers as principal components cannot be read: export them in full." if "hand" in name else ""
        raise InputError(
            f"{path}: '{key}' has shape {arrays[key].shape}; expected {frames} x {' or '.join(map(str, widths))}.{pca}"
        )
    return values


def translations_in(path: Path, arrays: Mapping[str, np.ndarray], frames: int) -> Float[Tensor, "frame 3"]:
    """How far the root is from its place at rest, in the file's frame."""
    if "trans" not in arrays and "poses" not in arrays and "transl" not in arrays:
        _log.info("%s: holds no 'transl'; the person stays at one place", path)
        return torch.zeros(frames, 3, dtype=torch.float64)
    key = "transl" if "transl" in arrays and "trans" not in arrays else "trans"
    translations = numbers(path, arrays, key)
    translations = translations[None] if translations.ndim == 1 else translations
    if translations.shape != (frames, 3):
        raise InputError(f"{path}: '{key}' has shape {arrays[key].shape}; expected ({frames}, 3) as for the poses.")
    return translations


def betas_in(path: Path, arrays: Mapping[str, np.ndarray]) -> Float[Tensor, "shape"] | None:
    """The person's shape; where every frame has one, their mean."""
    if "betas" not in arrays:
        return None
    betas = numbers(path, arrays, "betas")
    return betas.flatten(1).mean(0) if betas.ndim > 1 and len(betas) > 0 else betas.reshape(-1)


def expression_in(
    path: Path, arrays: Mapping[str, np.ndarray], frames: int
) -> tuple[Float[Tensor, "frame expression"] | None, tuple[str, ...]]:
    """Expression parameters and their names, where the file has any."""
    if "expression" not in arrays:
        return None, ()
    values = numbers(path, arrays, "expression")
    values = values[None] if values.ndim == 1 else values
    if values.ndim != 2 or len(values) != frames:
        raise InputError(f"{path}: 'expression' has shape {arrays['expression'].shape}; expected {frames} rows.")
    return values.float(), expression_names(path, arrays, values.shape[1])
