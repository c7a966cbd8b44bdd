"""Posed surface points of a body and their analytic derivatives by joint rotations, translation and shape.

Poses follow SMPL: linear blend skinning, and each joint turns its subtree in its parent's frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.skeleton import posed_from_rest, rotation_matrices


@dataclass(frozen=True)
class SurfacePoints:
    """Points fixed to a body's surface: rest position (metres) and skinning weights."""

    rest: Float[Tensor, "#start point 3"]
    weights: Float[Tensor, "#start point bone"]


@dataclass(frozen=True)
class PoseState:
    """Poses being optimised, one a start (or a scan): local rotations and translation."""

    rotations: Float[Tensor, "start bone 3 3"]
    translation: Float[Tensor, "start 3"]

    @staticmethod
    def from_pose(pose: Float[Tensor, "start bone 3"], translation: Float[Tensor, "start 3"]) -> "PoseState":
        """Start from axis-angle vectors."""
        return PoseState(rotation_matrices(pose), translation)

    def moved(self, step: Float[Tensor, "start parameter"]) -> "PoseState":
        """Apply a step: each joint turns in its parent's frame, the body shifts."""
        bones = self.rotations.shape[1]
        turn = rotation_matrices(step[:, : 3 * bones].unflatten(1, (bones, 3)))
        return PoseState(turn @ self.rotations, self.translation + step[:, 3 * bones :])

    def select(self, keep: Tensor) -> "PoseState":
        """Some of the starts."""
        return PoseState(self.rotations[keep], self.translation[keep])

    @staticmethod
    def join(states: Sequence["PoseState"]) -> "PoseState":
        """All starts of several states."""
        return PoseState(torch.cat([s.rotations for s in states]), torch.cat([s.translation for s in states]))


def descendants(parents: tuple[int, ...]) -> Float[Tensor, "bone bone"]:
    """Matrix whose row j marks the bones that turn with joint j (itself included)."""
    marks = torch.eye(len(parents))
    for bone in range(len(parents) - 1, 0, -1):
        marks[parents[bone]] += marks[bone]
    return marks


def bone_transforms(
    state: PoseState, joints: Float[Tensor, "#start bone 3"], parents: tuple[int, ...]
) -> Float[Tensor, "start bone 4 4"]:
    """Rest-to-posed transform of every bone for every start."""
    return posed_from_rest(state.rotations, state.translation, joints, parents)


def blended_transforms(
    weights: Float[Tensor, "#start point bone"], transforms: Float[Tensor, "start bone 4 4"]
) -> tuple[Float[Tensor, "start point 3 3"], Float[Tensor, "start point 3"]]:
    """Each point's transform by linear blend skinning (as in SMPL): its linear part and its shift."""
    blended = (weights @ transforms[:, :, :3].flatten(2)).unflatten(-1, (3, 4))
    return blended[..., :3], blended[..., 3]


def pose_points(points: SurfacePoints, transforms: Float[Tensor, "start bone 4 4"]) -> Float[Tensor, "start point 3"]:
    """Posed positions."""
    linear, shift = blended_transforms(points.weights, transforms)
    return (linear @ points.rest[..., None])[..., 0] + shift


def pose_jacobian(
    points: SurfacePoints,
    transforms: Float[Tensor, "start bone 4 4"],
    joints: Float[Tensor, "#start bone 3"],
    parents: tuple[int, ...],
) -> Float[Tensor, "start point 3 parameter"]:
    """Derivative of posed points by `PoseState.moved`'s step.

    Turning joint j by a small w moves a point by w x arm, where arm sums, over the bones below j, weight times the
    vector from the joint to where that bone carries the point.
    """
    rotation, shift = transforms[..., :3, :3], transforms[..., :3, 3]
    starts, count = len(rotation), points.rest.shape[1]
    carried = (points.rest @ rotation.flatten(1, 2).mT).reshape(starts, count, -1, 3) + shift[:, None]
    below = descendants(parents).to(rotation)
    subtree = torch.einsum("jb,spbc->spjc", below, points.weights[..., None] * carried)
    centres = (rotation @ joints[..., None])[..., 0] + shift
    arm = subtree - (points.weights @ below.T)[..., None] * centres[:, None]
    parent_axes = torch.cat(
        [torch.eye(3).to(rotation).expand(len(rotation), 1, 3, 3), rotation[:, list(parents[1:])]], 1
    )
    turned = _cross(parent_axes.mT[:, None], arm[:, :, :, None, :])  # start point joint axis xyz
    by_rotation = turned.flatten(2, 3).mT
    identity = torch.eye(3).to(rotation).expand(*by_rotation.shape[:2], 3, 3)
    return torch.cat([by_rotation, identity], dim=-1)


def shape_jacobian(
    weights: Float[Tensor, "#start point bone"],
    shape_points: Float[Tensor, "#start point 3 shape"],
    shape_joints: Float[Tensor, "bone 3 shape"],
    transforms: Float[Tensor, "start bone 4 4"],
    parents: tuple[int, ...],
) -> Float[Tensor, "start point 3 shape"]:
    """Derivative of posed points by linear shape parameters that move surface and joints; exact, the map is linear."""
    rotation = transforms[..., :3, :3]
    shifts = [shape_joints[0].expand(len(rotation), -1, -1)]
    for bone in range(1, len(parents)):
        offset = shape_joints[bone] - shape_joints[parents[bone]]
        shifts.append(shifts[parents[bone]] + rotation[:, parents[bone]] @ offset)
    origin = torch.stack(shifts, 1) - rotation @ shape_joints  # start bone 3 shape
    blended = (weights @ rotation.flatten(2)).unflatten(-1, (3, 3))
    by_joints = (weights @ origin.flatten(2)).unflatten(-1, origin.shape[2:])
    return blended @ shape_points + by_joints


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """Cross product along the last axis; torch.linalg.cross copies broadcast inputs: three times as slow."""
    ax, ay, az = a.unbind(-1)
    bx, by, bz = b.unbind(-1)
    return torch.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], -1)
