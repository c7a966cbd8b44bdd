"""How a synthetic person moves while talking: head, gaze, and where the head is in front of the camera."""

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from data_prep.synthetic_heads.noise import wander

YAW, PITCH, ROLL = np.radians((30.0, 15.0, 10.0))
"""How far heads turn at most (radians)."""
GAZE = np.radians((14.0, 8.0))
"""How far eyes turn sideways and up or down at most (radians)."""


def head_rotations(
    times: Float[np.ndarray, "frame"], random: np.random.Generator
) -> tuple[Float[Tensor, "frame 3"], Float[np.ndarray, "frame 2"]]:
    """Axis-angle of the head in the world, and its yaw and pitch (radians)."""
    most = random.uniform(0.6, 1.0, 3) * (YAW, PITCH, ROLL)
    yaw = most[0] * wander(times, 9.0, 1.2, random)
    pitch = most[1] * wander(times, 7.0, 0.8, random)
    roll = most[2] * wander(times, 8.0, 1.0, random)
    euler = torch.from_numpy(np.stack([yaw, pitch, roll], axis=1))
    return roma.euler_to_rotvec("YXZ", list(euler.unbind(1))).float(), np.stack([yaw, pitch], axis=1)


def gaze_rotations(
    times: Float[np.ndarray, "frame"], yaw_pitch: Float[np.ndarray, "frame 2"], random: np.random.Generator
) -> Float[Tensor, "frame 3"]:
    """Axis-angle of both eyes in the head: jumps from point to point, mostly towards the camera."""
    gaze = np.empty((len(times), 2))
    frame = 0
    while frame < len(times):
        stay = int(random.integers(8, 50))
        toward = -yaw_pitch[frame : frame + stay] * random.uniform(0.5, 1.0)
        gaze[frame : frame + stay] = toward + random.normal(0, 0.05, 2)
        frame += stay
    padded = np.pad(gaze, ((1, 1), (0, 0)), mode="edge")
    gaze = np.clip((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4, -GAZE, GAZE)
    euler = torch.from_numpy(gaze)
    return roma.euler_to_rotvec("YX", list(euler.unbind(1))).float()


def places(
    times: Float[np.ndarray, "frame"], distance: float, half_view: tuple[float, float], random: np.random.Generator
) -> Float[np.ndarray, "frame 3"]:
    """Where the middle of the head is (metres, world space); `half_view` is half of what the picture spans there."""
    share = random.uniform(0.3, 1.0, 3) * (0.16, 0.08, 0.1)
    centre = random.uniform(-0.08, 0.08, 2) * half_view
    x = centre[0] + half_view[0] * share[0] * wander(times, 10.0, 1.5, random)
    y = centre[1] + half_view[1] * (0.06 + share[1] * wander(times, 9.0, 1.5, random))
    z = -distance * (1 + share[2] * wander(times, 11.0, 1.5, random))
    return np.stack([x, y, z], axis=1)
