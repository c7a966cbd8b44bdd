"""Pictures of a triangle mesh: rays to the surface, smooth normals, three studio lights."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import normalize

from body_models.errors import InputError
from data_prep.camera import Camera, look_at
from data_prep.pictures.face_colours import FaceColours
from data_prep.pictures.ground import contact_shadow
from data_prep.surface import Surface

BACKGROUND = 0.9
"""Linear grey behind the mesh."""
CLAY = (0.56, 0.53, 0.5)
"""Linear colour of a mesh without colours."""
LIGHTS = (
    # direction towards the light (camera frame turned upright: x right, y up, z to the viewer), strength, colour
    ((-0.6, 0.65, 0.55), 0.95, (1.0, 0.98, 0.95)),  # key
    ((0.85, 0.1, 0.45), 0.2, (0.93, 0.96, 1.0)),  # fill
    ((0.3, 0.55, -0.8), 0.5, (1.0, 1.0, 1.0)),  # rim
)
LIT = ("camera", "world", "none")
"""Where the lamps stand."""
SKY, FLOOR = (0.24, 0.25, 0.27), (0.08, 0.075, 0.07)


@dataclass(frozen=True)
class RenderedImage:
    """A picture and what was seen in each pixel; background pixels have depth inf and normal zero."""

    rgb: Float[Tensor, "height width 3"]
    """Linear colour in [0, 1]."""
    mask: Float[Tensor, "height width"]
    """Share of the pixel that the mesh covers."""
    depth: Float[Tensor, "height width"]
    """Along the camera's z (metres)."""
    normal: Float[Tensor, "height width 3"]
    """Unit and in world space, facing the camera."""

    def to_uint8(self) -> UInt8[np.ndarray, "height width 3"]:
        """The colours as sRGB bytes, ready to be written."""
        return (linear_to_srgb(self.rgb) * 255).round().to(torch.uint8).cpu().numpy()


def render_mesh(
    vertices: Float[Tensor, "vertex 3"],
    faces: Int[Tensor, "face 3"],
    camera: Camera,
    colors: Float[Tensor, "vertex 3"] | FaceColours | None = None,
    style: str = "shaded",
    supersampling: int = 1,
    ground: bool = False,
    light: str = "camera",
) -> RenderedImage:
    """Render a mesh (metres, world space); see `render_surface`."""
    return render_surface(Surface(vertices, faces), camera, colors, style, supersampling, ground, light)


def render_surface(
    surface: Surface,
    camera: Camera,
    colors: Float[Tensor, "vertex 3"] | FaceColours | None = None,
    style: str = "shaded",
    supersampling: int = 1,
    ground: bool = False,
    light: str = "camera",
) -> RenderedImage:
    """Render a surface with linear vertex colours, or clay without.

    The lamps move with the camera or stand still in the "world", about who faces +Z; with "none", colours are shown as
    they are. Style "normal" shows the normals in the camera's frame (x right, y up, z to the viewer) as colours.
    Supersampling takes that many rays along each side of a pixel. `ground` darkens a floor at the mesh's lowest point
    around what touches it. Raises InputError for an unknown style or light, or a supersampling that is not 1 to 8.
    """
    if style not in ("shaded", "normal"):
        raise InputError(f"Unknown render style '{style}'; use 'shaded' or 'normal'.")
    if light not in LIT:
        raise InputError(f"Unknown light '{light}'; use {', '.join(LIT)}.")
    if not 1 <= supersampling <= 8:
        raise InputError(f"Supersampling {supersampling} is not in 1 to 8; use 1 for speed or 2 for smooth edges.")
    fine = camera.to(surface.device).resized(camera.width * supersampling, camera.height * supersampling)
    origins, directions = fine.rays()
    origins, directions = origins.reshape(-1, 3).float(), directions.reshape(-1, 3).float()
    hits = surface.cast(origins, directions)
    seen = hits.face >= 0
    face, barycentric, toward = hits.face[seen], hits.barycentric[seen], -directions[seen]
    normals = normalize(surface.interpolate(surface.vertex_normals, face, barycentric), dim=-1)
    normals = torch.where((surface.face_normals[face] * toward).sum(-1, keepdim=True) < 0, -normals, normals)
    upright = fine.camera_from_world[:3, :3].float() * torch.tensor([[1.0], [-1.0], [-1.0]], device=surface.device)
    if style == "normal":
        shown = srgb_to_linear((normals @ upright.T + 1) / 2)
    else:
        albedo = torch.tensor(CLAY, device=surface.device).expand_as(normals)
        if isinstance(colors, FaceColours):
            albedo = colors.at(face, barycentric)
        elif colors is not None:
            albedo = surface.interpolate(colors.to(surface.vertices), face, barycentric)
        shown = albedo if light == "none" else _lit(albedo, normals, toward, upright, light)
    rgb = torch.full_like(directions, BACKGROUND)
    if ground:
        rgb[~seen] *= contact_shadow(surface.vertices, origins[~seen], directions[~seen])[:, None]
    rgb[seen] = shown.clamp(0, 1)
    depth = hits.distance * (directions @ fine.camera_from_world[2, :3].float())
    world_normals = torch.zeros_like(directions)
    world_normals[seen] = normals
    shape = (fine.height, fine.width)
    whole = RenderedImage(
        rgb.reshape(*shape, 3), seen.float().reshape(shape), depth.reshape(shape), world_normals.reshape(*shape, 3)
    )
    return merged(whole, supersampling)


