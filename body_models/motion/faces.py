"""Motion of heads: named expressions and jaw, neck and eye turns, carried from any head to any other."""

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.body import Body
from body_models.errors import InputError
from body_models.motion.motion import Motion
from body_models.motion.npz_files import frame_rate as rate_of
from body_models.motion.npz_files import numbers, read_arrays
from body_models.names import ARKIT_EXPRESSIONS, HEAD_SKELETON

_log = logging.getLogger(__name__)

JAW_OPEN, JAW_SIDEWAYS, EYE_TURN = 0.42, 0.09, 0.52
"""Turns that a full jawOpen, jawLeft or eyeLook action stands for (radians); ARKit gives no angles for its actions."""
_DIRECTIONS = ("jaw", "mouth")
"""Here left and right are ways to move, not two halves of one action."""
_MOVES = 0.001
"""An action that shifts some vertex of a joint by more than this (metres) shows what the joint's turn would."""
_STILL = 1e-6
_JOINTS = ("root", "neck", "jaw", "left_eye", "right_eye")
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


def match_expressions(source_names: Sequence[str], target_names: Sequence[str]) -> Float[Tensor, "source target"]:
    """What each source action adds to each target action; a row of zeros for one that the target does not have.

    Names match in any spelling (`browDown_L`, `BrowDownLeft`). An action that the target splits goes to both halves;
    two halves that it joins are averaged.
    """
    sources = [_action_key(name) for name in source_names]
    targets = [_action_key(name) for name in target_names]
    matrix = torch.zeros(len(sources), len(targets))
    for row, (base, side) in enumerate(sources):
        for column, (target_base, target_side) in enumerate(targets):
            if base != target_base:
                continue
            same, halves = side == target_side, base not in _DIRECTIONS
            if same or (halves and side == "" and (base, target_side) not in sources):
                matrix[row, column] = 1.0
            elif halves and target_side == "" and (base, "") not in sources:
                matrix[row, column] = 0.5
    return matrix


def unmatched_expressions(source_names: Sequence[str], target_names: Sequence[str]) -> tuple[str, ...]:
    """The source actions for which the target has no counterpart."""
    found = match_expressions(source_names, target_names).any(1).tolist()
    return tuple(name for name, known in zip(source_names, found, strict=True) if not known)


def rotations_from_actions(
    expression: Float[Tensor, "frame action"], names: Sequence[str]
) -> dict[str, Float[Tensor, "frame 3"]]:
    """Axis-angle turns of `jaw`, `left_eye` and `right_eye` that named actions stand for (radians, +Z ahead)."""
    arkit = expression @ match_expressions(names, ARKIT_EXPRESSIONS).to(expression)
    action = {name: arkit[:, column] for column, name in enumerate(ARKIT_EXPRESSIONS)}
    still = torch.zeros_like(arkit[:, 0])
    sideways = JAW_SIDEWAYS * (action["jawLeft"] - action["jawRight"])
    turns = {"jaw": torch.stack([JAW_OPEN * action["jawOpen"], sideways, still], dim=1)}
    for side, outward in (("Left", 1.0), ("Right", -1.0)):
        down = action[f"eyeLookDown{side}"] - action[f"eyeLookUp{side}"]
        left = outward * (action[f"eyeLookOut{side}"] - action[f"eyeLookIn{side}"])
        turns[f"{side.lower()}_eye"] = EYE_TURN * torch.stack([down, left, still], dim=1)
    return turns


