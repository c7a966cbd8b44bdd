"""Procedural actions: key poses told by directions of the limbs and bends of the joints, made into joint rotations."""

from dataclasses import dataclass, field

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.body import Body

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Limbs:
    """One side's arm and leg; directions point away from the body, up and forward, in the frame of the trunk."""

    arm: Triple = (0.3, -1.0, 0.1)
    elbow: float = 15.0
    """Bend from straight, degrees; so is `knee`."""
    thigh: Triple = (0.12, -1.0, 0.0)
    knee: float = 5.0


@dataclass(frozen=True)
class KeyPose:
    """A pose in words of anatomy; trunk and head in degrees of bending forward, turning left and leaning right."""

    left: Limbs = field(default_factory=Limbs)
    right: Limbs = field(default_factory=Limbs)
    trunk: Triple = (0.0, 0.0, 0.0)
    head: Triple = (0.0, 0.0, 0.0)

    def numbers(self) -> Float[np.ndarray, "22"]:
        """All of it in one row, as `joint_rotations` reads it."""
        sides = [(*side.arm, side.elbow, *side.thigh, side.knee) for side in (self.left, self.right)]
        return np.array([*sides[0], *sides[1], *self.trunk, *self.head])


RANGE_OF_MOTION = (
    KeyPose(),
    KeyPose(Limbs((1.0, 0.0, 0.05)), Limbs((1.0, 0.0, 0.05)), head=(0.0, 35.0, 0.0)),
    KeyPose(
        Limbs((0.35, 1.0, 0.1), 20.0), Limbs((0.35, 1.0, 0.1), 20.0), trunk=(-8.0, 0.0, 0.0), head=(-15.0, 0.0, 0.0)
    ),
    KeyPose(Limbs((0.15, 0.0, 1.0), 10.0, (0.3, -1.0, 0.0)), Limbs((0.15, 0.1, 1.0), 10.0, (0.3, -1.0, 0.0))),
    KeyPose(Limbs(elbow=115.0), Limbs((0.6, -1.0, 0.1), 90.0), head=(20.0, 0.0, 0.0)),
    KeyPose(
        Limbs((0.2, -1.0, -0.5), 25.0, (0.08, -1.0, 0.55), 12.0),
        Limbs((0.2, -1.0, 0.5), 45.0, (0.08, -1.0, -0.3), 30.0),
    ),
    KeyPose(
        Limbs((0.2, -1.0, 0.6), 70.0, (0.08, -1.0, -0.45), 65.0),
        Limbs((0.25, -1.0, -0.6), 60.0, (0.08, -1.0, 0.5), 20.0),
        trunk=(12.0, 0.0, 0.0),
    ),
    KeyPose(
        Limbs((0.1, -0.1, 1.0), 15.0, (0.45, -0.35, 0.95), 95.0),
        Limbs((0.1, -0.1, 1.0), 15.0, (0.45, -0.35, 0.95), 95.0),
        trunk=(28.0, 0.0, 0.0),
    ),
    KeyPose(
        Limbs((0.7, -0.6, 0.3), 80.0, (0.15, -0.5, 0.9), 80.0),
        Limbs((0.7, -0.6, 0.3), 80.0, (0.1, -1.0, -0.5), 35.0),
        trunk=(10.0, -12.0, 0.0),
    ),
    KeyPose(
        Limbs((-0.25, -0.1, 1.0), 50.0, (0.25, -1.0, 0.1), 12.0),
        Limbs((1.0, -0.2, -0.25), 40.0, (0.25, -1.0, -0.1)),
        trunk=(0.0, -38.0, 0.0),
        head=(0.0, -25.0, 0.0),
    ),
    KeyPose(
        Limbs((0.3, 1.0, 0.0), 30.0, (0.4, -1.0, 0.0)),
        Limbs(thigh=(0.35, -1.0, 0.0)),
        (0.0, 25.0, 25.0),
        (0.0, 0.0, 12.0),
    ),
    KeyPose(
        Limbs((0.5, 0.3, 0.8), 75.0, (0.12, -1.0, 0.0)),
        Limbs((0.8, -0.5, 0.0), 30.0, (0.2, -0.1, 1.0), 100.0),
        trunk=(5.0, 0.0, -10.0),
        head=(0.0, -30.0, 0.0),
    ),
)
"""Trains an avatar: each joint through most of its everyday range."""

UNSEEN_ACTIONS = (
    KeyPose(  # jumping jack
        Limbs((0.9, 0.5, 0.05), 60.0, (0.5, -1.0, 0.15), 35.0), Limbs((0.9, 0.5, 0.05), 60.0, (0.5, -1.0, 0.15), 35.0)
    ),
    KeyPose(  # kick
        Limbs((0.9, -0.25, 0.35), 35.0, (0.1, -1.0, -0.08), 12.0),
        Limbs((0.7, -0.4, -0.35), 50.0, (0.12, -0.45, 0.9), 25.0),
        trunk=(-8.0, 15.0, 0.0),
    ),
    KeyPose(  # throw
        Limbs((0.5, 0.05, 0.9), 25.0, (0.15, -0.85, 0.55), 35.0),
        Limbs((0.8, 0.45, -0.25), 95.0, (0.2, -1.0, -0.35), 25.0),
        trunk=(-6.0, -25.0, 8.0),
        head=(0.0, 22.0, 0.0),
    ),
    KeyPose(  # side lunge, arms raised
        Limbs((0.5, 0.9, 0.15), 40.0, (0.65, -0.6, 0.5), 70.0),
        Limbs((0.9, 0.35, 0.2), 30.0, (0.45, -1.0, 0.0)),
        trunk=(12.0, 10.0, -14.0),
    ),
    KeyPose(  # archer
        Limbs((1.0, 0.05, 0.25), 8.0, (0.3, -0.9, 0.3), 30.0),
        Limbs((0.9, 0.0, 0.3), 120.0, (0.25, -1.0, -0.2), 12.0),
        trunk=(4.0, -20.0, 0.0),
        head=(0.0, 35.0, 0.0),
    ),
)
"""Tests an avatar: angles from about the same ranges, put together in ways that the training never showed."""