def merged(image: RenderedImage, rays: int) -> RenderedImage:
    """A picture with one pixel for each `rays` x `rays` of the given one: mean colour and normal, nearest depth."""
    height, width = image.mask.shape
    shape = (height // rays, rays, width // rays, rays)
    return RenderedImage(
        image.rgb.reshape(*shape, 3).mean(dim=(1, 3)),
        image.mask.reshape(shape).mean(dim=(1, 3)),
        image.depth.reshape(shape).amin(dim=(1, 3)),
        normalize(image.normal.reshape(*shape, 3).mean(dim=(1, 3)), dim=-1),
    )


def frame_camera(
    lower: Float[Tensor, "3"],
    upper: Float[Tensor, "3"],
    azimuth: float = 0.0,
    elevation: float = 0.0,
    width: int = 512,
    height: int = 512,
    fov_y_degrees: float = 28.0,
    margin: float = 1.08,
) -> Camera:
    """Camera that just holds the box `lower` to `upper` (metres), looking at its centre.

    Azimuth 0 sees the front of a person (who faces +Z), 90 their left side; elevation looks down (radians).
    Raises InputError for an elevation of a right angle or more, or for an empty box.
    """
    if not bool(torch.isfinite(upper - lower).all()) or float((upper - lower).max()) <= 0:
        raise InputError(
            f"Cannot frame a box from {lower.tolist()} to {upper.tolist()}; it must be finite with a size."
        )
    if abs(elevation) >= math.pi / 2:
        raise InputError(f"Elevation {elevation} is not below a right angle; it is in radians, use -1.5 to 1.5.")
    backward = torch.tensor(
        [
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
            math.cos(azimuth) * math.cos(elevation),
        ]
    ).to(lower)
    center, up = (lower + upper) / 2, torch.tensor([0.0, 1.0, 0.0]).to(lower)
    rotation = look_at(center + backward, center, up, fov_y_degrees, width, height).camera_from_world[:3, :3]
    corners = torch.cartesian_prod(*torch.stack([lower, upper], dim=-1).unbind()) - center
    x, y, z = (corners @ rotation.T * margin).unbind(dim=-1)
    tangent = math.tan(math.radians(fov_y_degrees) / 2)
    distance = (torch.maximum(y.abs() / tangent, x.abs() / (tangent * width / height)) - z).max()
    return look_at(center + backward * distance, center, up, fov_y_degrees, width, height)


def linear_to_srgb(color: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Encode linear light in [0, 1] for a display (IEC 61966-2-1)."""
    color = color.clamp(0, 1)
    return torch.where(color <= 0.0031308, 12.92 * color, 1.055 * color.clamp_min(1e-8) ** (1 / 2.4) - 0.055)


def srgb_to_linear(color: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Decode display colours in [0, 1] to linear light (IEC 61966-2-1)."""
    color = color.clamp(0, 1)
    return torch.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


def _lit(
    albedo: Float[Tensor, "ray 3"],
    normals: Float[Tensor, "ray 3"],
    toward: Float[Tensor, "ray 3"],
    upright: Float[Tensor, "3 3"],
    light: str,
) -> Float[Tensor, "ray 3"]:
    lamps = upright if light == "camera" else torch.eye(3).to(upright)
    return albedo * _light(normals, lamps) + _gloss(normals, toward, lamps)


def _light(normals: Float[Tensor, "ray 3"], upright: Float[Tensor, "3 3"]) -> Float[Tensor, "ray 3"]:
    """Diffuse light: sky to floor by the world's up, and lamps softened past the terminator."""
    sky, floor = torch.tensor(SKY).to(normals), torch.tensor(FLOOR).to(normals)
    light = torch.lerp(floor, sky, normals[:, 1:2] / 2 + 0.5)
    for direction, strength, color in LIGHTS:
        lamp = normalize(torch.tensor(direction).to(normals), dim=0) @ upright
        wrapped = ((normals @ lamp + 0.1) / 1.1).clamp_min(0)
        light = light + (strength * wrapped)[:, None] * torch.tensor(color).to(normals)
    return light


def _gloss(
    normals: Float[Tensor, "ray 3"], toward: Float[Tensor, "ray 3"], upright: Float[Tensor, "3 3"]
) -> Float[Tensor, "ray 1"]:
    """A faint highlight of the key light and a bright edge."""
    key = normalize(torch.tensor(LIGHTS[0][0]).to(normals), dim=0) @ upright
    highlight = (normals * normalize(toward + key, dim=-1)).sum(-1).clamp_min(0) ** 24
    edge = (1 - (normals * toward).sum(-1).clamp(0, 1)) ** 4
    return (0.05 * highlight + 0.08 * edge)[:, None]
