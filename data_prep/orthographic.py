"""A camera without perspective, and where to put it to look at somebody from the side."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError

BACK = 4.0
"""How far before what is looked at a view's rays start, in halves of the window."""


@dataclass(frozen=True)
class OrthographicCamera:
    """All rays run along the camera's z (x right, y down, z forward; pixels are square, centres at +0.5).

    Rays start in the plane z = 0, in whose window's middle the camera stands: put it before all that is to be seen.
    """

    camera_from_world: Float[Tensor, "4 4"]
    """A rigid motion, in metres."""
    width: int
    height: int
    half_height: float
    """Half of what the picture shows from top to bottom (metres)."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise InputError(f"A picture of {self.width} x {self.height} pixels is empty; give both sides 1 or more.")
        if not 0 < self.half_height < math.inf:
            raise InputError(f"An orthographic window's half height must be above zero (m), not {self.half_height}.")
        turn = self.camera_from_world[:3, :3].double()
        if not bool(self.camera_from_world.isfinite().all()) or not torch.allclose(
            turn @ turn.T, torch.eye(3).to(turn), atol=1e-3
        ):
            raise InputError(f"Camera camera_from_world is no rigid motion: {self.camera_from_world.tolist()}.")

    @property
    def center(self) -> Float[Tensor, "3"]:
        """The window's middle in world space (metres)."""
        rotation, translation = self.camera_from_world[:3, :3], self.camera_from_world[:3, 3]
        return -(rotation.T @ translation)

    def rays(self) -> tuple[Float[Tensor, "height width 3"], Float[Tensor, "height width 3"]]:
        """World-space origin and unit direction of the ray through the centre of each pixel."""
        right, down, forward = self.camera_from_world[:3, :3]
        pixel = 2 * self.half_height / self.height
        x = pixel * (torch.arange(self.width).to(right) + 0.5 - self.width / 2)
        y = pixel * (torch.arange(self.height).to(right) + 0.5 - self.height / 2)
        origins = self.center + x[None, :, None] * right + y[:, None, None] * down
        return origins, forward.expand_as(origins)

    def to(self, device: torch.device | str) -> "OrthographicCamera":
        """The same camera with its matrix on another device."""
        return OrthographicCamera(self.camera_from_world.to(device), self.width, self.height, self.half_height)


def orthographic_view(
    centre: Float[Tensor, "3"], yaw: float, half_height: float, width: int, height: int
) -> OrthographicCamera:
    """A level view of a place (world, metres) in the picture's middle.

    A yaw of 0 looks from +Z, at the front of who faces it; a growing one turns the camera about Y towards +X (radians).
    Raises InputError for an empty picture or window.
    """
    rotation = level_axes(yaw).to(centre) * centre.new_tensor([[1.0], [-1.0], [-1.0]])
    camera_from_world = torch.eye(4).to(centre)
    camera_from_world[:3, :3] = rotation
    camera_from_world[:3, 3] = -rotation @ centre
    camera_from_world[2, 3] += BACK * half_height
    return OrthographicCamera(camera_from_world, width, height, half_height)


def level_axes(yaw: float) -> Float[Tensor, "3 3"]:
    """A level view's axes in the world, in rows: right, up and towards the viewer (radians)."""
    sine, cosine = math.sin(yaw), math.cos(yaw)
    return torch.tensor([[cosine, 0.0, -sine], [0.0, 1.0, 0.0], [sine, 0.0, cosine]])
