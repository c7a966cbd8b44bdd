"""Pictures of a synthetic person: rays to the surface, a lit texture, smooth edges where surfaces end."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import normalize

from data_prep.camera import Camera
from data_prep.pictures.mesh import linear_to_srgb
from data_prep.surface import Surface
from data_prep.synthetic_heads.raster import rasterize
from data_prep.synthetic_heads.texture import Texture

_STEPS = 4096
_EDGE_DEPTH = 0.006
"""Neighbouring pixels whose depths differ more than this (metres) lie on two sides of an edge."""

_WITHIN = ((-0.125, -0.375), (0.375, -0.125), (0.125, 0.375), (-0.375, 0.125))
"""Where the four rays of an edge's pixel go, relative to its centre."""


@dataclass(frozen=True)
class Lights:
    """Light from the sky, from below and from two lamps (unit directions in world space, linear colours)."""

    sky: Float[Tensor, "3"]
    floor: Float[Tensor, "3"]
    directions: Float[Tensor, "lamp 3"]
    colors: Float[Tensor, "lamp 3"]


@dataclass(frozen=True)
class HeadPicture:
    """A picture of a synthetic person with what is seen where; nothing seen has depth inf and normal zero."""

    rgb: UInt8[np.ndarray, "height width 3"]
    alpha: Float[np.ndarray, "height width"]
    """Share of each pixel that the person covers, hair and shoulders included."""
    head_mask: Bool[np.ndarray, "height width"]
    """Where the model's own surface is seen: neither hair nor teeth nor shoulders."""
    part: Int[np.ndarray, "height width"]
    """Part of the person seen at the pixel's centre, as `SyntheticPerson.part` numbers them; -1 for none."""
    normal: Float[np.ndarray, "height width 3"]
    """Unit and in world space, facing the camera."""
    depth: Float[np.ndarray, "height width"]
    """Along the camera's z (metres)."""


def random_lights(random: np.random.Generator) -> Lights:
    """A room's light with a stronger lamp from one side in front and a weaker one from the other."""
    side, tint = random.choice([-1.0, 1.0]), random.uniform(-0.08, 0.08)
    warm = np.array([1 + tint, 1.0, 1 - tint])
    sky = random.uniform(0.38, 0.52) * warm
    key = (side * random.uniform(0.15, 0.8), random.uniform(0.2, 0.8), 1.0)
    fill = (-side * random.uniform(0.6, 1.2), random.uniform(-0.1, 0.4), random.uniform(0.1, 0.6))
    colors = np.stack([random.uniform(0.45, 0.65) * warm, random.uniform(0.08, 0.25) / warm])
    return Lights(
        torch.from_numpy(sky).float(),
        torch.from_numpy(0.45 * sky).float(),
        normalize(torch.tensor([key, fill], dtype=torch.float32), dim=-1),
        torch.from_numpy(colors).float(),
    )


def render_head(
    surface: Surface,
    part: Int[Tensor, "face"],
    head_faces: int,
    texture: Texture,
    camera: Camera,
    lights: Lights,
    background: Float[Tensor, "height width 3"],
) -> HeadPicture:
    """Draw a textured surface before a background (linear colours); edges get four more rays a pixel."""
    found = rasterize(surface.vertices, surface.faces, camera)
    pixels = (found.face >= 0).nonzero()[:, 0]
    face = found.face[pixels]
    toward = -_directions(camera, _centres(pixels, camera.width))
    normals_at = surface.vertex_normals
    color, normal = background.reshape(-1, 3).clone(), torch.zeros(camera.width * camera.height, 3)
    color[pixels], normal[pixels] = _shaded(
        surface, normals_at, texture, lights, face, found.barycentric[pixels], toward
    )
    seen_part, head = torch.full_like(found.face, -1), torch.zeros_like(found.face, dtype=torch.bool)
    seen_part[pixels], head[pixels] = part[face], face < head_faces
    alpha = (found.face >= 0).float()
    shape = (camera.height, camera.width)
    edge = _edges(seen_part.reshape(shape), found.depth.reshape(shape)).reshape(-1).nonzero()[:, 0]
    if len(edge) > 0:
        color[edge], alpha[edge] = _fine(surface, normals_at, texture, lights, camera, edge, background)
    return HeadPicture(
        rgb=to_bytes(color).reshape(*shape, 3),
        alpha=alpha.reshape(shape).numpy(),
        head_mask=head.reshape(shape).numpy(),
        part=seen_part.reshape(shape).numpy(),
        normal=normal.reshape(*shape, 3).numpy(),
        depth=found.depth.reshape(shape).numpy(),
    )


