"""The bend of the trunk on a rig whose spine has other joints, at other heights."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import roma
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from body_models.motion.alignment import Rig
from body_models.motion.turns import share_turn, turn_between

_SPINE = ("pelvis", "spine1", "spine2", "spine3", "neck", "head")
_SHORTEST_LEVER = 0.2
"""Share of the way from pelvis to neck; joints nearer together would have to bend too far to move the neck."""
_ROUNDS = 12
"""Bones whose turns are shared out move with those that are corrected; each round takes up most of what is left."""
WorldTurns = Sequence[Float[Tensor, "frame 3 3"] | None]
"""World rotation of each bone; None for a bone that nothing drives yet."""


def fill_spine(world: WorldTurns, target: Rig) -> list[Tensor | None]:
    """World rotations in which spine bones that nothing drives take equal shares of the turn from one to the next."""
    filled, parents = list(world), target.skeleton.parents
    matched = [target.matches[name] for name in _SPINE if name in target.matches]
    for lower, upper in pairwise(bone for bone in matched if world[bone] is not None):
        between, start, end = _path(parents, lower, upper)[1:-1], world[lower], world[upper]
        if start is None or end is None or any(world[bone] is not None for bone in between):
            continue
        for step, bone in enumerate(between, start=1):
            filled[bone] = share_turn(start, end, step / (len(between) + 1))
    return filled


def bend_spine(
    world: WorldTurns,
    turns: Float[Tensor, "frame bone 3 3"],
    positions: Float[Tensor, "frame bone 3"],
    source: Rig,
    target: Rig,
) -> list[Tensor | None]:
    """World rotations in which the neck lies over the pelvis as the source's does (but for the rests' difference).

    Joints at other heights move the neck elsewhere when they turn alike: on one rig the chest is most of the trunk, on
    another a third. All spine joints below the chest make up for it by one turn a frame, which does not twist; chest,
    neck and pelvis keep theirs. With source and target exchanged the same rule gives the inverse turn. `turns` and
    `positions` are the source's. Rigs of fewer than two common spine joints are left as they are.
    """
    ours, theirs = _lever(target, source), _lever(source, target)
    if ours is None or theirs is None or any(world[bone] is None for bone in (ours.path[0], ours.path[ours.first])):
        return list(world)
    trunk = normalize(positions[:, theirs.path[-1]] - positions[:, theirs.path[0]], dim=-1)
    lever = positions[:, theirs.path[theirs.last + 1]] - positions[:, theirs.path[theirs.first]]
    pelvis = turns[:, theirs.path[0]]
    between_rests = turn_between(_trunk_at_rest(source, theirs), _trunk_at_rest(target, ours))
    wanted = (pelvis @ between_rests @ pelvis.mT @ trunk[..., None])[..., 0]
    steps = _steps(world, target, ours)
    below = steps[:, ours.first : ours.last + 1].sum(1)
    corrected = list(world)
    for _ in range(1 if all(world[bone] is not None for bone in ours.path) else _ROUNDS):
        others = steps.sum(1) - steps[:, ours.first : ours.last + 1].sum(1)
        reached = _on_the_line(wanted, others, below.norm(dim=-1), (lever * trunk).sum(-1) >= 0)
        turn = _turn_across(normalize(trunk + wanted, dim=-1), below, reached)
        for bone in ours.path[ours.first : ours.last + 1]:
            own = world[bone]
            corrected[bone] = None if own is None else turn @ own
        steps = _steps(corrected, target, ours)
    return corrected


@dataclass(frozen=True)
class _Lever:
    """The bones from pelvis to neck, and which of them may turn."""

    path: list[int]
    first: int
    """Place in the path of the lowest joint that turns."""
    last: int
    """Place of the highest, which is the one below the chest."""


def _lever(rig: Rig, other: Rig) -> _Lever | None:
    """None where the two rigs have too few spine joints in common, or those of this rig are too near together."""
    common = [name for name in _SPINE if name in rig.matches and name in other.matches]
    joints = [name for name in common if name.startswith("spine")]
    if len(joints) < 2 or not {"pelvis", "neck"} <= set(common):
        return None
    path = _path(rig.skeleton.parents, rig.matches["pelvis"], rig.matches["neck"])
    if any(rig.matches[name] not in path for name in joints):
        return None
    low, chest = (rig.joints[rig.matches[name]] for name in (joints[0], joints[-1]))
    whole = rig.joints[path[-1]] - rig.joints[path[0]]
    if float((chest - low).norm()) < _SHORTEST_LEVER * float(whole.norm()):
        return None
    return _Lever(path, path.index(rig.matches[joints[0]]), path.index(rig.matches[joints[-2]]))


def _path(parents: Sequence[int], lower: int, upper: int) -> list[int]:
    """The bones from one up to another that hangs on it, both included; empty where it does not hang there."""
    path = [upper]
    while path[-1] != lower:
        if parents[path[-1]] < 0:
            return []
        path.append(parents[path[-1]])
    return path[::-1]


def _trunk_at_rest(rig: Rig, lever: _Lever) -> Float[Tensor, "3"]:
    return rig.joints[lever.path[-1]] - rig.joints[lever.path[0]]


def _steps(world: WorldTurns, target: Rig, lever: _Lever) -> Float[Tensor, "frame step 3"]:
    """From joint to joint, pelvis to neck, in each frame; a bone that nothing drives turns with the one below."""
    filled, steps = fill_spine(world, target), []
    turn = filled[lever.path[0]]
    for bone, above in pairwise(lever.path):
        own = filled[bone]
        turn = turn if own is None else own
        assert turn is not None, "the pelvis is driven"
        steps.append(turn @ (target.joints[above] - target.joints[bone]))
    return torch.stack(steps, dim=1)


def _on_the_line(
    direction: Float[Tensor, "frame 3"],
    others: Float[Tensor, "frame 3"],
    length: Float[Tensor, "frame"],
    ahead: Tensor,
) -> Float[Tensor, "frame 3"]:
    """The step of a length that, after all others, ends in a direction, or as near to it as that length reaches.

    Of the two solutions the one along the direction where `ahead` says so, else the one against it.
    """
    along = (direction * others).sum(-1)
    root = (along**2 - (others**2).sum(-1) + length**2).clamp(min=0).sqrt()
    return (along + torch.where(ahead, root, -root))[:, None] * direction - others


def _turn_across(
    normal: Float[Tensor, "frame 3"], start: Float[Tensor, "frame 3"], end: Float[Tensor, "frame 3"]
) -> Float[Tensor, "frame 3 3"]:
    """The rotation of one vector into another whose axis lies across a normal."""
    axis = normalize(torch.linalg.cross(normal, end - start), dim=-1)
    a, b = (v - (v * axis).sum(-1, keepdim=True) * axis for v in (start, end))
    angle = torch.atan2((axis * torch.linalg.cross(a, b)).sum(-1), (a * b).sum(-1))
    return roma.rotvec_to_rotmat(angle[:, None] * axis)
