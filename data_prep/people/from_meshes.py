"""Make a member of a dataset of people from posed meshes: labelled points, surface samples and normal maps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from body_models.errors import InputError
from data_prep.people.member import Member
from data_prep.people.views import even_yaws, to_view, view_rays
from data_prep.sampling import blended_normals, sample_outer_surface
from data_prep.surface import Surface

MIN_INSIDE = 0.01
"""Share of the points that lies inside a closed person at least."""


@dataclass(frozen=True)
class MemberOptions:
    """How much of each scan is kept."""

    near: int = 12_288
    """Points about the outer surface."""
    uniform: int = 6_144
    """Points spread over the scan's box."""
    sigma: float = 0.01
    """Standard deviation of the distance of `near`, each axis (metres)."""
    margin: float = 0.1
    """How much the box is larger than the scan on each side (metres)."""
    samples: int = 8_192
    """Points on the outer surface."""
    yaws: tuple[float, ...] = even_yaws(8)
    """Angle of each view (radians)."""
    size: int = 128
    """Side of the normal maps (pixels)."""

    def __post_init__(self) -> None:
        if min(self.near, self.uniform, self.samples, self.size, len(self.yaws)) < 1:
            raise InputError("A member needs one near point, uniform point, surface sample, view and pixel at least.")
        if not (math.isfinite(self.sigma) and self.sigma > 0 and math.isfinite(self.margin) and self.margin > 0):
            raise InputError("sigma and margin must be lengths above zero, in metres.")


def make_member(
    name: str,
    meshes: Sequence[tuple[Float[Tensor, "_ 3"], Int[Tensor, "_ 3"]]],
    betas: Float[Tensor, "beta"],
    poses: Float[Tensor, "scan bone 3"],
    translations: Float[Tensor, "scan 3"],
    pelvis: Float[Tensor, "scan 3"],
    options: MemberOptions | None = None,
    generator: torch.Generator | None = None,
) -> Member:
    """Draw what a prior learns from out of posed meshes, vertices and faces of each scan (metres, Y up).

    `pelvis` is the posed root joint, on which the views are centred. The same generator state gives the same member.
    Raises InputError for meshes that cannot be used or do not go with the poses.
    """
    if not len(meshes) == len(poses) == len(translations) == len(pelvis) or not len(meshes):
        raise InputError(f"{name}: {len(meshes)} meshes do not go with {len(poses)} poses; give one for each scan.")
    options = options or MemberOptions()
    generator = generator or torch.Generator().manual_seed(0)
    parts = []
    for (vertices, faces), centre in zip(meshes, pelvis, strict=True):
        try:
            parts.append(_scan_tensors(Surface(vertices, faces), centre, options, generator))
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
    points, distances, samples, normals, maps = (torch.stack(part) for part in zip(*parts, strict=True))
    return Member(
        name=name,
        betas=betas.detach().float(),
        poses=poses.detach().float(),
        translations=translations.detach().float(),
        points=points,
        distances=distances,
        surface=samples,
        normals=normals,
        maps=maps,
    )


def normal_map(
    surface: Surface, vertex_normals: Float[Tensor, "vertex 3"], centre: Float[Tensor, "3"], yaw: float, size: int
) -> UInt8[Tensor, "{size} {size} 3"]:
    """Smooth normals of what an orthographic view sees, in the camera's frame; white where it sees nothing."""
    origins, directions = view_rays(centre.to(surface.vertices), yaw, size)
    hits = surface.cast(origins, directions)
    seen = hits.face >= 0
    face, direction = hits.face[seen], directions[seen]
    normals = _unit(surface.interpolate(vertex_normals, face, hits.barycentric[seen]))
    # a thin open piece seen from its back shows the side that is turned to the viewer
    away = (surface.face_normals[face] * direction).sum(-1, keepdim=True) > 0
    colours = to_view(torch.where(away, -normals, normals), yaw) * 127.5 + 127.5
    image = torch.full((size * size, 3), 255, dtype=torch.uint8)
    image[seen.cpu()] = colours.round().clamp(0, 255).to(torch.uint8).cpu()
    return image.reshape(size, size, 3)


def _scan_tensors(
    surface: Surface, centre: Float[Tensor, "3"], options: MemberOptions, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Points, distances, surface samples, normals and maps of one scan."""
    drawn = sample_outer_surface(surface, options.near + options.samples, generator)  # independent: one call is faster
    noise = options.sigma * torch.randn(options.near, 3, generator=generator)
    low, high = surface.vertices.amin(0) - options.margin, surface.vertices.amax(0) + options.margin
    spread = low + (high - low) * torch.rand(options.uniform, 3, generator=generator)
    points = torch.cat([drawn.points[: options.near] + noise, spread])
    distances = surface.signed_distance(points)
    if float(distances.signbit().float().mean()) < MIN_INSIDE:
        raise InputError("the surface encloses nothing: it is open or inside out; close it, or turn its faces")
    vertex_normals = surface.vertex_normals
    normals = blended_normals(surface, drawn, vertex_normals)[options.near :]
    maps = [normal_map(surface, vertex_normals, centre, yaw, options.size) for yaw in options.yaws]
    return points, distances, drawn.points[options.near :], normals, torch.stack(maps)


def _unit(vectors: Float[Tensor, "row 3"]) -> Float[Tensor, "row 3"]:
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-6)
