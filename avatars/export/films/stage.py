"""The stage of a video: a person on a floor with a soft shadow and faint lines, so that a walk is seen to advance."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from avatars.export.films.crop import crop_around
from data_prep.camera import Camera
from data_prep.pictures import render_surface
from data_prep.pictures.face_colours import FaceColours
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


def film(
    surface: Surface,
    camera: Camera,
    supersampling: int = 2,
    colours: Float[Tensor, "vertex 3"] | FaceColours | None = None,
) -> UInt8[np.ndarray, "height width 3"]:
    """One sRGB frame of a figure on the ground y = 0, in linear colours or clay.

    Only pixels around the figure are traced finely.
    """
    camera = camera.to(surface.device)
    rgb = _floor(surface.vertices, camera)[..., None].repeat(1, 1, 3)
    crop = crop_around(surface.vertices, camera)
    if crop is not None:
        image = render_surface(surface, crop.camera, colours, supersampling=supersampling)
        behind = (1 - image.mask)[..., None] * (rgb[crop.rows, crop.columns] - BACKGROUND)
        rgb[crop.rows, crop.columns] = image.rgb + behind
    return (linear_to_srgb(rgb.clamp(0, 1)) * 255).round().to(torch.uint8).cpu().numpy()


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
