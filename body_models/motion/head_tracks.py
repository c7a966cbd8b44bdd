"""Head motion as `.npz`: expression, head, neck, jaw and eye tracks, as FLAME trackers spell them too."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.motion.motion import Motion
from body_models.motion.npz_files import expression_names, numbers, read_arrays, warn_of_degrees
from body_models.motion.npz_files import frame_rate as rate_of
from body_models.motion.whole_files import write_arrays
from body_models.names import HEAD_SKELETON

_JOINT_KEYS = {
    "root": ("global_orient", "root_orient", "root_pose", "root", "rotation"),
    "neck": ("neck_pose", "neck"),
    "jaw": ("jaw_pose", "jaw"),
    "left_eye": ("leye_pose", "left_eye"),
    "right_eye": ("reye_pose", "right_eye"),
}
_EYES_KEYS = ("eyes_pose", "eye_pose", "eyes")
_EXPRESSION_KEYS = ("expression", "expr", "exp")
_TRANSLATION_KEYS = ("transl", "translation", "trans")


def head_joints() -> Float[Tensor, "bone 3"]:
    """About where a grown person's `HEAD_SKELETON` is, with the origin between the ears; for files without joints."""
    return torch.tensor(
        [[0.0, -0.13, -0.03], [0.0, -0.06, -0.01], [0.0, -0.005, 0.018], [0.031, 0.036, 0.079], [-0.031, 0.036, 0.079]]
    )


def load_head_motion(path: str | Path, frame_rate: float | None = None) -> Motion:
    """Read expression, head, neck, jaw and eye tracks from an `.npz` (radians, metres), as FLAME trackers spell it too.

    Keys: `expression` (frame x parameter) with `expression_names` where they have names; `global_orient`, `neck_pose`,
    `jaw_pose`, `leye_pose`, `reye_pose`, `transl` (frame x 3); `fps`, which `frame_rate` stands in for where a file
    has none. FLAME's trackers also write `expr`, `rotation`, `neck`, `jaw`, `eyes` (left, right), `translation`. Raises
    InputError that names the file and the key.
    """
    path = Path(path)
    arrays = read_arrays(path)
    candidates = {joint: _track(path, arrays, keys, 3) for joint, keys in _JOINT_KEYS.items()}
    tracks = {joint: track for joint, track in candidates.items() if track is not None}
    eyes = _track(path, arrays, _EYES_KEYS, 6)
    if eyes is not None:
        tracks = {"left_eye": eyes[:, :3], "right_eye": eyes[:, 3:]} | tracks
    expression = _track(path, arrays, _EXPRESSION_KEYS, None)
    translation = _track(path, arrays, _TRANSLATION_KEYS, 3)
    lengths = {len(part) for part in (*tracks.values(), expression, translation) if part is not None}
    if not tracks and expression is None:
        known = ", ".join(("expression", "global_orient", "neck_pose", "jaw_pose", "leye_pose", "reye_pose"))
        raise InputError(
            f"{path}: no head motion; expected some of {known}. A body's motion has 'poses', 'pose_body' or "
            f"'body_pose', and is read by load_motion. Keys found: {', '.join(arrays) or 'none'}."
        )
    if len(lengths) != 1 or 0 in lengths:
        raise InputError(f"{path}: the tracks have {sorted(lengths)} frames; all need the same number, at least 1.")
    count = lengths.pop()
    still = torch.zeros(count, 3)
    rest = _track(path, arrays, ("rest_joints",), 3)
    if rest is not None and len(rest) != len(HEAD_SKELETON):
        raise InputError(f"{path}: 'rest_joints' has shape {tuple(rest.shape)}; expected ({len(HEAD_SKELETON)}, 3).")
    rotations = torch.stack([tracks.get(joint, still) for joint in HEAD_SKELETON.joint_names], dim=1)
    warn_of_degrees(path, rotations)
    return Motion(
        name=path.stem,
        skeleton=HEAD_SKELETON,
        rest_joints=head_joints() if rest is None else rest,
        rotations=rotations,
        translations=still if translation is None else translation,
        frame_rate=rate_of(path, arrays, frame_rate),
        expression=expression,
        expression_names=() if expression is None else expression_names(path, arrays, expression.shape[1]),
    )


def write_head_motion(path: str | Path, motion: Motion) -> None:
    """Write a head's motion so that `load_head_motion` gives it back; the file is complete or not there.

    Raises InputError for another skeleton, another suffix, or a folder that cannot be written.
    """
    path = Path(path)
    if motion.skeleton != HEAD_SKELETON:
        raise InputError(
            f"Motion '{motion.name}' is no head's: transfer_expression(motion, head) it before writing {path}."
        )
    if path.suffix.lower() != ".npz":
        raise InputError(f"{path}: head motion is written as .npz; change the file's suffix.")
    arrays = {
        _JOINT_KEYS[joint][0]: motion.rotations[:, i].cpu().numpy() for i, joint in enumerate(HEAD_SKELETON.joint_names)
    }
    arrays["transl"] = motion.translations.cpu().numpy()
    arrays["rest_joints"] = motion.rest_joints.cpu().numpy()
    arrays["fps"] = np.array(motion.frame_rate)
    if motion.expression is not None:
        arrays["expression"] = motion.expression.detach().cpu().numpy()
        if motion.expression_names:
            arrays["expression_names"] = np.array(motion.expression_names)
    write_arrays(path, arrays)


def _track(
    path: Path, arrays: dict[str, np.ndarray], keys: tuple[str, ...], width: int | None
) -> Float[Tensor, "frame number"] | None:
    key = next((key for key in keys if key in arrays), None)
    if key is None:
        return None
    track = numbers(path, arrays, key)
    if track.ndim != 2 or (width is not None and track.shape[1] != width):
        wanted = "frames x parameters" if width is None else f"frames x {width}"
        raise InputError(f"{path}: '{key}' has shape {tuple(track.shape)}; expected {wanted}.")
    return track.float()