def transfer_expression(motion: Motion, body: Body) -> Motion:
    """The motion of a face on another head (or a body with a head), on that one's joints and expression parameters.

    Named actions go to the actions of that name. Where the target does not show them by itself (FLAME's unnamed
    components; eyeballs that stay still), jawOpen, jawLeft, jawRight and eyeLook turn jaw and eyes instead, unless the
    motion turns these already. Unnamed components are kept only for a target with unnamed components, at least as
    many. What has to be left out is logged. A head keeps the translation; a body stays where it is.
    """
    turns = _head_turns(motion)
    expression = _carried_expression(motion, body)
    if motion.expression is not None and motion.expression_names:
        for joint, acted in rotations_from_actions(motion.expression, motion.expression_names).items():
            own, acts = turns.get(joint), float(acted.abs().max()) > _STILL
            moved = own is not None and float(own.abs().max()) > _STILL
            if _shows(body, joint):
                if joint != "jaw" and acts:  # trackers report gaze twice, as actions and as angles
                    turns.pop(joint, None)
            elif acts and not moved:
                turns[joint] = acted
    is_head = "head" not in body.skeleton.joint_names
    if not is_head:
        turns["head"] = _compose(turns.pop("root", None), turns.pop("neck", None), motion)
    rotations = motion.rotations.new_zeros(len(motion), len(body.skeleton), 3)
    for name, turn in turns.items():
        if name in body.skeleton.joint_names:
            rotations[:, body.skeleton.index(name)] = turn
        elif float(turn.abs().max()) > _STILL:
            _log.info("Motion '%s': the target has no joint '%s', whose turn is left out.", motion.name, name)
    return Motion(
        name=motion.name,
        skeleton=body.skeleton,
        rest_joints=body.joints.to(motion.rotations),
        rotations=rotations,
        translations=motion.translations if is_head else torch.zeros_like(motion.translations),
        frame_rate=motion.frame_rate,
        expression=expression,
        expression_names=() if expression is None else body.expression_names,
    )


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
            f"{path}: no head motion; expected some of {known}. Keys found: {', '.join(arrays) or 'none'}."
        )
    if len(lengths) != 1 or 0 in lengths:
        raise InputError(f"{path}: the tracks have {sorted(lengths)} frames; all need the same number, at least 1.")
    count = lengths.pop()
    still = torch.zeros(count, 3)
    rest = _track(path, arrays, ("rest_joints",), 3)
    if rest is not None and len(rest) != len(HEAD_SKELETON):
        raise InputError(f"{path}: 'rest_joints' has shape {tuple(rest.shape)}; expected ({len(HEAD_SKELETON)}, 3).")
    return Motion(
        name=path.stem,
        skeleton=HEAD_SKELETON,
        rest_joints=head_joints() if rest is None else rest,
        rotations=torch.stack([tracks.get(joint, still) for joint in _JOINTS], dim=1),
        translations=still if translation is None else translation,
        frame_rate=rate_of(path, arrays, frame_rate),
        expression=expression,
        expression_names=_names(path, arrays, 0 if expression is None else expression.shape[1]),
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
    arrays = {_JOINT_KEYS[joint][0]: motion.rotations[:, i].cpu().numpy() for i, joint in enumerate(_JOINTS)}
    arrays["transl"] = motion.translations.cpu().numpy()
    arrays["rest_joints"] = motion.rest_joints.cpu().numpy()
    arrays["fps"] = np.array(motion.frame_rate)
    if motion.expression is not None:
        arrays["expression"] = motion.expression.detach().cpu().numpy()
        if motion.expression_names:
            arrays["expression_names"] = np.array(motion.expression_names)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({error.strerror}). Choose a folder that exists.") from error


def _action_key(name: str) -> tuple[str, str]:
    """An action without its spelling: lower-case words run together, and the side as `l`, `r` or nothing."""
    words = [word.lower() for word in re.split(r"[^A-Za-z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)) if word]
    if len(words) > 1 and words[-1] in ("l", "r"):
        return "".join(words[:-1]), words[-1]
    joined = "".join(words)
    for side in ("left", "right"):
        if joined.endswith(side) or joined.startswith(side):
            return (joined.removesuffix(side) if joined.endswith(side) else joined.removeprefix(side)), side[0]
    return joined, ""


def _head_turns(motion: Motion) -> dict[str, Float[Tensor, "frame 3"]]:
    """The turns of a head's joints in any skeleton; on a body's, neck and head together turn the head."""
    turns = dict(zip(motion.skeleton.joint_names, motion.rotations.unbind(1), strict=True))
    if "head" in turns:
        turns["neck"] = _compose(turns.get("neck"), turns["head"], motion)
        turns.pop("root", None)
    return {joint: turns[joint] for joint in _JOINTS if joint in turns}


def _compose(first: Tensor | None, second: Tensor | None, motion: Motion) -> Float[Tensor, "frame 3"]:
    """The turn of a child seen from its grandparent."""
    still = torch.zeros_like(motion.translations)
    product = roma.quat_product(
        roma.rotvec_to_unitquat(still if first is None else first),
        roma.rotvec_to_unitquat(still if second is None else second),
    )
    return roma.unitquat_to_rotvec(product)


def _carried_expression(motion: Motion, body: Body) -> Float[Tensor, "frame expression"] | None:
    if motion.expression is None:
        return None
    width = 0 if body.expression_basis is None else len(body.expression_basis)
    if motion.expression_names and body.expression_names:
        matrix = match_expressions(motion.expression_names, body.expression_names).to(motion.expression)
        lost = (motion.expression.abs().amax(0) > _STILL) & ~matrix.any(1)
        left_out = [motion.expression_names[place] for place in torch.nonzero(lost)[:, 0].tolist()]
        if left_out:
            _log.info("Motion '%s': the target cannot show %s.", motion.name, ", ".join(left_out))
        return motion.expression @ matrix
    if not motion.expression_names and not body.expression_names and motion.expression.shape[1] <= width:
        return motion.expression
    _log.info(
        "Motion '%s': its %d %s expression parameters mean nothing to the target and are left out.",
        motion.name,
        motion.expression.shape[1],
        "named" if motion.expression_names else "unnamed",
    )
    return None


def _shows(body: Body, joint: str) -> bool:
    """Whether a body's own actions move what a joint carries: the eyeball for the eyes, the chin for the jaw."""
    if body.expression_basis is None or not body.expression_names or joint not in body.skeleton.joint_names:
        return False
    side = joint.removesuffix("_eye").capitalize()
    actions = ["jawOpen"] if joint == "jaw" else [f"eyeLook{way}{side}" for way in ("Up", "Down", "In", "Out")]
    chosen = match_expressions(actions, body.expression_names).any(0).to(body.vertices.device)
    carried = body.skinning_weights[:, body.skeleton.index(joint)] > 0.5
    moves = torch.linalg.norm(body.expression_basis[chosen][:, carried], dim=-1)
    return moves.numel() > 0 and float(moves.max()) > _MOVES


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


def _names(path: Path, arrays: dict[str, np.ndarray], count: int) -> tuple[str, ...]:
    names = arrays.get("expression_names")
    if names is None or count == 0:
        return ()
    if names.dtype.kind not in "US" or names.shape != (count,):
        raise InputError(f"{path}: 'expression_names' has shape {names.shape}; expected {count} texts.")
    return tuple(name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names.tolist())
