"""Canonical surfaces of many people, told apart by a shape code: grids with a small decoder (fast), gDNA's networks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import silu

from avatars.fields.eigen_volumes import EigenVolumes
from avatars.fields.encoding import FeatureGrids
from avatars.fields.generator import VolumeGenerator
from avatars.fields.mlp import Mlp, positional_encoding
from avatars.fields.patches import PatchedGrid
from avatars.fields.reading import read

RESIDUAL = 0.05
"""Metres that a unit of the decoder stands for."""
FADE = 0.05
"""Beyond the reach what the decoder says fades away within this distance (metres)."""
DIFFERENCE = 0.006
"""Half the distance over which a surface's slope is measured (metres)."""


@dataclass(frozen=True)
class PeopleShape:
    """What the shape codes of some people say, computed once for many points."""

    codes: Float[Tensor, "subject code"]
    tables: Float[Tensor, "row channel"]
    """Feature volumes, the rows of all people on end."""


@dataclass(frozen=True)
class Coarse:
    """The coarse surface at points: signed distance (metres, negative inside) and a feature for the details."""

    sdf: Float[Tensor, "point"]
    feature: Float[Tensor, "point feature"]


@runtime_checkable
class PeopleOccupancy(Protocol):
    """Signed distances to the surfaces of people in the space that is the same for all builds."""

    feature_size: int

    def shape(self, codes: Float[Tensor, "subject code"]) -> PeopleShape:
        """What the codes say, for `__call__`."""
        ...

    def __call__(self, points: Float[Tensor, "point 3"], subject: Int[Tensor, "point"], shape: PeopleShape) -> Coarse:
        """The surface of each point's person at canonical points (metres)."""
        ...


class GridPeopleOccupancy(nn.Module):
    """The mean person's signed distances on a grid, and a residual decoded from the code's feature volume.

    Begins at a given body for every code, since the decoder's last layer starts at zero. Nothing is far
    beyond `reach` of the mean person (metres).
    """

    rim: Tensor

    def __init__(
        self,
        base: PatchedGrid,
        volumes: EigenVolumes,
        features: FeatureGrids,
        reach: float,
        width: int,
        feature_size: int,
    ) -> None:
        super().__init__()
        self.base_grid, self.reach, self.feature_size = base, reach, feature_size
        self.base = nn.Parameter(torch.zeros(base.count, 1))
        self.volumes, self.grids = volumes, features
        self.first = nn.Linear(volumes.channels + features.size + 1, width)
        self.second = nn.Linear(width, width)
        self.last = nn.Linear(width, 1)
        self.feature = nn.Linear(width, feature_size)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def start_from(self, sdf: Float[Tensor, "node"]) -> None:
        """Begin at given signed distances (metres), one a node of the base grid."""
        with torch.no_grad():
            self.base.copy_(sdf[:, None])

    def shape(self, codes: Float[Tensor, "subject code"]) -> PeopleShape:
        """The feature volumes of codes."""
        return PeopleShape(codes, self.volumes.tables(codes))

    def forward(self, points: Float[Tensor, "point 3"], subject: Int[Tensor, "point"], shape: PeopleShape) -> Coarse:
        """The surface of each point's person at canonical points (metres)."""
        base = read(self.base, self.base_grid, points, mended=True)
        own = read(shape.tables, self.volumes.grid, points, frame=subject)
        near = torch.tanh(base / RESIDUAL)  # far from the body a distance tells the decoder no more
        hidden = silu(self.second(silu(self.first(torch.cat([own, self.grids(points), near], 1)))))
        fading = (1 - (base - self.reach) / FADE).clamp(0, 1)
        return Coarse((base + RESIDUAL * fading * self.last(hidden))[:, 0], self.feature(hidden))


class MlpPeopleOccupancy(nn.Module):
    """gDNA's: convolutions make a feature volume of the code, 4 layers of 256 an occupancy of feature and point.

    The network's logit over its slope stands for a distance (metres); points are seen in metres from `centre`.
    """

    centre: Tensor

    def __init__(
        self, volumes: VolumeGenerator, centre: Float[Tensor, "3"], edge: float, width: int, depth: int, octaves: int
    ) -> None:
        super().__init__()
        self.volumes, self.octaves, self.edge = volumes, octaves, edge
        self.feature_size = width
        self.register_buffer("centre", centre.clone())
        inputs = 3 + 6 * octaves
        self.mlp = Mlp(inputs + volumes.channels, width, width, depth - 1, geometric=False)
        self.last = nn.Linear(width, 1)

    def shape(self, codes: Float[Tensor, "subject code"]) -> PeopleShape:
        """The feature volumes of codes."""
        return PeopleShape(codes, self.volumes.tables(codes))

    def forward(self, points: Float[Tensor, "point 3"], subject: Int[Tensor, "point"], shape: PeopleShape) -> Coarse:
        """The surface of each point's person at canonical points (metres)."""
        own = read(shape.tables, self.volumes.grid, points, frame=subject)
        encoded = positional_encoding(points - self.centre, self.octaves)
        hidden = nn.functional.softplus(self.mlp(torch.cat([encoded, own], 1)), beta=100)
        return Coarse(-self.edge * self.last(hidden)[:, 0], hidden)


@torch.no_grad()
def coarse_normals(
    sdf: Callable[[Float[Tensor, "point 3"], Int[Tensor, "point"]], Float[Tensor, "point"]],
    points: Float[Tensor, "point 3"],
    subject: Int[Tensor, "point"],
) -> Float[Tensor, "point 3"]:
    """Unit gradients of signed distances by differences over a centimetre, which pass smoothly between cells."""
    steps = DIFFERENCE * torch.cat([torch.eye(3), -torch.eye(3)]).to(points)
    places = (points[:, None] + steps).flatten(0, 1)
    values = sdf(places, subject.repeat_interleave(6)).unflatten(0, (-1, 6))
    return nn.functional.normalize(values[:, :3] - values[:, 3:], dim=1)