_LIMITS = np.array([1.0, 1.0, 1.0, 140.0] * 4 + [50.0, 50.0, 35.0, 40.0, 60.0, 25.0])


def perform(
    action: tuple[KeyPose, ...], frames: int, body: Body, random: np.random.Generator
) -> Float[Tensor, "frame bone 3"]:
    """Rotations of an action at evenly spaced moments, each a little different from the key poses (axis-angle)."""
    keys = np.stack([pose.numbers() for pose in action])
    moments = np.linspace(0.0, len(keys) - 1.0, frames)
    rows = np.stack([np.interp(moments, np.arange(len(keys)), column) for column in keys.T], axis=1)
    spread = np.array([0.05, 0.05, 0.05, 5.0] * 4 + [3.0] * 6)
    rows = rows + spread * random.normal(size=rows.shape)
    rows[:, [3, 7, 11, 15]] = np.maximum(rows[:, [3, 7, 11, 15]], 0.0)
    angular = np.arange(rows.shape[1]) % 4 == 3
    angular[16:] = True
    rows[:, angular] = np.clip(rows[:, angular], -_LIMITS[angular], _LIMITS[angular])
    return torch.stack([joint_rotations(row, body) for row in torch.from_numpy(rows).float()])


def joint_rotations(numbers: Float[Tensor, "22"], body: Body) -> Float[Tensor, "bone 3"]:
    """Axis-angle rotations of a row of `KeyPose.numbers`; the person keeps facing +Z."""
    pose = torch.zeros(len(body.skeleton), 3)
    trunk, head = torch.deg2rad(numbers[16:19]), torch.deg2rad(numbers[19:22])
    for name, rotation in (("spine1", 0.3 * trunk), ("spine2", 0.35 * trunk), ("spine3", 0.35 * trunk)):
        pose[body.skeleton.index(name)] = rotation
    pose[body.skeleton.index("neck")], pose[body.skeleton.index("head")] = 0.4 * head, 0.6 * head
    for side, sign, row in (("left", 1.0, numbers[:8]), ("right", -1.0, numbers[8:16])):
        mirror = torch.tensor([sign, 1.0, 1.0])
        _bend_arm(pose, body, side, row[:3] * mirror, torch.deg2rad(row[3]))
        _bend_leg(pose, body, side, row[4:7] * mirror, torch.deg2rad(row[7]))
    return pose


def _bend_arm(
    pose: Float[Tensor, "bone 3"], body: Body, side: str, target: Float[Tensor, "3"], bend: Float[Tensor, ""]
) -> None:
    """Point the upper arm, a fifth of the way by the collar bone, and bend the elbow in its own plane (in place)."""
    collar, shoulder, elbow, wrist = (
        body.skeleton.index(f"{side}_{n}") for n in ("collar", "shoulder", "elbow", "wrist")
    )
    upper, lower = body.joints[elbow] - body.joints[shoulder], body.joints[wrist] - body.joints[elbow]
    whole = _turn_between(upper, target)
    pose[collar] = 0.2 * whole
    pose[shoulder] = roma.rotvec_composition([-pose[collar], whole])
    pose[elbow] = _turn_between(upper, lower)
    at_rest = pose[elbow].norm()
    pose[elbow] *= (bend - at_rest) / at_rest


def _bend_leg(
    pose: Float[Tensor, "bone 3"], body: Body, side: str, target: Float[Tensor, "3"], bend: Float[Tensor, ""]
) -> None:
    """Point the thigh, bend the knee backwards and hold the foot level as far as the ankle goes (in place)."""
    hip, knee, ankle = (body.skeleton.index(f"{side}_{name}") for name in ("hip", "knee", "ankle"))
    pose[hip] = _turn_between(body.joints[knee] - body.joints[hip], target)
    pose[knee] = torch.stack([bend, bend.new_zeros(()), bend.new_zeros(())])
    level = -roma.rotvec_composition([pose[hip], pose[knee]])
    pose[ankle] = level * (0.6 / level.norm().clamp_min(0.6))


def _turn_between(source: Float[Tensor, "3"], target: Float[Tensor, "3"]) -> Float[Tensor, "3"]:
    """The smallest rotation (axis-angle) that turns one direction into another."""
    axis = torch.linalg.cross(source, target)
    angle = torch.atan2(axis.norm(), source @ target)
    return axis / axis.norm().clamp_min(1e-9) * angle
