"""How the bones of two rigs lie in each other's rest pose: turns that hold for every frame of a motion."""

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.body import Body
from body_models.motion.feet import level_feet
from body_models.motion.motion import Motion
from body_models.motion.rigs import match_head_joints, match_joints
from body_models.motion.turns import heading, turn_between
from body_models.names import SMPL_SKELETON, SMPLX_SKELETON
from body_models.skeleton import Skeleton

_LIMBS = {"hip": "knee", "knee": "ankle", "shoulder": "elbow", "elbow": "wrist", "wrist": "hand"}
_FINGERS = {
    f"{finger}{k}": f"{finger}{k + 1}" for finger in ("thumb", "index", "middle", "ring", "pinky") for k in (1, 2)
}
CHILD = {f"{side}_{a}": f"{side}_{b}" for side in ("left", "right") for a, b in (_LIMBS | _FINGERS).items()}
"""Bones whose direction is taken over: limbs and fingers. Elsewhere rigs' directions differ by build, not by pose."""
_FARTHEST_FOOT = math.pi / 4
"""Feet that seem to lie farther (radians) from where the shin has them were not measured well."""
_NEARLY_LEVEL = math.radians(4.0)
_PARENT = {
    name: skeleton.joint_names[parent] if parent >= 0 else ""
    for skeleton in (SMPL_SKELETON, SMPLX_SKELETON)
    for name, parent in zip(skeleton.joint_names, skeleton.parents, strict=True)
}
_FROM_THE_ROOT = tuple(_PARENT)


@dataclass(frozen=True)
class Rig:
    """What retargeting needs of a body or of a motion's skeleton."""

    skeleton: Skeleton
    joints: Float[Tensor, "bone 3"]
    """At rest (metres)."""
    matches: dict[str, int]
    """Bone of each of our joints."""
    level: dict[str, Float[Tensor, "3 3"]]
    """For ankles and toes the turn, in the bone's axes at rest, of a foot that stands level and points to +Z."""
    body: Body | None = None
    """The surface, where there is one."""


def source_rig(motion: Motion) -> Rig:
    """The rig of a motion, whose standing frames, if there are any, tell how soles lie.

    Raises InputError for a skeleton whose joint names are not known.
    """
    matches = _matches(motion.skeleton)
    return Rig(motion.skeleton, motion.rest_joints, matches, _measured_level(motion, matches))


def target_rig(target: Body | Motion) -> Rig:
    """The rig of a body, whose soles are level at rest, or of a motion, where standing frames may know better.

    Raises InputError for a skeleton whose joint names are not known.
    """
    matches = _matches(target.skeleton)
    if isinstance(target, Motion):
        level = _level_at_rest(target.rest_joints, matches) | _measured_level(target, matches)
        return Rig(target.skeleton, target.rest_joints, matches, level)
    surface = target if len(target.vertices) > 0 else None
    return Rig(target.skeleton, target.joints, matches, _level_at_rest(target.joints, matches), surface)


def _level_at_rest(joints: Float[Tensor, "bone 3"], matches: Mapping[str, int]) -> dict[str, Tensor]:
    """Feet as they lie on a rig whose soles are level at rest."""
    level: dict[str, Tensor] = {}
    for side in ("left", "right"):
        parts = [f"{side}_ankle", f"{side}_foot"]
        if all(part in matches for part in parts):
            ankle, toe = joints[[matches[part] for part in parts]]
            level |= dict.fromkeys(parts, heading(toe - ankle))
    return level


def _measured_level(motion: Motion, matches: Mapping[str, int]) -> dict[str, Tensor]:
    """Feet as they lie in standing frames; exactly as at rest where the two differ by no more than errors."""
    at_rest, measured = _level_at_rest(motion.rest_joints, matches), level_feet(motion, matches)
    near = {part for part in measured if roma.rotmat_geodesic_distance(measured[part], at_rest[part]) < _NEARLY_LEVEL}
    return measured | {part: at_rest[part] for part in near}


def _matches(skeleton: Skeleton) -> dict[str, int]:
    return match_head_joints(skeleton.joint_names) or match_joints(skeleton.joint_names)


def rest_alignments(source: Rig, target: Rig) -> dict[str, Float[Tensor, "3 3"]]:
    """For each joint of both: the turn that puts the target's bone, at rest, into the source's rest pose.

    A limb's goes on from its parent's by the smallest turn, so that a bent elbow is straightened about its own hinge.
    Exchanging source and target gives the inverses.
    """
    identity = torch.eye(3).to(target.joints)
    common = set(source.matches) & set(target.matches)
    turns: dict[str, Tensor] = {}
    for name in _FROM_THE_ROOT:
        if name not in common:
            continue
        above = turns.get(_limb_parent(name, common), identity)
        child = CHILD.get(name)
        if child is not None and child in common:
            theirs, ours = (rig.joints[rig.matches[child]] - rig.joints[rig.matches[name]] for rig in (source, target))
            above = turn_between(above @ ours, theirs) @ above
        elif name in source.level and name in target.level:
            level = source.level[name] @ target.level[name].mT
            far = float(roma.rotmat_geodesic_distance(level, above)) > _FARTHEST_FOOT
            above = above if far else level
        turns[name] = above
    return turns


def _limb_parent(name: str, common: Set[str]) -> str:
    """The nearest joint towards the root that both rigs have; empty where there is none."""
    parent = _PARENT[name]
    while parent and parent not in common:
        parent = _PARENT[parent]
    return parent
