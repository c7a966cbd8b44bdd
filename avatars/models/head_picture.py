"""Pictures of a head with its own colours: through its posed mesh (fast), or of the implicit surface (exact)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from avatars.models.head_proxy import FrameMesh, HeadProxy
from avatars.models.imavatar import Imavatar, PosedSurface
from avatars.render import Proxy, TraceOptions, trace
from data_prep.camera import Camera
from data_prep.pictures import RenderedImage
from data_prep.pictures.mesh import srgb_to_linear
from data_prep.surface import Surface

RAYS_AT_ONCE = 65_536
"""Rays that are traced at a time, to bound the memory."""


@torch.no_grad()
def mesh_colours(
    model: Imavatar,
    proxy: HeadProxy | FrameMesh,
    vertices: Float[Tensor, "vertex 3"],
    condition: Float[Tensor, "condition"],
) -> Float[Tensor, "vertex 3"]:
    """Linear colours of a posed mesh's vertices."""
    normals = Surface(vertices, proxy.faces).vertex_normals
    return _colours(model, proxy.vertices, normals, condition, proxy.features)


@torch.no_grad()
def picture_of_mesh(
    model: Imavatar,
    proxy: HeadProxy | FrameMesh,
    vertices: Float[Tensor, "vertex 3"],
    condition: Float[Tensor, "condition"],
    camera: Camera,
    background: float,
) -> RenderedImage:
    """The posed mesh, its canonical points coloured pixel by pixel."""
    surface = Surface(vertices, proxy.faces)
    origins, directions = (rays.reshape(-1, 3).float() for rays in camera.rays())
    hits = surface.cast(origins, directions)
    seen = hits.face >= 0
    where = (hits.face[seen], hits.barycentric[seen])
    normals = normalize(surface.interpolate(surface.vertex_normals, *where), dim=1)
    canonical, feature = (surface.interpolate(values, *where) for values in (proxy.vertices, proxy.features))
    colours = _colours(model, canonical, normals, condition, feature)
    return _picture(camera, directions, seen, hits.distance, normals, colours, background)


@torch.no_grad()
def picture_of_surface(
    surface: PosedSurface,
    proxy: HeadProxy | FrameMesh,
    vertices: Float[Tensor, "vertex 3"],
    camera: Camera,
    background: float,
) -> RenderedImage:
    """The implicit surface of a single frame, traced."""
    start = Proxy(proxy.own, proxy.faces, vertices[None])
    origins, directions = (rays.reshape(-1, 3).float() for rays in camera.rays())
    options = TraceOptions(misses=False)
    seen, distances, normals, colours = [], [], [], []
    for o, d in zip(origins.split(RAYS_AT_ONCE), directions.split(RAYS_AT_ONCE), strict=True):
        frame = torch.zeros(len(o), dtype=torch.long, device=o.device)
        hits = trace(o.contiguous(), d.contiguous(), frame, surface, start, options)
        canonical, frame = hits.canonical[hits.hit], frame[hits.hit]
        shade = surface.shade(canonical, frame)
        normals.append(shade.normals)
        colours.append(srgb_to_linear(shade.colours))
        seen.append(hits.hit)
        distances.append(hits.distance)
    parts = (torch.cat(seen), torch.cat(distances), torch.cat(normals), torch.cat(colours))
    return _picture(camera, directions, *parts, background)


def _colours(
    model: Imavatar,
    canonical: Float[Tensor, "point 3"],
    normals: Float[Tensor, "point 3"],
    condition: Float[Tensor, "condition"],
    feature: Float[Tensor, "point feature"],
) -> Float[Tensor, "point 3"]:
    return srgb_to_linear(model.colour(canonical, normals, condition.expand(len(canonical), -1), feature))


def _picture(
    camera: Camera,
    directions: Float[Tensor, "ray 3"],
    seen: Bool[Tensor, "ray"],
    distance: Float[Tensor, "ray"],
    normals: Float[Tensor, "seen 3"],
    colours: Float[Tensor, "seen 3"],
    background: float,
) -> RenderedImage:
    shape = (camera.height, camera.width)
    rgb = torch.full_like(directions, background)
    rgb[seen] = colours
    everywhere = torch.zeros_like(directions)
    everywhere[seen] = normals
    along = distance * (directions @ camera.camera_from_world[2, :3].float())
    depth = torch.where(seen, along, torch.inf)
    return RenderedImage(
        rgb.reshape(*shape, 3), seen.float().reshape(shape), depth.reshape(shape), everywhere.reshape(*shape, 3)
    )
