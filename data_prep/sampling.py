"""Labelled points for fitting an occupancy field to a mesh, drawn by SNARF's protocol."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from body_models.errors import InputError
from data_prep.surface import Surface, SurfaceSamples

CUBE_SCALE = 1.1
"""Edge of the cube of uniform points, in longest edges of the bounding box (SNARF's preprocessing of DFaust)."""
BURIED_PROBE = 0.002
"""A surface point is buried when the point this far outward is still inside (metres)."""
MIN_OUTER_SHARE = 0.02
"""Least share of the surface that must be visible from outside for near-surface points to be drawn."""


@dataclass(frozen=True)
class OccupancySamples:
    """Points with their label and signed distance to the mesh (metres, negative inside)."""

    points: Float[Tensor, "point 3"]
    occupied: Bool[Tensor, "point"]
    distance: Float[Tensor, "point"]


def sample_occupancy(
    surface: Surface, uniform: int, near: int, sigma: float, generator: torch.Generator | None = None
) -> OccupancySamples:
    """Draw `uniform` points in a cube around the mesh, then `near` points around its outer surface, and label them.

    The generator must live on the surface's device; sigma in metres. Raises InputError for negative counts or sigma.
    Source: SNARF (ICCV 2021), whose pools are half uniform and half near the surface with a sigma of 0.01 m.
    """
    _check_count(uniform)
    _check_near(near, sigma)
    spread = sample_uniform(surface, uniform, generator)
    return label_points(surface, torch.cat([spread, sample_near(surface, near, sigma, generator)]))


def sample_uniform(surface: Surface, count: int, generator: torch.Generator | None = None) -> Float[Tensor, "point 3"]:
    """Draw points uniformly in the cube of `CUBE_SCALE` longest edges around the mesh's bounding box (metres)."""
    _check_count(count)
    lower, upper = surface.vertices.amin(0), surface.vertices.amax(0)
    random = torch.rand(count, 3, generator=generator, device=surface.device)
    return (lower + upper) / 2 + CUBE_SCALE * (upper - lower).max() * (random - 0.5)


def sample_near(
    surface: Surface, count: int, sigma: float, generator: torch.Generator | None = None
) -> Float[Tensor, "point 3"]:
    """Draw points uniformly by area on the outer surface and move each axis by normal noise of `sigma` metres."""
    _check_near(count, sigma)
    points = sample_outer_surface(surface, count, generator).points
    return points + sigma * torch.randn(count, 3, generator=generator, device=surface.device)


def sample_outer_surface(surface: Surface, count: int, generator: torch.Generator | None = None) -> SurfaceSamples:
    """Draw surface samples uniformly by area, leaving out parts buried in the body: mouth, eyes, skin under cloth.

    Raises InputError when hardly any of the surface is visible from outside.
    """
    _check_count(count)
    kept, drawn = [_outer(surface, 0, generator)], 0
    missing, share = count, 1.0
    while missing > 0:
        batch = math.ceil(1.1 * missing / share) + 256
        kept.append(_outer(surface, batch, generator))
        drawn += batch
        found = sum(len(samples.points) for samples in kept)
        missing, share = count - found, found / drawn
        if share < MIN_OUTER_SHARE:
            raise InputError(
                f"Only {100 * share:.1f} % of the mesh's surface is visible from outside; "
                "the rest lies within another part of it. Remove duplicate or enclosing parts from the mesh."
            )
    joined = (torch.cat(field)[:count] for field in zip(*map(_fields, kept), strict=True))
    return SurfaceSamples(*joined)


def blended_normals(
    surface: Surface, samples: SurfaceSamples, vertex_normals: Float[Tensor, "vertex 3"] | None = None
) -> Float[Tensor, "sample 3"]:
    """Unit vertex normals, the surface's own or given ones, blended at samples; the face's where they cancel out."""
    normals = surface.vertex_normals if vertex_normals is None else vertex_normals.to(surface.vertices)
    blended = surface.interpolate(normals, samples.face, samples.barycentric)
    length = blended.norm(dim=1, keepdim=True)
    return torch.where(length > 0.1, blended / length.clamp_min(1e-6), samples.normals)


def label_points(surface: Surface, points: Float[Tensor, "point 3"]) -> OccupancySamples:
    """Label points by the winding number, with the signed distance from the same query."""
    distance = surface.signed_distance(points)
    return OccupancySamples(points, distance.signbit(), distance)


def _outer(surface: Surface, count: int, generator: torch.Generator | None) -> SurfaceSamples:
    """Those of `count` samples that are not buried."""
    samples = surface.sample(count, generator)
    outer = ~surface.inside(samples.points + BURIED_PROBE * samples.normals)
    return SurfaceSamples(*(field[outer] for field in _fields(samples)))


def _fields(samples: SurfaceSamples) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return samples.points, samples.normals, samples.face, samples.barycentric


def _check_count(count: int) -> None:
    if count < 0:
        raise InputError(f"Cannot draw {count} points; ask for zero or more.")


def _check_near(count: int, sigma: float) -> None:
    _check_count(count)
    if not (math.isfinite(sigma) and sigma >= 0):
        raise InputError(f"A sigma of {sigma} m cannot be used for near-surface points; give a length such as 0.01.")
