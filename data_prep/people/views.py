"""Orthographic views of a posed person from all around, for normal maps."""

import math

from jaxtyping import Float
from torch import Tensor

from data_prep.orthographic import level_axes, orthographic_view

HALF = 1.15
"""Half of the square window (metres), which is centred on the posed pelvis joint."""


def even_yaws(count: int) -> tuple[float, ...]:
    """Angles of views all around, the front first (radians)."""
    return tuple(2 * math.pi * number / count for number in range(count))


def view_rays(
    centre: Float[Tensor, "3"], yaw: float, size: int
) -> tuple[Float[Tensor, "ray 3"], Float[Tensor, "ray 3"]]:
    """Origins and directions of the rays through the pixel centres, row by row from the top left (metres).

    A yaw of 0 looks from +Z; a growing one turns the camera about Y towards +X.
    """
    origins, directions = orthographic_view(centre, yaw, HALF, size, size).rays()
    return origins.reshape(-1, 3), directions.reshape(-1, 3).contiguous()


def to_view(normals: Float[Tensor, "*point 3"], yaw: float) -> Float[Tensor, "*point 3"]:
    """Directions in the camera's frame: x right, y up, z towards the viewer."""
    return normals @ level_axes(yaw).to(normals).T


def from_view(normals: Float[Tensor, "*point 3"], yaw: float) -> Float[Tensor, "*point 3"]:
    """Directions in the world from those in the camera's frame."""
    return normals @ level_axes(yaw).to(normals)
