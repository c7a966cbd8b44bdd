"""Poses to start the fit from: each bone turned to the direction in which the keypoints see it in space."""

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.skeleton import Skeleton
from data_prep.body_video.detections import KEYPOINTS

_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "mouth_left", "mouth_right")
_LIMBS = (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
_BENT = 0.35
"""Sine of the bend from which on a limb's plane tells how its upper bone is turned about its own axis."""


def start_rotations(
    skeleton: Skeleton, rest: Float[Tensor, "33 3"], world: Float[Tensor, "frame 33 3"]
) -> Float[Tensor, "frame bone 3 3"]:
    """Local rotations that bring the markers at rest near the keypoints in space: trunk, head and limbs."""
    rotations = torch.eye(3).to(world).repeat(len(world), len(skeleton), 1, 1)
    trunk = aligned(rest[_rows(_TRUNK)], world[:, _rows(_TRUNK)])
    rotations[:, 0] = trunk
    rotations[:, skeleton.index("head")] = trunk.mT @ aligned(rest[_rows(_FACE)], world[:, _rows(_FACE)])
    for side in ("left", "right"):
        for joints in _LIMBS:
            upper, lower, end = (f"{side}_{name}" for name in joints)
            _turn_limb(rotations, skeleton, rest, world, (upper, lower, end))
    return rotations


def aligned(points: Float[Tensor, "point 3"], targets: Float[Tensor, "frame point 3"]) -> Float[Tensor, "frame 3 3"]:
    """Rotation that brings the points' directions from their mean nearest to the targets' (Kabsch)."""
    source, target = points - points.mean(0), targets - targets.mean(1, keepdim=True)
    left, _, right = torch.linalg.svd(target.mT @ source)
    signs = torch.ones_like(target[:, 0])
    signs[:, 2] = torch.linalg.det(left @ right)
    return (left * signs[:, None]) @ right


def _turn_limb(
    rotations: Float[Tensor, "frame bone 3 3"],
    skeleton: Skeleton,
    rest: Float[Tensor, "33 3"],
    world: Float[Tensor, "frame 33 3"],
    names: tuple[str, str, str],
) -> None:
    """Turn an arm's or a leg's upper bone and its hinge, in place."""
    first, second, third = _rows(names)
    trunk = rotations[:, 0]
    upper = (trunk.mT @ _unit(world[:, second] - world[:, first])[..., None])[..., 0]
    lower = (trunk.mT @ _unit(world[:, third] - world[:, second])[..., None])[..., 0]
    rest_upper, rest_lower = _unit(rest[second] - rest[first]), _unit(rest[third] - rest[second])
    bend = torch.linalg.cross(upper, lower)
    by_plane = _frame(upper, bend) @ _frame(rest_upper, _hinge(names[0], rest_upper, rest_lower)).mT
    is_bent = bend.norm(dim=-1)[:, None, None] > _BENT
    turn = torch.where(is_bent, by_plane, _swing(rest_upper, upper))
    rotations[:, skeleton.index(names[0])] = turn
    rotations[:, skeleton.index(names[1])] = _swing(rest_lower, (turn.mT @ lower[..., None])[..., 0])


def _hinge(joint: str, upper: Float[Tensor, "3"], lower: Float[Tensor, "3"]) -> Float[Tensor, "3"]:
    """Axis about which the elbow or knee bends at rest: knees backwards, elbows farther than the rest pose bends them
    (forwards where it does not)."""
    if joint.endswith("hip"):
        return upper.new_tensor([1.0, 0.0, 0.0])
    bend = torch.linalg.cross(upper, lower)
    return bend if float(bend.norm()) > 0.2 else torch.linalg.cross(upper, upper.new_tensor([0.0, 0.0, 1.0]))


def _frame(along: Float[Tensor, "*batch 3"], axis: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Orthonormal columns: the bone, the axis made square to it, and what is square to both."""
    along = _unit(along)
    square = _unit(axis - (axis * along).sum(-1, keepdim=True) * along)
    return torch.stack([along, square, torch.linalg.cross(along, square)], dim=-1)


def _swing(source: Float[Tensor, "3"], targets: Float[Tensor, "frame 3"]) -> Float[Tensor, "frame 3 3"]:
    """The smallest rotation from one unit direction to each of others."""
    axis = torch.linalg.cross(source.expand_as(targets), targets)
    sine, cosine = axis.norm(dim=-1), targets @ source
    angle = torch.atan2(sine, cosine)
    return roma.rotvec_to_rotmat(axis * (angle / sine.clamp_min(1e-9))[:, None])


def _unit(vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-9)


def _rows(names: tuple[str, ...]) -> list[int]:
    return [KEYPOINTS.index(name) for name in names]
