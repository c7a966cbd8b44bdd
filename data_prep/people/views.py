"""Orthographic views of a posed person from all around, for normal maps."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

HALF = 1.15
"""Half of the square window (metres), which is centred on the posed pelvis joint."""
_BACK = 4.0 * HALF
"""How far before the pelvis rays start (metres)."""


def even_yaws(count: int) -> tuple[float, ...]:
    """Angles of views all around, the front first (radians)."""
    return tuple(2 * math.pi * number / count for number in range(count))


def view_rays(
    centre: Float[Tensor, "3"], yaw: float, size: int
) -> tuple[Float[Tensor, "ray 3"], Float[Tensor, "ray 3"]]:
    """Origins and directions of the rays through the pixel centres, row by row from the top left (metres).

    A yaw of 0 looks from +Z; a growing one turns the camera about Y towards +X.
    """
    right, up, towards = _axes(yaw).to(centre)
    steps = HALF * (2 * torch.arange(size).to(centre) + 1 - size) / size
    grid = steps[None, :, None] * right - steps[:, None, None] * up
    origins = centre + _BACK * towards + grid.reshape(-1, 3)
    return origins, -towards.expand_as(origins).contiguous()


def to_view(normals: Float[Tensor, "*point 3"], yaw: float) -> Float[Tensor, "*point 3"]:
    """Directions in the camera's frame: x right, y up, z towards the viewer."""
    return normals @ _axes(yaw).to(normals).T


def from_view(normals: Float[Tensor, "*point 3"], yaw: float) -> Float[Tensor, "*point 3"]:
    """Directions in the world from those in the camera's frame."""
    return normals @ _axes(yaw).to(normals)


def _axes(yaw: float) -> Float[Tensor, "3 3"]:
    """The camera's axes right, up and towards the viewer, in rows."""
    sine, cosine = math.sin(yaw), math.cos(yaw)
    return torch.tensor([[cosine, 0.0, -sine], [0.0, 1.0, 0.0], [sine, 0.0, cosine]])
