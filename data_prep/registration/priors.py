"""What poses a person can take: softness of each joint and its limits, and poses to start a search from."""

import math
from dataclasses import dataclass

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.body import Body
from body_models.skeleton import Skeleton

_SOFTNESS = {
    "pelvis": 1e3, "spine1": 0.3, "spine2": 0.3, "spine3": 0.3, "neck": 0.4, "head": 0.4,
    "collar": 0.25, "shoulder": 1.2, "elbow": 1.2, "wrist": 0.35, "hand": 0.3,
    "hip": 1.2, "knee": 1.2, "ankle": 0.4, "foot": 0.25,
}  # fmt: skip
"""Standard deviation of each joint's rotation from its mean, radians."""

_LIMITS = {
    "knee": ((-0.1, -0.5, -0.35), (2.6, 0.5, 0.35)),
    "hip": ((-2.8, -1.6, -1.2), (1.2, 1.6, 2.2)),
    "ankle": ((-1.2, -0.7, -0.7), (0.9, 0.7, 0.7)),
    "foot": ((-0.8, -0.2, -0.2), (0.4, 0.2, 0.2)),
    "collar": ((-0.4, -0.5, -0.3), (0.4, 0.5, 0.6)),
    "shoulder": ((-2.2, -2.0, -1.2), (2.2, 1.6, 2.6)),
    "elbow": ((-0.95, -1.5, -0.35), (2.0, 1.5, 0.35)),
    "wrist": ((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)),
    "hand": ((-1.2, -1.2, -1.2), (1.2, 1.2, 1.2)),
    "spine": ((-0.5, -0.5, -0.5), (0.8, 0.5, 0.5)),
    "neck": ((-0.6, -0.8, -0.5), (0.6, 0.8, 0.5)),
    "head": ((-0.6, -0.9, -0.5), (0.6, 0.9, 0.5)),
}
"""Lower and upper rotation components (radians; x bends, y twists, z spreads) of a left joint; right ones mirrored."""


_ARM_DEGREES = (
    (0.0, 0.0, -35.0), (40.0, 0.0, -20.0), (-50.0, 0.0, -20.0), (0.0, 0.0, 45.0), (0.0, -70.0, 40.0),
    (0.0, 40.0, 40.0), (0.0, 0.0, 110.0), (0.0, -60.0, 100.0),
)  # fmt: skip
"""Left shoulder turns to try, degrees: hanging, back, forward, sideways, forward and up, back and out, overhead."""

_LEG_DEGREES = (
    ((0.0, 0.0, 0.0), 0.0), ((-40.0, 0.0, 0.0), 0.0), ((-85.0, 0.0, 10.0), 0.0), ((-85.0, 0.0, 10.0), 90.0),
    ((25.0, 0.0, 0.0), 20.0), ((10.0, 0.0, 0.0), 90.0), ((0.0, 0.0, 50.0), 0.0), ((-60.0, 0.0, 60.0), 40.0),
)  # fmt: skip
"""Left hip turns and knee bends to try, degrees: straight, stride, kick, seated, back, heel up, spread, climbing."""


_ANKLE_DEGREES = (
    (-57.0, 0.0, 0.0), (-28.0, 0.0, 0.0), (28.0, 0.0, 0.0), (50.0, 0.0, 0.0), (0.0, 0.0, 30.0), (0.0, 0.0, -30.0),
)  # fmt: skip
_WRIST_DEGREES = ((50.0, 0.0, 0.0), (-50.0, 0.0, 0.0), (0.0, 0.0, 50.0), (0.0, 0.0, -50.0))
"""Left ankle and wrist turns to try, degrees: feet and hands are small enough to be left behind by the search."""


def softness(skeleton: Skeleton) -> Float[Tensor, "bone"]:
    """Standard deviation of each joint's rotation (radians); unknown joints get 0.5."""
    return torch.tensor([_SOFTNESS.get(_kind(name), 0.5) for name in skeleton.joint_names])


def limits(skeleton: Skeleton) -> tuple[Float[Tensor, "bone 3"], Float[Tensor, "bone 3"]]:
    """Lower and upper limits of each joint's axis-angle components (radians)."""
    lower, upper = [], []
    for name in skeleton.joint_names:
        low, high = _LIMITS.get(_kind(name).rstrip("123"), ((-9.0,) * 3, (9.0,) * 3))
        if name.startswith("right_") and name != "right_elbow":  # mirroring at the YZ plane flips y and z
            low, high = (low[0], -high[1], -high[2]), (high[0], -low[1], -low[2])
        lower.append(low)
        upper.append(high)
    return torch.tensor(lower), torch.tensor(upper)


