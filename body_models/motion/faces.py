"""Motion of heads: named expressions and jaw, neck and eye turns, carried from any head to any other."""

import logging
import re
from collections.abc import Sequence

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.body import Body
from body_models.motion.motion import Motion
from body_models.motion.rigs import match_head_joints
from body_models.names import ARKIT_EXPRESSIONS, HEAD_SKELETON

_log = logging.getLogger(__name__)

JAW_OPEN, JAW_SIDEWAYS, EYE_TURN = 0.42, 0.09, 0.52
"""Turns that a full jawOpen, jawLeft or eyeLook action stands for (radians); ARKit gives no angles for its actions."""
_DIRECTIONS = ("jaw", "mouth")
"""Here left and right are ways to move, not two halves of one action."""
_MOVES = 0.001
"""An action that shifts some vertex of a joint by more than this (metres) shows what the joint's turn would."""
_STILL = 1e-6
_AS_IN_A_BODY = {"root": "spine3", "neck": "head"}
"""Joints of a head on its own, and what `match_head_joints` calls them."""


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
        if match_head_joints(motion.skeleton.joint_names):
            _log.info("Motion '%s' is of a head alone: only the head turns, the body stays at rest.", motion.name)
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
    places = match_head_joints(motion.skeleton.joint_names)
    if places:
        known = {joint: places.get(_AS_IN_A_BODY.get(joint, joint)) for joint in HEAD_SKELETON.joint_names}
        return {joint: motion.rotations[:, place] for joint, place in known.items() if place is not None}
    turns = dict(zip(motion.skeleton.joint_names, motion.rotations.unbind(1), strict=True))
    if "head" in turns:
        turns["neck"] = _compose(turns.get("neck"), turns["head"], motion)
        turns.pop("root", None)
    return {joint: turns[joint] for joint in HEAD_SKELETON.joint_names if joint in turns}


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
