"""From where a camera looks: off to a side, above, or on its way around."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from body_models import InputError
from body_models.skeleton import rotation_matrices
from data_prep.camera import Camera

STEEPEST = 80.0
NARROWEST, WIDEST = 1.0, 120.0
"""Vertical fields of view (degrees)."""


@dataclass(frozen=True)
class View:
    """Where a camera is around somebody (degrees; 0 is where it stands by itself)."""

    yaw: float | int = 0.0
    """How far the camera has gone around towards the person's left."""
    pitch: float | int = 0.0
    """How far it looks down from above."""
    degrees: float | int | None = None
    """How far it goes on a turntable: round and round from 360, less is to both sides and back; None is the usual."""
    fov: float | int | None = None
    """Vertical field of view (degrees): small is flat, as from afar, large from near by; None is the usual."""

    def __post_init__(self) -> None:
        if not -360 <= self.yaw <= 360 or not -STEEPEST <= self.pitch <= STEEPEST:
            raise InputError(
                f"A view from {self.yaw:g} degrees aside and {self.pitch:g} above is not usable: give a yaw of -360 to "
                f"360 and a pitch of {-STEEPEST:g} to {STEEPEST:g} degrees."
            )
        if self.degrees is not None and not 0 < self.degrees <= 3600:
            raise InputError(f"A camera cannot go {self.degrees:g} degrees around; give 1 to 360, or some rounds more.")
        if self.fov is not None and not NARROWEST <= self.fov <= WIDEST:
            raise InputError(f"A field of view of {self.fov:g} degrees is not in {NARROWEST:g} to {WIDEST:g}.")

    def yaws(self, frames: int, turntable: bool, usual: float) -> Float[Tensor, "frame"]:
        """The yaw in each frame of a video (radians); a turntable goes `usual` degrees if the view does not tell."""
        share = torch.arange(frames) / frames
        way = (self.degrees or usual) if turntable else 0.0
        around = way * share if way >= 360 else way / 2 * torch.sin(2 * math.pi * share)
        return torch.deg2rad(self.yaw + around)


def orbited(camera: Camera, pivot: Float[Tensor, "3"], yaw: float, pitch: float) -> Camera:
    """A camera carried around a point of the world, which it goes on seeing in the same pixel (radians).

    `yaw` goes around the vertical, from +Z to +X; `pitch` upwards.
    """
    right = camera.camera_from_world[0, :3]
    up = torch.tensor([0.0, 1.0, 0.0]).to(right)
    around, above = rotation_matrices(torch.stack([yaw * up, -pitch * right]))
    turn = around @ above
    moved = torch.eye(4).to(right)
    moved[:3, :3], moved[:3, 3] = turn.T, pivot - turn.T @ pivot
    return Camera(camera.intrinsics, camera.camera_from_world @ moved, camera.width, camera.height)


def refocused(camera: Camera, pivot: Float[Tensor, "3"], fov: float) -> Camera:
    """A camera with another vertical field of view (degrees), gone so far off that a point is seen where it was, and
    what is around it as large as it was."""
    tangent = camera.height / (2 * float(camera.intrinsics[1, 1]))
    scale = tangent / math.tan(math.radians(fov) / 2)
    depth = camera.project(pivot)[1]
    intrinsics, moved = camera.intrinsics.clone(), camera.camera_from_world.clone()
    intrinsics[[0, 1], [0, 1]] *= scale
    moved[2, 3] += (scale - 1) * depth
    return Camera(intrinsics, moved, camera.width, camera.height)
