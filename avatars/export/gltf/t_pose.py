"""The pose in which VRM wants a person to be bound: a T, standing on the ground."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from avatars.export.gltf.names import known_joints
from avatars.export.rig import Rig
from body_models import Skeleton
from body_models.motion.turns import turn_between

_SIDES = {"left": 1.0, "right": -1.0}
_LEG, _ARM = ("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist", "hand")
_FINGERS = tuple(tuple(f"{finger}{part}" for part in (1, 2, 3)) for finger in ("index", "middle", "ring", "pinky"))
_UPRIGHT = ("pelvis", "spine1", "spine2", "spine3", "neck", "head", "collar", "ankle", "foot")
"""Joints that are as at rest."""


def standing_in_t(rig: Rig) -> Rig:
    """A rig bound in the T-pose, with its soles at height 0; its motions stay what they are but for their places.

    Raises InputError for joints that are not known.
    """
    bound = rig.rebound(t_pose(rig.skeleton, rig.joints))
    lift = bound.vertices.new_tensor([0.0, 1.0, 0.0]) * -bound.vertices[:, 1].min()
    return replace(bound, vertices=bound.vertices + lift, joints=bound.joints + lift)


def t_pose(skeleton: Skeleton, joints: Float[Tensor, "bone 3"]) -> Float[Tensor, "bone 3"]:
    """Axis-angle pose (radians) of a T: arms and fingers along X with the palms down, legs straight down.

    Limbs go on from their parents by the smallest turns, so that a bent elbow is straightened about its own hinge.
    Raises InputError for joints that are not known.
    """
    known = known_joints(skeleton, "vrm")
    ends = _ends(known)
    upright = {bone for name, bone in known.items() if name.split("_")[-1] in _UPRIGHT}
    identity = torch.eye(3).to(joints)
    world: list[Tensor] = []
    for bone, parent in enumerate(skeleton.parents):
        turn = world[parent] if parent >= 0 and bone not in upright else identity
        if bone in ends:
            end, direction = ends[bone]
            turn = turn_between(turn @ (joints[end] - joints[bone]), joints.new_tensor(direction)) @ turn
        for side in _SIDES:
            if known.get(f"{side}_wrist") == bone:
                turn = _palm_down(turn, joints, known, side)
        world.append(turn)
    local = [turn if p < 0 else world[p].mT @ turn for turn, p in zip(world, skeleton.parents, strict=True)]
    return roma.rotmat_to_rotvec(torch.stack(local))


def _ends(known: Mapping[str, int]) -> dict[int, tuple[int, tuple[float, float, float]]]:
    """For each bone of arms and legs the one at its end, and where that should lie from it."""
    ends = {}
    for side, outward in _SIDES.items():
        for chain, direction in (*((arm, (outward, 0.0, 0.0)) for arm in (_ARM, *_FINGERS)), (_LEG, (0.0, -1.0, 0.0))):
            for start, end in pairwise(f"{side}_{part}" for part in chain):
                if start in known and end in known and known[start] not in ends:
                    ends[known[start]] = (known[end], direction)
    return ends


def _palm_down(
    turn: Float[Tensor, "3 3"], joints: Float[Tensor, "bone 3"], known: Mapping[str, int], side: str
) -> Float[Tensor, "3 3"]:
    """A hand along X turned about it, until the index finger lies before the little one; mittens stay as they are."""
    if not {f"{side}_index1", f"{side}_pinky1"} <= set(known):
        return turn
    across = turn @ (joints[known[f"{side}_index1"]] - joints[known[f"{side}_pinky1"]])
    across = across * across.new_tensor([0.0, 1.0, 1.0])
    return turn_between(across, across.new_tensor([0.0, 0.0, 1.0])) @ turn
