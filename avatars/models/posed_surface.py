"""A head's surface in several frames: what rays meet, and what they see there."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.deform.skinning import DeformationField, forward_skin
from avatars.fields.colour import ColourField
from avatars.fields.geometry import Geometry, Hint
from avatars.render import posed_normals

Points = Float[Tensor, "vertex 3"] | Float[Tensor, "frame vertex 3"]

STEPS = 3
"""Newton steps that bring the points of one frame's surface to another's."""
LONGEST = 0.01
"""No such step is longer than this (metres)."""


@runtime_checkable
class CanonicalHead(Protocol):
    """A canonical surface with colours. Hints are given, a row a point, where the geometry is conditioned."""

    @property
    def colour(self) -> ColourField:
        """The colours of its points."""
        ...

    def sdf(self, points: Float[Tensor, "point 3"], hint: Hint = None) -> Float[Tensor, "point"]:
        """Signed distance (metres, negative inside)."""
        ...

    def gradient(self, points: Float[Tensor, "point 3"], hint: Hint = None) -> Float[Tensor, "point 3"]:
        """Exact spatial gradient of `sdf`."""
        ...

    def surface(self, points: Float[Tensor, "point 3"], hint: Hint = None) -> tuple[Geometry, Float[Tensor, "point 3"]]:
        """Signed distance with feature, and the gradient that normals are made of."""
        ...


@dataclass(frozen=True)
class Shade:
    """What a picture shows of points on the surface."""

    gradient: Float[Tensor, "point 3"]
    """That of the signed distance in the surface's own space, smoothed over a cell on grids."""
    normals: Float[Tensor, "point 3"]
    """Unit, outward, in the world."""
    colours: Float[Tensor, "point 3"]
    """sRGB-coded, 0 to 1."""


@dataclass(frozen=True)
class PosedSurface:
    """A head's surface in several frames: an `avatars.render.SurfaceField` with colours.

    It lies in canonical space, from where `deformation` carries it into the world. Where the geometry is told of
    expression and pose (`hints`), it is another one in every frame.
    """

    model: CanonicalHead
    deformation: DeformationField
    condition: Float[Tensor, "frame condition"]
    hints: Float[Tensor, "frame width"] | None

    def canonical(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        """Canonical points of points in the space in which the surface lies: the same ones."""
        return points

    def sdf(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point"]:
        """Signed distance at canonical points (metres)."""
        return self.model.sdf(points, self._hint(frame))

    def sdf_gradient(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        """Its spatial gradient."""
        return self.model.gradient(points, self._hint(frame))

    def surface(
        self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]
    ) -> tuple[Geometry, Float[Tensor, "point 3"]]:
        """Signed distance with feature, and the gradient that normals are made of, differentiable."""
        return self.model.surface(points, self._hint(frame))

    def colours(
        self,
        points: Float[Tensor, "point 3"],
        normals: Float[Tensor, "point 3"],
        frame: Int[Tensor, "point"],
        feature: Float[Tensor, "point feature"],
    ) -> Float[Tensor, "point 3"]:
        """Colours (sRGB-coded, 0 to 1) at canonical points with posed unit normals and the geometry's features."""
        return self.model.colour(points, normals, self.condition[frame], feature)

    def shade(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Shade:
        """Normals and colours of points on the surface, differentiable by points, fields and condition."""
        geometry, gradient = self.surface(points, frame)
        known = _Known(self.model, self.deformation, self.condition, self.hints, gradient)
        normals = posed_normals(known, points, frame)
        colours = self.colours(self.canonical(points, frame), normals, frame, geometry.feature)
        return Shade(gradient, normals, colours)

    def region(self, box: Float[Tensor, "2 3"]) -> Float[Tensor, "2 3"]:
        """The box that holds the surface in its own space, from that of canonical space: the same one."""
        return box

    @torch.no_grad()
    def placed(self, vertices: Float[Tensor, "vertex 3"]) -> tuple[Points, Float[Tensor, "frame vertex 3"]]:
        """Points of the canonical surface (without hints): where they are in the surface's own space, for all frames
        or for each, and in the world."""
        own = self.own(vertices)
        return own, posed_points(own.expand(len(self.condition), -1, -1), self.deformation)

    @torch.no_grad()
    def own(self, vertices: Float[Tensor, "vertex 3"]) -> Points:
        """Points of the canonical surface, moved to every frame's where these differ."""
        return vertices if self.hints is None else self._towards(vertices.repeat(len(self.condition), 1, 1))

    def _towards(self, points: Float[Tensor, "frame vertex 3"]) -> Float[Tensor, "frame vertex 3"]:
        """Points near every frame's surface moved to it, against the gradients where they began."""
        frame = torch.arange(len(points), device=points.device).repeat_interleave(points.shape[1])
        near = points.flatten(0, 1)
        gradient = self.sdf_gradient(near, frame)
        move = gradient / gradient.square().sum(1, keepdim=True).clamp_min(0.25)
        for _ in range(STEPS):
            step = self.sdf(near, frame)[:, None] * move
            near = near - step / (step.norm(dim=1, keepdim=True) / LONGEST).clamp_min(1.0)
        return near.reshape(points.shape)

    def _hint(self, frame: Int[Tensor, "point"]) -> Hint:
        return None if self.hints is None else self.hints[frame]


@dataclass(frozen=True)
class _Known(PosedSurface):
    """The surface at points where its gradient is known already."""

    known: Float[Tensor, "point 3"]

    def sdf_gradient(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        return self.known


@torch.no_grad()
def posed_points(
    points: Float[Tensor, "frame vertex 3"], deformation: DeformationField
) -> Float[Tensor, "frame vertex 3"]:
    """Points of every frame's surface, carried into the world (metres)."""
    frame = torch.arange(len(points), device=points.device).repeat_interleave(points.shape[1])
    return forward_skin(deformation, points.flatten(0, 1), frame).reshape(points.shape)
