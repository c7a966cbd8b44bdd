"""Parts of a body that deserve finer grids (hands with fingers, faces with a jaw), found by the names of its joints."""

import re

import torch
from jaxtyping import Float, Int
from torch import Tensor

from body_models import Body, Skeleton

APRON = 0.025
"""How far a part's box reaches beyond the body (metres)."""
FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_FINGER = re.compile(r"(?P<side>left|right)_(?P<name>thumb|index|middle|ring|pinky)(?P<part>\d)")
_FINGER_OF_ANNY = re.compile(r"finger(?P<number>[1-5])-(?P<part>\d)\.(?P<side>[LR])")
_PALM = re.compile(r"(left|right)_(wrist|hand)|(wrist|metacarpal\d)\.[LR]")
_FACE = ("jaw", "left_eye", "right_eye", "eye.L", "eye.R")


def body_parts(body: Body) -> Float[Tensor, "part 2 3"]:
    """Boxes (lowest and highest corner, canonical, metres) about hands that have fingers and a face that has a jaw.

    A hand that turns as a whole, or a face whose only joints are its eyes, needs no finer grid than the rest.
    """
    canonical, skeleton = body.canonical(), body.skeleton
    picked = [hand_vertices(body, side) for side in ("left", "right") if finger_chains(skeleton, side)]
    if "jaw" in skeleton.joint_names:
        joints = [joint for joint, name in enumerate(skeleton.joint_names) if name in _FACE]
        picked.append(mainly_of(body, joints))
    return boxes_about(canonical, picked, APRON)


def boxes_about(
    vertices: Float[Tensor, "vertex 3"], parts: list[Int[Tensor, "_"]], apron: float
) -> Float[Tensor, "part 2 3"]:
    """Lowest and highest corner about the vertices of each part, and so much farther (metres); none about none."""
    own = [vertices[part] for part in parts if len(part)]
    boxes = [torch.stack([points.amin(0) - apron, points.amax(0) + apron]) for points in own]
    return torch.stack(boxes) if boxes else vertices.new_zeros(0, 2, 3)


def finger_chains(skeleton: Skeleton, side: str) -> dict[str, tuple[int, ...]]:
    """The joints of each finger of one hand ("left" or "right"), from the palm to the tip; empty for mittens."""
    found: dict[str, dict[int, int]] = {}
    for joint, label in enumerate(skeleton.joint_names):
        finger = _finger(label)
        if finger is not None and finger[0] == side:
            found.setdefault(finger[1], {})[finger[2]] = joint
    return {name: tuple(found[name][part] for part in sorted(found[name])) for name in FINGERS if name in found}


def hand_vertices(body: Body, side: str) -> Int[Tensor, "some"]:
    """Numbers of the vertices that mainly follow the joints of one hand, its wrist included."""
    fingers = [joint for chain in finger_chains(body.skeleton, side).values() for joint in chain]
    ending = {"left": ("left_", ".L"), "right": ("right_", ".R")}[side]
    palm = [
        joint
        for joint, label in enumerate(body.skeleton.joint_names)
        if _PALM.fullmatch(label) and (label.startswith(ending[0]) or label.endswith(ending[1]))
    ]
    return mainly_of(body, fingers + palm)


def mainly_of(body: Body, joints: list[int]) -> Int[Tensor, "some"]:
    """Numbers of the vertices that follow some joints more than any other."""
    wanted = torch.tensor(joints, dtype=torch.long, device=body.vertices.device)
    return torch.isin(body.skinning_weights.argmax(1), wanted).nonzero()[:, 0]


def curled_fingers(body: Body, angle: float) -> Float[Tensor, "bone 3"]:
    """The canonical pose with every finger joint turned by an angle towards the palm (axis-angle, radians)."""
    pose, joints = body.canonical_pose.clone(), body.joints
    for side, sign in (("left", -1.0), ("right", 1.0)):
        chains = finger_chains(body.skeleton, side)
        if not {"thumb", "index", "pinky"} <= chains.keys():
            continue
        wrist = _wrist(body.skeleton, side)
        across = [joints[chains[name][0]] - joints[wrist] for name in ("index", "pinky")]
        palm = sign * torch.linalg.cross(across[0], across[1])
        for chain in chains.values():
            axis = torch.linalg.cross(joints[chain[-1]] - joints[chain[0]], palm)
            pose[list(chain)] = angle * axis / axis.norm()
    return pose


def _wrist(skeleton: Skeleton, side: str) -> int:
    names = (f"{side}_wrist", f"wrist.{side[0].upper()}")
    return next(joint for joint, label in enumerate(skeleton.joint_names) if label in names)


def _finger(label: str) -> tuple[str, str, int] | None:
    """Side, finger and which of its joints (from the palm), for the label of a finger joint."""
    if match := _FINGER.fullmatch(label):
        return match["side"], match["name"], int(match["part"])
    if match := _FINGER_OF_ANNY.fullmatch(label):
        return {"L": "left", "R": "right"}[match["side"]], FINGERS[int(match["number"]) - 1], int(match["part"])
    return None