def _centres(pixels: Int[Tensor, "pixel"], width: int) -> Float[Tensor, "pixel 2"]:
    """Centres of pixels that are numbered row by row."""
    return torch.stack([pixels % width, pixels // width], dim=-1) + 0.5


def _directions(camera: Camera, pixels: Float[Tensor, "pixel 2"]) -> Float[Tensor, "pixel 3"]:
    """Unit directions in world space through places in the picture."""
    world_from_pixel = (camera.camera_from_world[:3, :3].T @ torch.linalg.inv(camera.intrinsics)).float()
    return normalize(pixels @ world_from_pixel[:, :2].T + world_from_pixel[:, 2], dim=-1)


def _shaded(
    surface: Surface,
    vertex_normals: Float[Tensor, "vertex 3"],
    texture: Texture,
    lights: Lights,
    face: Int[Tensor, "point"],
    barycentric: Float[Tensor, "point 3"],
    toward: Float[Tensor, "point 3"],
) -> tuple[Float[Tensor, "point 3"], Float[Tensor, "point 3"]]:
    """Linear colour and normal of points on the surface seen from directions `toward`."""
    normals = normalize(surface.interpolate(vertex_normals, face, barycentric), dim=-1)
    normals = torch.where((normals * toward).sum(-1, keepdim=True) < -0.2, -normals, normals)
    return _lit(texture.look_up(face, barycentric), normals, toward, lights), normals


def _lit(
    values: Float[Tensor, "point 4"],
    normals: Float[Tensor, "point 3"],
    toward: Float[Tensor, "point 3"],
    lights: Lights,
) -> Float[Tensor, "point 3"]:
    """Soft diffuse light, and highlights as sharp as the gloss is strong."""
    light = torch.lerp(lights.floor, lights.sky, normals[:, 1:2] / 2 + 0.5)
    wrapped = (normals @ lights.directions.T).add_(0.25).div_(1.25).clamp_min_(0)
    light.addmm_(wrapped, lights.colors)
    gloss = values[:, 3:]
    # the cosine to the middle between eye and lamp, from three dot products
    lamp, eye = normals @ lights.directions.T, (normals * toward).sum(-1, keepdim=True)
    between = (2 + 2 * toward @ lights.directions.T).clamp_min_(1e-6).sqrt_()
    near = ((lamp + eye) / between).clamp_(0, 1)
    shine = near.pow_(14 + 150 * gloss).mul_(2 * gloss)
    return (values[:, :3] * light).addmm_(shine, lights.colors)


def _edges(part: Int[Tensor, "height width"], depth: Float[Tensor, "height width"]) -> Bool[Tensor, "height width"]:
    """Pixels beside one of another part or depth."""
    edge = torch.zeros_like(part, dtype=torch.bool)
    depth = depth.nan_to_num(posinf=1e3)
    for axis in (0, 1):
        count = part.shape[axis] - 1
        first, second = (part.narrow(axis, start, count) for start in (0, 1))
        near, far = (depth.narrow(axis, start, count) for start in (0, 1))
        differs = (first != second) | ((near - far).abs() > _EDGE_DEPTH)
        edge.narrow(axis, 0, count).logical_or_(differs)
        edge.narrow(axis, 1, count).logical_or_(differs)
    return edge


def _fine(
    surface: Surface,
    vertex_normals: Float[Tensor, "vertex 3"],
    texture: Texture,
    lights: Lights,
    camera: Camera,
    edge: Int[Tensor, "edge"],
    background: Float[Tensor, "height width 3"],
) -> tuple[Float[Tensor, "edge 3"], Float[Tensor, "edge"]]:
    """Mean colour and coverage of four rays through each of some pixels."""
    pixels = (_centres(edge, camera.width)[:, None] + torch.tensor(_WITHIN)).reshape(-1, 2)
    directions = _directions(camera, pixels)
    hits = surface.cast(camera.center.float().expand_as(directions), directions)
    seen = (hits.face >= 0).nonzero()[:, 0]
    color = background.reshape(-1, 3)[edge].repeat_interleave(4, dim=0)
    color[seen], _ = _shaded(
        surface, vertex_normals, texture, lights, hits.face[seen], hits.barycentric[seen], -directions[seen]
    )
    return color.reshape(-1, 4, 3).mean(1), (hits.face >= 0).float().reshape(-1, 4).mean(1)


_BYTES = (linear_to_srgb(torch.linspace(0, 1, _STEPS)) * 255).round().to(torch.uint8)


def to_bytes(linear: Float[Tensor, "*pixel 3"]) -> UInt8[np.ndarray, "*pixel 3"]:
    """Linear colours as sRGB bytes."""
    index = (linear.clamp(0, 1) * (_STEPS - 1)).to(torch.int32)
    return torch.index_select(_BYTES, 0, index.reshape(-1)).reshape(linear.shape).numpy()
