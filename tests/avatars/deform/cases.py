"""The free body as a deformation field, for the tests of the search."""

from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.deform.search import Bones, SearchOptions
from avatars.fields.grid import GridSpec
from avatars.fields.weights import GridWeights
from avatars.models.start import segment_tails, weights_off_surface
from body_models.skeleton import transform_points
from data_prep.surface import Surface
from tests.avatars.small_body import small_body

TIGHT = SearchOptions(steps=200, tolerance=1e-9)
"""Roots as exact as doubles can have them, for finite differences."""


@cache
def body_surface() -> Surface:
    """The body's surface in the canonical pose."""
    body = small_body()
    return Surface(body.canonical(), body.faces)


def body_weights(spacing: float = 0.05) -> GridWeights:
    """The body's skinning weights on a grid, an own copy for each caller."""
    surface, body = body_surface(), small_body()
    lower, upper = surface.vertices.amin(0) - 0.1, surface.vertices.amax(0) + 0.1
    spec = GridSpec.covering(lower, upper, spacing)
    field = GridWeights(spec, len(body.skeleton))
    field.start_from(_grown(spec))
    return field


@cache
def _grown(spec: GridSpec) -> Float[Tensor, "node bone"]:
    return weights_off_surface(body_surface(), small_body().skinning_weights, spec)


def body_bones() -> Bones:
    """The body's bones as segments in the canonical pose."""
    body = small_body()
    canonical = body.canonical_from_rest()
    heads = transform_points(canonical, body.joints)
    return Bones(heads, transform_points(canonical, segment_tails(body)), torch.arange(len(body.skeleton)))


def surface_points(count: int, frames: int, seed: int = 0) -> tuple[Float[Tensor, "point 3"], Int[Tensor, "point"]]:
    """Random canonical points of the surface and a frame for each."""
    generator = torch.Generator().manual_seed(seed)
    points = body_surface().sample(count, generator).points
    return points, torch.randint(frames, (count,), generator=generator)
