"""Which way Mixamo's bones point in its T-pose, so that clips made for its characters move ours by bones' names."""

import math
from collections.abc import Mapping

import roma
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from avatars.export.gltf.names import known_joints
from body_models import Skeleton

_BACK, _BACK_ABOVE = math.radians(8.455), math.radians(6.979)
"""How far the lower and the upper back of Mixamo's X Bot lean backwards (radians); neck and head go with the latter."""
_TRUNK = {"pelvis": 0.0, "spine1": _BACK, "spine2": _BACK}
_TRUNK |= dict.fromkeys(("spine3", "neck", "head"), _BACK_ABOVE)
_DOWN = (0.0, -1.0, 0.0)
_LEG = {"hip": _DOWN, "knee": _DOWN, "ankle": (0.0, -0.6317, 0.7752), "foot": (0.0, 0.0, 1.0)}
_COLLAR, _ARM = (0.97736, -0.0484, -0.2059), (1.0, 0.0, 0.0)
_ARMS = ("shoulder", "elbow", "wrist", "hand")
_FINGERS = tuple(f"{finger}{part}" for finger in ("index", "middle", "ring", "pinky") for part in (1, 2, 3))
_SIDES = {"left": 1.0, "right": -1.0}


def mixamo_axes(skeleton: Skeleton, joints: Float[Tensor, "bone 3"]) -> Float[Tensor, "bone 4"]:
    """World turns (quaternions XYZW) of the axes of all bones of a body that stands in a T, with its joints there.

    A bone's Y points along limbs and fingers; X to the left in the trunk, to the right in legs, backwards in the left
    arm and forwards in the right. Trunk, collars and feet lie as in Mixamo's X Bot, whatever the build, so that upright
    backs and level soles of its clips stay such. Bones that Mixamo does not have go with their parents. Raises
    InputError for joints that are not known.
    """
    known = known_joints(skeleton, "mixamo")
    along = {known[name]: direction for name, direction in _directions(known, joints).items()}
    turns: list[Tensor] = []
    for bone, parent in enumerate(skeleton.parents):
        if bone in along:
            turns.append(_turn(*along[bone]).to(joints))
        else:
            turns.append(turns[parent] if parent >= 0 else joints.new_tensor([0.0, 0.0, 0.0, 1.0]))
    return torch.stack(turns)


def _directions(known: Mapping[str, int], joints: Float[Tensor, "bone 3"]) -> dict[str, tuple[Tensor, Tensor]]:
    """Where the Y axis of a joint's bone points, and about where its X axis."""
    found = {
        name: (torch.tensor([0.0, math.cos(back), -math.sin(back)]), torch.tensor([1.0, 0.0, 0.0]))
        for name, back in _TRUNK.items()
    }
    for side, outward in _SIDES.items():
        mirror, across = torch.tensor([outward, 1.0, 1.0]), torch.tensor([0.0, 0.0, -outward])
        for part, direction in _LEG.items():
            found[f"{side}_{part}"] = torch.tensor(direction), torch.tensor([-1.0, 0.0, 0.0])
        for part, direction in {"collar": _COLLAR, **dict.fromkeys((*_ARMS, *_FINGERS), _ARM)}.items():
            found[f"{side}_{part}"] = mirror * torch.tensor(direction), across
        for part, (start, end) in {"thumb1": (1, 2), "thumb2": (2, 3), "thumb3": (2, 3)}.items():
            ends = f"{side}_thumb{start}", f"{side}_thumb{end}"
            if set(ends) <= set(known):
                first, second = (joints[known[name]].cpu() for name in ends)
                found[f"{side}_{part}"] = second - first, across
    return {name: directions for name, directions in found.items() if name in known}


def _turn(along: Float[Tensor, "3"], across: Float[Tensor, "3"]) -> Float[Tensor, "4"]:
    """The turn of axes whose Y points along a direction and whose X as near to another as is square to it."""
    y = normalize(along.double(), dim=0)
    x = normalize(across.double() - y * (across.double() @ y), dim=0)
    return roma.rotmat_to_unitquat(torch.stack([x, y, torch.linalg.cross(x, y)], 1))
