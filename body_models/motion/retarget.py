"""Carry a motion over to a body of other proportions and another rest pose."""

from dataclasses import replace

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.body import Body
from body_models.motion.alignment import CHILD, Rig, rest_alignments, source_rig, target_rig
from body_models.motion.faces import transfer_expression
from body_models.motion.ground import place_on_ground
from body_models.motion.motion import Motion
from body_models.motion.rigs import joint_of_bone, match_head_joints, plain_name
from body_models.motion.spine import WorldTurns, bend_spine, fill_spine
from body_models.motion.turns import turn_between
from body_models.skeleton import Skeleton

_SAME_REST_DEGREES = 10.0
_SAME_JOINTS = 0.005
"""Rest joints nearer than this (metres) make two bodies one and the same."""


def retarget(motion: Motion, target: Body | Motion) -> Motion:
    """The motion on a body's skeleton, or on another motion's: limbs point where the source's do, twist follows.

    Travel is scaled by the ratio of leg lengths and the first frame is at the origin. The ground (y = 0) lies under
    the soles where the person stands, or under the lowest point of a clip in which nobody stands; standing feet keep
    their place. A motion made for this very body comes back as it is. Turns between the two rest poses are constant,
    so that a motion carried over and back has its rotations again. The motion of a head alone goes to the head of the
    body; that of a body turns a head alone, which stays in its place. Raises InputError for joint names that are not
    known.
    """
    joints = target.rest_joints if isinstance(target, Motion) else target.joints
    clip = _on_device(motion, joints)
    order = _same_bones(clip, target.skeleton, joints)
    if order is not None:
        places = clip.translations + (clip.rest_joints[order[0]] - joints[0])
        turns = clip.rotations[:, order]
        same = replace(clip, skeleton=target.skeleton, rest_joints=joints, rotations=turns, translations=places)
        return _with_expression(same, target)
    if isinstance(target, Body) and match_head_joints(clip.skeleton.joint_names):
        return transfer_expression(clip, target)
    theirs, ours = source_rig(clip), target_rig(target)
    rotations = clip.rotations if _same_rest_pose(theirs, ours) else _transfer_rotations(clip, theirs, ours)
    moved = replace(clip, skeleton=ours.skeleton, rest_joints=joints, rotations=rotations)
    return _with_expression(place_on_ground(moved, ours, clip, theirs), target)


def _same_bones(clip: Motion, skeleton: Skeleton, joints: Float[Tensor, "bone 3"]) -> list[int] | None:
    """The clip's bone for each of a body's, where it was made for this very body; else None.

    It may stand elsewhere, and its bones may have other names and another order, as in files.
    """
    if clip.skeleton == skeleton:
        order = list(range(len(skeleton)))
    else:
        ours, theirs = joints - joints[0], clip.rest_joints - clip.rest_joints[0]
        order = (ours[:, None] - theirs).norm(dim=2).argmin(1).tolist()
    parents = [-1 if parent < 0 else order[parent] for parent in skeleton.parents]
    if sorted(order) != list(range(len(clip.skeleton))) or [clip.skeleton.parents[bone] for bone in order] != parents:
        return None
    offsets = (clip.rest_joints[order] - clip.rest_joints[order[0]]) - (joints - joints[0])
    return order if float(offsets.abs().max()) < _SAME_JOINTS else None


def _on_device(motion: Motion, like: Float[Tensor, "bone 3"]) -> Motion:
    parts = {name: getattr(motion, name).to(like) for name in ("rest_joints", "rotations", "translations")}
    return replace(motion, expression=None if motion.expression is None else motion.expression.to(like), **parts)


def _with_expression(motion: Motion, target: Body | Motion) -> Motion:
    """The motion with its expression as the target shows it; without, where nothing corresponds."""
    if isinstance(target, Motion) or motion.expression is None:
        return motion
    face = transfer_expression(motion, target)
    return replace(motion, expression=face.expression, expression_names=face.expression_names)


def _same_rest_pose(source: Rig, target: Rig) -> bool:
    """Whether both have the same joints and, but for proportions, stand alike at rest."""
    if source.skeleton != target.skeleton:
        return False
    pairs = [(source.matches[a], source.matches[b]) for a, b in CHILD.items() if {a, b} <= set(source.matches)]
    if not pairs:
        return True
    starts, ends = torch.tensor(pairs).unbind(1)
    theirs, ours = (torch.nn.functional.normalize(r.joints[ends] - r.joints[starts], dim=-1) for r in (source, target))
    angles = torch.rad2deg(torch.acos((ours * theirs).sum(-1).clamp(-1, 1)))
    return bool(angles.max() < _SAME_REST_DEGREES)


