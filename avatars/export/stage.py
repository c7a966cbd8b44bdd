"""The stage of a video: a person on a floor with a soft shadow and faint lines, so that a walk is seen to advance."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from data_prep.camera import Camera
from data_prep.pictures import render_surface
from data_prep.pictures.ground import contact_shadow
from data_prep.pictures.mesh import BACKGROUND, linear_to_srgb
from data_prep.surface import Surface

AIRBORNE = 0.03
"""Height of the lowest point above the ground from which somebody counts as jumping (metres)."""
SPACING = 0.5
LINE = 0.015
"""Width of the floor's lines (metres)."""
STRENGTH = 0.5
FADE = 2.5
"""Distance from the figure at which the lines have faded (metres)."""


@dataclass(frozen=True)
class _Crop:
    left: int
    top: int
    camera: Camera
    """Sees what the whole camera sees in these pixels."""


def film(surface: Surface, camera: Camera, supersampling: int = 2) -> UInt8[np.ndarray, "height width 3"]:
    """One sRGB frame of a clay figure on the ground y = 0; only pixels around the figure are traced finely."""
    camera = camera.to(surface.device)
    rgb = _floor(surface.vertices, camera)[..., None].repeat(1, 1, 3)
    crop = _crop_around(surface.vertices, camera)
    if crop is not None:
        image = render_surface(surface, crop.camera, supersampling=supersampling)
        rows = slice(crop.top, crop.top + crop.camera.height)
        columns = slice(crop.left, crop.left + crop.camera.width)
        behind = (1 - image.mask)[..., None] * (rgb[rows, columns] - BACKGROUND)
        rgb[rows, columns] = image.rgb + behind
    return (linear_to_srgb(rgb.clamp(0, 1)) * 255).round().to(torch.uint8).cpu().numpy()


def _crop_around(vertices: Float[Tensor, "vertex 3"], camera: Camera) -> _Crop | None:
    """The pixels that the figure may touch; none when it is out of the picture."""
    pixels, _ = camera.project(vertices)
    lower, upper = pixels.amin(0).floor().long() - 1, pixels.amax(0).ceil().long() + 1
    left, top = (int(value.clamp(min=0)) for value in lower)
    right, bottom = min(int(upper[0]), camera.width), min(int(upper[1]), camera.height)
    if right <= left or bottom <= top:
        return None
    intrinsics = camera.intrinsics.clone()
    intrinsics[0, 2] -= left
    intrinsics[1, 2] -= top
    return _Crop(left, top, Camera(intrinsics, camera.camera_from_world, right - left, bottom - top))


def _floor(vertices: Float[Tensor, "vertex 3"], camera: Camera) -> Float[Tensor, "height width"]:
    """Brightness of the empty stage: the shadow beneath the figure, and lines every half metre on the ground."""
    origins, directions = camera.rays()
    shape = directions.shape[:2]
    figure = vertices
    if float(vertices[:, 1].min()) > AIRBORNE:  # the shadow belongs to the ground, not to the height of a jump
        figure = torch.cat([vertices, vertices.mean(0, keepdim=True) * vertices.new_tensor([1.0, 0.0, 1.0])])
    shadow = contact_shadow(figure, origins.reshape(-1, 3), directions.reshape(-1, 3)).reshape(shape)
    distance = -origins[..., 1] / directions[..., 1]
    ahead = (distance > 0) & distance.isfinite()
    distance = torch.where(ahead, distance, 1.0)
    floor = (origins + distance[..., None] * directions)[..., [0, 2]]
    grazing = directions[..., 1].abs().clamp_min(1e-3)
    footprint = distance / (camera.intrinsics[1, 1] * grazing)
    fade = _fade(floor, vertices.mean(0)[[0, 2]])
    return BACKGROUND * shadow * (1 - STRENGTH * ahead * _lines(floor, footprint) * fade)


def _lines(
    floor: Float[Tensor, "height width 2"], footprint: Float[Tensor, "height width"]
) -> Float[Tensor, "height width"]:
    """Share of each pixel that lines cover, softened over the pixel's own length on the floor (metres)."""
    off = ((floor / SPACING + 0.5) % 1 - 0.5).abs() * SPACING
    soft = footprint.clamp_min(LINE)[..., None]
    return ((1 - off / soft).clamp(0, 1) * (LINE / soft)).amax(-1)


def _fade(floor: Float[Tensor, "height width 2"], middle: Float[Tensor, "2"]) -> Float[Tensor, "height width"]:
    """1 under the figure, 0 far from it."""
    return (1 - (floor - middle).norm(dim=-1) / FADE).clamp(0, 1) ** 2
