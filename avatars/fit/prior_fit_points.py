"""What scans tell a prior: points with signed distances, and the surface with its normals; whole scans and parts."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from avatars.fit.pools import TIGHT_SIGMA, PointPools
from data_prep.pockets import without_pockets
from data_prep.registration.partial import OPEN, openness
from data_prep.registration.register import scan_surface
from data_prep.sampling import blended_normals, sample_near, sample_outer_surface, sample_uniform
from data_prep.scans import Scan
from data_prep.surface import Surface, SurfaceSamples

NEAR_SHARE = 0.8
NEAR_SIGMA = 0.01
"""Spread of the points near the surface (metres)."""
DEEPEST = 0.015
"""Behind a surface whose other side is not seen, points this deep are inside still (metres)."""
FREE = 0.8
"""How far in front of a surface nothing is, as long as the scanner saw it (metres)."""
AIRY = 0.04
"""The same along the normals, where nobody knows from where the surface was seen (metres)."""
FACING = 0.2
"""Least cosine between a normal and the direction to the scanner."""


@dataclass(frozen=True)
class SeenScan:
    """A scan, and what is known of how it came about."""

    scan: Scan
    partial: bool = False
    """It shows a part of the person only."""
    eye: Float[Tensor, "3"] | None = None
    """Where the scanner stood, if that is known (metres)."""
    normals: Float[Tensor, "vertex 3"] | None = None
    """Measured unit normals at the vertices; the mesh's own otherwise."""


@dataclass(frozen=True)
class Evidence:
    """Posed points of every scan with their signed distances, and points on the surfaces with unit normals (metres)."""

    points: Float[Tensor, "scan point 3"]
    distances: Float[Tensor, "scan point"]
    surface: Float[Tensor, "scan sample 3"]
    normals: Float[Tensor, "scan sample 3"]

    def pools(self, edge: float) -> PointPools:
        """The points with labels that fade over `edge` metres."""
        return PointPools(self.points, torch.sigmoid(-self.distances / edge))

    def to(self, device: torch.device) -> "Evidence":
        """The same on a device."""
        return Evidence(*(value.to(device) for value in (self.points, self.distances, self.surface, self.normals)))


def gather(seen: Sequence[SeenScan], seed: int, pool: int, samples: int) -> Evidence:
    """Draw the points of every scan."""
    parts = []
    for number, one in enumerate(seen):
        surface, generator = scan_surface(one.scan), torch.Generator().manual_seed(seed + number)
        if one.partial:
            points, distances = partial_points(surface, one.eye, pool, generator)
            drawn = surface.sample(samples, generator)
        else:
            points, distances = whole_points(surface, pool, generator)
            drawn = sample_outer_surface(surface, samples, generator)
        parts.append((points, distances, drawn.points, blended_normals(surface, drawn, one.normals)))
    return Evidence(*(torch.stack(values) for values in zip(*parts, strict=True)))


def whole_points(
    surface: Surface, count: int, generator: torch.Generator
) -> tuple[Float[Tensor, "point 3"], Float[Tensor, "point"]]:
    """Points about a closed surface, and some all over the place, with signed distances (metres); pockets are full."""
    near = round(NEAR_SHARE * count)
    points = torch.cat(
        [
            sample_uniform(surface, count - near, generator),
            sample_near(surface, near - near // 2, NEAR_SIGMA, generator),
            sample_near(surface, near // 2, TIGHT_SIGMA, generator),
        ]
    )
    return points, without_pockets(surface).signed_distance(points)


def partial_points(
    surface: Surface, eye: Float[Tensor, "3"] | None, count: int, generator: torch.Generator
) -> tuple[Float[Tensor, "point 3"], Float[Tensor, "point"]]:
    """Points a little in front of and behind an open surface, and in the air before it, with distances (metres).

    Winding numbers say nothing of an open mesh, so its normals tell the sides apart. Points in the air lie between
    the surface and the scanner: at `eye`, or from where the mesh opens.
    """
    near = round(NEAR_SHARE * count)
    drawn = surface.sample(near, generator)
    spread = torch.where(torch.rand(near, generator=generator) < 0.5, NEAR_SIGMA, TIGHT_SIGMA)
    depth = (spread * torch.randn(near, generator=generator)).clamp_min(-DEEPEST)
    beside = drawn.points + depth[:, None] * drawn.normals
    air = _points_in_air(surface, eye, count - near, generator)
    points = torch.cat([beside, air])
    sides = torch.cat([depth.sign(), torch.ones(len(air))])
    return points, sides * surface.closest(points).distance


def _points_in_air(
    surface: Surface, eye: Float[Tensor, "3"] | None, count: int, generator: torch.Generator
) -> Float[Tensor, "point 3"]:
    drawn = surface.sample(count, generator)
    directions, farthest = _towards_scanner(surface, eye, drawn)
    facing = (directions * drawn.normals).sum(1) > FACING
    directions = torch.where(facing[:, None], directions, drawn.normals)
    farthest = torch.where(facing, farthest, torch.full_like(farthest, AIRY))
    starts = drawn.points + 2e-3 * drawn.normals
    free = torch.minimum(farthest, 0.5 * surface.cast(starts, directions).distance)  # half-way to what is in front
    return starts + (torch.rand(count, generator=generator) * free)[:, None] * directions


def _towards_scanner(
    surface: Surface, eye: Float[Tensor, "3"] | None, drawn: SurfaceSamples
) -> tuple[Float[Tensor, "sample 3"], Float[Tensor, "sample"]]:
    """Unit directions in which nothing stands before the surface, and how far."""
    if eye is not None:
        away = eye.to(drawn.points) - drawn.points
        return functional.normalize(away, dim=1), away.norm(dim=1).clamp_max(FREE)
    if openness(surface) < OPEN:
        return drawn.normals, torch.full_like(drawn.points[:, 0], AIRY)
    mean = (surface.face_areas[:, None] * surface.face_normals).sum(0)
    return functional.normalize(mean, dim=0).expand_as(drawn.points), torch.full_like(drawn.points[:, 0], FREE)
