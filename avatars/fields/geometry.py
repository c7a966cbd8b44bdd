"""Canonical signed-distance fields with features for the colour: grids with a small decoder (fast), IMavatar's MLP."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from avatars.fields.encoding import FeatureGrids, with_smooth_slopes
from avatars.fields.grid import GridSpec, interpolate
from avatars.fields.mlp import Mlp, positional_encoding
from avatars.fields.patches import PatchedGrid
from avatars.fields.reading import read, read_with_slopes
from body_models.errors import InputError

Hint = Float[Tensor, "point width"] | None
"""What a conditioned field is told at each point."""
RESIDUAL = 0.01
"""Metres that a unit of a conditioned field's decoder stands for."""


@dataclass(frozen=True)
class Geometry:
    """What a geometry field says at points: signed distance (metres, negative inside) and a feature for the colour."""

    sdf: Float[Tensor, "point"]
    feature: Float[Tensor, "point feature"]


@runtime_checkable
class GeometryField(Protocol):
    """A canonical signed-distance field with features."""

    def __call__(self, points: Float[Tensor, "point 3"]) -> Geometry:
        """Signed distance and feature at canonical points (metres)."""
        ...

    def sdf(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point"]:
        """Signed distance alone (metres)."""
        ...

    def gradient(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"]:
        """Spatial gradient of the signed distance, itself differentiable."""
        ...

    def with_gradient(self, points: Float[Tensor, "point 3"]) -> tuple[Geometry, Float[Tensor, "point 3"]]:
        """Both, at the price of little more than one; the gradient is the one that normals are made of."""
        ...


class GridGeometry(nn.Module):
    """A grid of signed distances, and features decoded from feature grids.

    A field with a `condition` adds a residual that the decoder tells from features and condition; it starts at zero.
    Without one there is no residual: it would only repeat what the grid can say, and move all of space at once. With
    `smooth` the normals' gradient takes the base's slopes over half a spacing to either side, which pass from
    cell to cell without a jump. A field with a `condition` changes with that many numbers: `hints` makes of them what
    its decoder is given, a row a point; no hint stands for a condition of zeros. Raises InputError for sizes below one
    or a field without feature grids.
    """

    rim: Tensor
    rim_corners: Tensor
    rim_weights: Tensor

    def __init__(
        self,
        base: PatchedGrid,
        features: list[tuple[GridSpec, int]],
        width: int = 32,
        feature_size: int = 16,
        smooth: bool = True,
        condition: int = 0,
    ) -> None:
        super().__init__()
        if min(width, feature_size, len(features)) < 1:
            raise InputError(
                f"Grid geometry needs a width, a feature size and feature grids of at least one, "
                f"not {width}, {feature_size} and {len(features)}."
            )
        self.base_grid, self.smooth, self.feature_size = base, smooth, feature_size
        self.base = nn.Parameter(torch.zeros(base.count, 1))
        for name, value in zip(("rim", "rim_corners", "rim_weights"), base.rim(), strict=True):
            self.register_buffer(name, value, persistent=False)
        self.grids = FeatureGrids(features)
        self.first, self.second = nn.Linear(self.grids.size, width), nn.Linear(width, width)
        self.feature = nn.Linear(width, feature_size)
        self.told = nn.Linear(condition, width, bias=False) if condition else None
        self.residual = nn.Linear(width, 1) if condition else None
        if self.residual is not None:
            nn.init.zeros_(self.residual.weight)
            nn.init.zeros_(self.residual.bias)

    def hints(self, condition: Float[Tensor, "frame condition"]) -> Float[Tensor, "frame width"]:
        """What the decoder is told of conditions; only for fields that have one."""
        assert self.told is not None
        hints: Tensor = self.told(condition)
        return hints

    def start_from(self, sdf: Float[Tensor, "node"]) -> None:
        """Begin at given signed distances (metres), one a node of the base grid."""
        with torch.no_grad():
            self.base.copy_(sdf[:, None])

    def at_nodes(self) -> Float[Tensor, "node 1"]:
        """The base at its grid's nodes (metres), continuous across the rims of patches."""
        if len(self.rim) == 0:
            return self.base
        rim = interpolate(self.base, self.rim_corners, self.rim_weights.to(self.base))
        return self.base.index_copy(0, self.rim, rim)

    def sdf(self, points: Float[Tensor, "point 3"], hint: Hint = None) -> Float[Tensor, "point"]:
        """Signed distance at canonical points (metres), without the feature."""
        if self.residual is not None:
            return self(points, hint).sdf
        return read(self.base, self.base_grid, points, mended=True)[:, 0]

    def forward(self, points: Float[Tensor, "point 3"], hint: Hint = None) -> Geometry:
        """Signed distance and feature at canonical points (metres)."""
        values = read(self.base, self.base_grid, points, mended=True)
        hidden = silu(self.second(silu(self._first(self.grids(points), hint))))
        if self.residual is not None:
            values = values + RESIDUAL * self.residual(hidden)
        return Geometry(values[:, 0], self.feature(hidden))

    def gradient(self, points: Float[Tensor, "point 3"], hint: Hint = None) -> Float[Tensor, "point 3"]:
        """The exact derivative of `sdf` by the points, itself differentiable."""
        if self.residual is not None:
            return self._with_residual(points, False, hint)[1]
        return self._base(points, smooth=False)[1]

    def with_gradient(
        self, points: Float[Tensor, "point 3"], hint: Hint = None
    ) -> tuple[Geometry, Float[Tensor, "point 3"]]:
        """Geometry and the gradient that normals are made of: smoothed, where the field was made so."""
        if self.residual is not None:
            return self._with_residual(points, self.smooth, hint)
        values, slope = self._base(points, self.smooth)
        hidden = silu(self.second(silu(self.first(self.grids(points)))))
        return Geometry(values, self.feature(hidden)), slope

    def _base(
        self, points: Float[Tensor, "point 3"], smooth: bool
    ) -> tuple[Float[Tensor, "point"], Float[Tensor, "point 3"]]:
        if smooth:
            values, slopes = with_smooth_slopes(self.base_grid, self.base, points, mended=True)
        else:
            values, slopes = read_with_slopes(self.base, self.base_grid, points, mended=True)
        return values[:, 0], slopes[:, :, 0]

    def _first(self, features: Float[Tensor, "point input"], hint: Hint) -> Float[Tensor, "point width"]:
        one: Tensor = self.first(features)
        return one if hint is None else one + hint

    def _with_residual(
        self, points: Float[Tensor, "point 3"], smooth: bool, hint: Hint
    ) -> tuple[Geometry, Float[Tensor, "point 3"]]:
        assert self.residual is not None
        values, slope = self._base(points, smooth)
        features, feature_slopes = self.grids.with_slopes(points)
        # The chain rule written out: autograd would have to walk the decoder twice more to differentiate it again.
        one = self._first(features, hint)
        two = self.second(silu(one))
        hidden = silu(two)
        back = linear(self.residual.weight * _silu_slope(two), self.second.weight.T) * _silu_slope(one)
        by_features = linear(back, self.first.weight.T)
        geometry = Geometry(values + RESIDUAL * self.residual(hidden)[:, 0], self.feature(hidden))
        return geometry, slope + RESIDUAL * (feature_slopes @ by_features[:, :, None])[:, :, 0]


def _silu_slope(values: Float[Tensor, "point width"]) -> Float[Tensor, "point width"]:
    gate = torch.sigmoid(values)
    return gate * (1 + values * (1 - gate))


class MlpGeometry(nn.Module):
    """IMavatar's geometry network: 8 layers of 512, a skip, positional encoding; starts as a sphere.

    The network sees (x - centre) * scale; its sphere of radius 0.42 is then one of 10 cm about the centre (metres).
    Raises InputError for a scale that is not positive.
    """

    centre: Tensor

    def __init__(
        self,
        centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
        scale: float = 4.0,
        width: int = 512,
        depth: int = 8,
        octaves: int = 6,
        feature_size: int = 256,
    ) -> None:
        super().__init__()
        if not scale > 0:
            raise InputError(f"The scale of a geometry network must be positive, not {scale}.")
        self.scale, self.octaves, self.feature_size = scale, octaves, feature_size
        self.register_buffer("centre", torch.tensor(centre))
        size = 1 + feature_size
        self.mlp = Mlp(3 + 6 * octaves, size, width, depth, skip=depth // 2, geometric=True, centre=-0.6)

    def forward(self, points: Float[Tensor, "point 3"]) -> Geometry:
        """Signed distance and feature at canonical points (metres)."""
        values = self.mlp(positional_encoding((points - self.centre) * self.scale, self.octaves))
        return Geometry(values[:, 0] / self.scale, values[:, 1:])

    def sdf(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point"]:
        """Signed distance at canonical points (metres)."""
        return self(points).sdf

    def gradient(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"]:
        """The derivative of `sdf` by the points, itself differentiable."""
        return self.with_gradient(points)[1]

    def with_gradient(self, points: Float[Tensor, "point 3"]) -> tuple[Geometry, Float[Tensor, "point 3"]]:
        """Geometry and the gradient of its signed distance; without a graph where gradients are off."""
        wanted = torch.is_grad_enabled()
        with torch.enable_grad():
            points = points if wanted and points.requires_grad else points.detach().requires_grad_()
            geometry = self(points)
            (gradient,) = torch.autograd.grad(geometry.sdf.sum(), points, create_graph=wanted, retain_graph=wanted)
        if wanted:
            return geometry, gradient
        return Geometry(geometry.sdf.detach(), geometry.feature.detach()), gradient