def limit_frames(body: Body) -> Float[Tensor, "bone 3 3"]:
    """Axes in which each joint's limits are meant: the world's, but for elbows (bend, twist, side)."""
    frames = torch.eye(3).repeat(len(body.skeleton), 1, 1)
    for side in ("left", "right"):
        names = (f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist")
        if not all(name in body.skeleton.joint_names for name in names):
            continue
        shoulder, elbow, wrist = (body.joints[body.skeleton.index(name)] for name in names)
        bend = torch.linalg.cross(elbow - shoulder, wrist - elbow)
        forearm = wrist - elbow
        axes = torch.stack([bend, forearm, torch.linalg.cross(bend, forearm)])
        frames[body.skeleton.index(names[1])] = axes / axes.norm(dim=1, keepdim=True)
    return frames


def start_rotations() -> Float[Tensor, "start 3 3"]:
    """Root rotations to start from: 16 upright headings' worth of directions, the body also lying and upside down."""
    tilts = [("", []), ("x", [90.0]), ("x", [-90.0]), ("x", [180.0]), ("z", [90.0]), ("z", [-90.0])]
    rotations = []
    for axis, angle in tilts:
        count = 8 if axis == "" or angle == [180.0] else 4
        tilt = roma.euler_to_rotmat(axis, angle, degrees=True) if axis else torch.eye(3)
        for step in range(count):
            heading = roma.euler_to_rotmat("Y", [360.0 * step / count], degrees=True)
            rotations.append(heading.float() @ tilt.float())
    return torch.stack(rotations)


def start_poses(body: Body) -> Float[Tensor, "start bone 3"]:
    """A few limb positions to start from: arms down, sideways and up, a stride, a squat, a kick (radians)."""
    degree = math.pi / 180
    hanging = {"left_shoulder": (0, 0, -30), "right_shoulder": (0, 0, 30)}
    sideways = {"left_shoulder": (0, 0, 45), "right_shoulder": (0, 0, -45)}
    raised = {
        "left_shoulder": (0, 0, 110),
        "right_shoulder": (0, 0, -110),
        "left_collar": (0, 0, 20),
        "right_collar": (0, 0, -20),
    }
    forward = {"left_shoulder": (-40, -70, 20), "right_shoulder": (-40, 70, -20)}
    stride = {"left_hip": (-35, 0, 0), "right_hip": (25, 0, 0), "right_knee": (25, 0, 0)}
    other = {"right_hip": (-35, 0, 0), "left_hip": (25, 0, 0), "left_knee": (25, 0, 0)}
    squat = {"left_hip": (-90, 0, 15), "right_hip": (-90, 0, -15), "left_knee": (90, 0, 0), "right_knee": (90, 0, 0)}
    kick = {"left_hip": (-90, 0, 0)}
    kick_other = {"right_hip": (-90, 0, 0)}
    combined = [
        hanging,
        sideways,
        raised,
        hanging | stride,
        hanging | other,
        forward | squat,
        sideways | kick,
        sideways | kick_other,
    ]
    poses = torch.zeros(len(combined), len(body.skeleton), 3)
    for pose, angles in zip(poses, combined, strict=True):
        for name, turn in angles.items():
            pose[body.skeleton.index(name)] = torch.tensor(turn) * degree
    return poses


@dataclass(frozen=True)
class Limb:
    """An arm or a leg: its joints from the trunk outwards, its two long bones, and positions to try it in."""

    joints: tuple[int, ...]
    upper: int
    lower: int
    poses: Float[Tensor, "option joint 3"]


def limb_options(body: Body) -> list[Limb]:
    """Each arm and leg with positions to try it in (axis-angle, radians)."""
    frames = limit_frames(body)
    options = []
    for side, sign in (("left", 1.0), ("right", -1.0)):
        mirror = torch.tensor([1.0, sign, sign])
        arm = [body.skeleton.index(f"{side}_{n}") for n in ("collar", "shoulder", "elbow", "wrist", "hand")]
        bend = frames[arm[2]][0]
        arm_poses = torch.zeros(len(_ARM_DEGREES) * 2, 5, 3)
        for row, (shoulder, elbow) in enumerate((s, e) for s in _ARM_DEGREES for e in (-30.0, 60.0)):
            arm_poses[row, 1] = torch.tensor(shoulder).deg2rad() * mirror
            arm_poses[row, 2] = bend * math.radians(elbow)
        leg = [body.skeleton.index(f"{side}_{n}") for n in ("hip", "knee", "ankle", "foot")]
        leg_poses = torch.zeros(len(_LEG_DEGREES), 4, 3)
        for row, (hip, knee) in enumerate(_LEG_DEGREES):
            leg_poses[row, 0] = torch.tensor(hip).deg2rad() * mirror
            leg_poses[row, 1, 0] = math.radians(knee)
        options += [Limb(tuple(arm), arm[1], arm[2], arm_poses), Limb(tuple(leg), leg[0], leg[1], leg_poses)]
    return options


def limb_twists(body: Body, upper: int, lower: int) -> tuple[Float[Tensor, "twist 3 3"], Float[Tensor, "3 3"]]:
    """Turns of a limb's upper bone about its own axis, and a bend of the lower one that tells them apart."""
    axis = torch.nn.functional.normalize(body.joints[lower] - body.joints[upper], dim=0)
    angles = torch.tensor([-150.0, -100.0, -50.0, 0.0, 50.0, 100.0, 150.0]).deg2rad()
    bend_axis = limit_frames(body)[lower][0]
    return roma.rotvec_to_rotmat(angles[:, None] * axis), roma.rotvec_to_rotmat(bend_axis * math.radians(60.0))


def extremity_options(body: Body) -> list[tuple[int, Float[Tensor, "option 3 3"]]]:
    """Each ankle and wrist with rotations to try it in."""
    options = []
    for side, sign in (("left", 1.0), ("right", -1.0)):
        mirror = torch.tensor([1.0, sign, sign])
        for name, degrees in (("ankle", _ANKLE_DEGREES), ("wrist", _WRIST_DEGREES)):
            turns = torch.tensor(degrees).deg2rad() * mirror
            options.append((body.skeleton.index(f"{side}_{name}"), roma.rotvec_to_rotmat(turns)))
    return options


def _kind(name: str) -> str:
    return name.removeprefix("left_").removeprefix("right_")
