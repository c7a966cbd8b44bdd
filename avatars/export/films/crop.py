"""The part of a picture that a figure takes up, so that only there rays need be cast."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from data_prep.camera import Camera

NEAR = 1e-3
"""What is nearer to the camera than this counts as beside or behind it (metres)."""


@dataclass(frozen=True)
class Crop:
    """Some rows and columns of a picture."""

    rows: slice
    columns: slice
    camera: Camera
    """Sees what the whole camera sees in these pixels."""


def crop_around(vertices: Float[Tensor, "vertex 3"], camera: Camera) -> Crop | None:
    """The pixels that a figure may touch; None when it is out of the picture."""
    pixels, depth = camera.project(vertices)
    if float(depth.max()) <= NEAR:
        return None
    if float(depth.min()) <= NEAR:  # partly behind the camera: its outline is not that of its vertices' pixels
        return Crop(slice(0, camera.height), slice(0, camera.width), camera)
    lower, upper = pixels.amin(0).floor().long() - 1, pixels.amax(0).ceil().long() + 1
    left, top = (int(value.clamp(min=0)) for value in lower)
    right, bottom = min(int(upper[0]), camera.width), min(int(upper[1]), camera.height)
    if right <= left or bottom <= top:
        return None
    intrinsics = camera.intrinsics.clone()
    intrinsics[0, 2] -= left
    intrinsics[1, 2] -= top
    part = Camera(intrinsics, camera.camera_from_world, right - left, bottom - top)
    return Crop(slice(top, bottom), slice(left, right), part)