def _transfer_rotations(clip: Motion, source: Rig, target: Rig) -> Float[Tensor, "frame bone 3"]:
    """Local rotations of the target's joints: the source's world rotations, each after a constant turn at rest."""
    turns, positions = clip.posed_from_rest()[..., :3, :3], clip.joint_positions()
    aligned = rest_alignments(source, target)
    played = _played_joints(source, target)
    same_name = _same_names(source, target, played)
    world: list[Tensor | None] = []
    above: list[Tensor] = []
    for bone, parent in enumerate(target.skeleton.parents):
        name = played.get(bone)
        if name is not None:
            above.append(aligned[name])
            turned = turns[:, source.matches[name]] @ above[-1]
            world.append(_point(turned, name, bone, positions, source, target, set(same_name)))
        else:
            above.append(above[parent] if parent >= 0 else torch.eye(3).to(target.joints))
            world.append(turns[:, same_name[bone]] @ above[-1] if bone in same_name else None)
    bent = bend_spine(world, turns, positions, source, target)
    return _local(_fill_in(bent, target), target)


def _played_joints(source: Rig, target: Rig) -> dict[int, str]:
    """Which of the source's joints each bone of the target plays; fingers play the hand of a source without them."""
    played = {}
    bones = joint_of_bone(target.skeleton.joint_names, target.matches)
    theirs = {plain_name(name) for name in source.skeleton.joint_names}
    for bone, name in bones.items():
        side, _, part = name.rpartition("_")
        if bone != target.matches.get(name) and plain_name(target.skeleton.joint_names[bone]) in theirs:
            continue  # a further toe that the source has, too
        if name in source.matches:
            played[bone] = name
        elif part in ("index1", "middle1", "ring1", "pinky1") and f"{side}_hand" in source.matches:
            played[bone] = f"{side}_hand"
    return {bone: name for bone, name in played.items() if name in target.matches}


def _same_names(source: Rig, target: Rig, played: dict[int, str]) -> dict[int, int]:
    """Bones beyond the known joints that both rigs have by the same name (twist bones, toes, the face)."""
    index = {plain_name(name): bone for bone, name in enumerate(source.skeleton.joint_names)}
    known = set(source.matches.values())
    found = {
        b: index.get(plain_name(name), -1) for b, name in enumerate(target.skeleton.joint_names) if b not in played
    }
    return {bone: other for bone, other in found.items() if other >= 0 and other not in known}


def _point(
    turned: Float[Tensor, "frame 3 3"],
    name: str,
    bone: int,
    positions: Float[Tensor, "frame bone 3"],
    source: Rig,
    target: Rig,
    driven: set[int],
) -> Float[Tensor, "frame 3 3"]:
    """A limb's rotation where the source has bones between its two joints that may bend, and the target has not."""
    child = CHILD.get(name)
    if child is None or child not in source.matches or child not in target.matches or target.matches[name] != bone:
        return turned
    start, end, last = source.matches[name], source.matches[child], target.matches[child]
    if source.skeleton.parents[end] == start or target.skeleton.parents[last] in driven:
        return turned
    at_rest = target.joints[last] - target.joints[bone]
    return turn_between(turned @ at_rest, positions[:, end] - positions[:, start]) @ turned


def _fill_in(world: WorldTurns, target: Rig) -> list[Tensor]:
    """World rotations of bones that have none yet: shared out along the spine, elsewhere the parent's."""
    shared = fill_spine(world, target)
    some = next(turn for turn in shared if turn is not None)
    filled: list[Tensor] = []
    for turn, parent in zip(shared, target.skeleton.parents, strict=True):
        resting = filled[parent] if parent >= 0 else torch.eye(3).to(some).expand_as(some)
        filled.append(resting if turn is None else turn)
    return filled


def _local(world: list[Tensor], target: Rig) -> Float[Tensor, "frame bone 3"]:
    parents = target.skeleton.parents
    return roma.rotmat_to_rotvec(
        torch.stack([w if p < 0 else world[p].mT @ w for w, p in zip(world, parents, strict=True)], dim=1)
    )
