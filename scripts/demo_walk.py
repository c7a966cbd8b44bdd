"""A walk made of sines: a motion that no scan of the demo shows."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from body_models import Body, Motion
from data_prep._actions import KeyPose, Limbs, joint_rotations

STRIDE_SECONDS = 1.15
FRAME_RATE = 30.0


def make_walk(body: Body, seconds: float) -> Motion:
    """A person walking towards +Z with feet that do not slide (metres, radians; the ground is y = 0)."""
    count = round(seconds * FRAME_RATE) + 1
    phases = [2 * math.pi * frame / (FRAME_RATE * STRIDE_SECONDS) for frame in range(count)]
    keys = [torch.from_numpy(_key(phase).numbers()).float() for phase in phases]
    rotations = torch.stack([joint_rotations(key, body) for key in keys])
    return Motion("walk", body.skeleton, body.joints, rotations, _travel(body, rotations), FRAME_RATE)


def _key(phase: float) -> KeyPose:
    """Left heel strike is at phase 0, right half a turn later; arms swing against the legs."""
    sway = math.cos(phase)
    return KeyPose(
        left=_limbs(phase),
        right=_limbs(phase + math.pi),
        trunk=(3.0, -7.0 * sway, 0.0),
        head=(0.0, 4.0 * sway, 0.0),
    )


def _limbs(phase: float) -> Limbs:
    thigh = math.radians(4 + 24 * math.cos(phase))
    arm = math.radians(-2 - 24 * math.cos(phase))
    knee = 6 + 52 * _bump(phase, 1.5 * math.pi, 0.75) + 12 * _bump(phase, 0.3 * math.pi, 0.6)
    return Limbs(
        arm=(0.24, -math.cos(arm), math.sin(arm)),
        elbow=24 + 12 * math.sin(arm) / math.sin(math.radians(24)),
        thigh=(0.07, -math.cos(thigh), math.sin(thigh)),
        knee=knee,
    )


def _bump(phase: float, centre: float, width: float) -> float:
    """1 at the centre, falling to 0 on both sides, once a stride (radians)."""
    off = math.remainder(phase - centre, 2 * math.pi)
    return math.exp(-((off / width) ** 2))


def _travel(body: Body, rotations: Float[Tensor, "frame bone 3"]) -> Float[Tensor, "frame 3"]:
    """Root translations by which the lower foot stays where it is and the lowest point touches the ground."""
    origin = torch.zeros(len(rotations), 3)
    feet = body.pose_joints(rotations, origin)[:, [body.skeleton.index(f"{side}_foot") for side in ("left", "right")]]
    weight = torch.softmax(-100 * (feet[1:, :, 1] + feet[:-1, :, 1]) / 2, dim=1)
    forward = -((feet[1:] - feet[:-1])[..., 2] * weight).sum(1)
    advance = torch.cat([torch.zeros(1), forward.cumsum(0)])
    lowest = body.pose_vertices(rotations, origin)[..., 1].amin(1)
    return torch.stack([torch.zeros_like(advance), -lowest, advance], dim=1)
