"""The surface of a head as a mesh: with weights and blendshapes of its own, posed in milliseconds, or of one frame."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.meshing import extract_surface
from avatars.models.imavatar import Imavatar
from avatars.models.posed_surface import PosedSurface, posed_points
from body_models.prepared import Prepared
from body_models.skinning import deform

POINTS_AT_ONCE = 60_000


@dataclass(frozen=True)
class HeadProxy:
    """Triangles near the zero level in canonical space (metres), wound outward, closed at the walls of the box."""

    vertices: Float[Tensor, "vertex 3"]
    faces: Int[Tensor, "face 3"]
    weights: Float[Tensor, "vertex bone"]
    basis: Float[Tensor, "coefficient vertex 3"]
    """Displacement by each expression and pose corrective."""
    features: Float[Tensor, "vertex feature"]
    """What the geometry tells the colour at each vertex."""

    @property
    def own(self) -> Float[Tensor, "vertex 3"]:
        """The vertices in the space in which the surface is looked for: canonical space."""
        return self.vertices

    @cached_property
    def _prepared(self) -> Prepared:
        return Prepared(self.weights, self.basis)

    @torch.no_grad()
    def posed(
        self, transforms: Float[Tensor, "frame bone 4 4"], coefficients: Float[Tensor, "frame coefficient"]
    ) -> Float[Tensor, "frame vertex 3"]:
        """The vertices in some frames, by `Imavatar.transforms` and `Imavatar.coefficients` (metres)."""
        return deform(self.vertices, [(coefficients, self.basis)], self.weights, transforms, self._prepared)


@dataclass(frozen=True)
class FrameMesh:
    """Triangles near the surface in one frame, for heads whose surface no skinned mesh gives (metres)."""

    vertices: Float[Tensor, "vertex 3"]
    """Canonical points, of which the colour is told."""
    faces: Int[Tensor, "face 3"]
    features: Float[Tensor, "vertex feature"]
    """What the geometry tells the colour at each vertex."""
    own: Float[Tensor, "vertex 3"]
    """The vertices in the space in which the surface lies before its deformation."""
    posed: Float[Tensor, "vertex 3"]
    """The vertices in the world."""


@torch.no_grad()
def frame_mesh(model: Imavatar, surface: PosedSurface, resolution: int = 128) -> FrameMesh:
    """Mesh a surface that is posed in a single frame; at least `resolution` cells along its box's longest edge.

    Raises InputError for a field without a surface.
    """

    def inside(points: Float[Tensor, "point 3"]) -> Float[Tensor, "point"]:
        return -surface.sdf(points, _first_frame(points))

    low, high = surface.region(model.box)
    mesh = extract_surface(inside, low, high, resolution=resolution, keep_largest=True)
    chunks = [(some, _first_frame(some)) for some in mesh.vertices.split(POINTS_AT_ONCE)]
    canonical = torch.cat([surface.canonical(*chunk) for chunk in chunks])
    features = torch.cat([surface.surface(*chunk)[0].feature for chunk in chunks])
    posed = posed_points(mesh.vertices[None], surface.deformation)[0]
    return FrameMesh(canonical, mesh.faces, features, mesh.vertices, posed)


def _first_frame(points: Float[Tensor, "point 3"]) -> Int[Tensor, "point"]:
    return torch.zeros_like(points[:, 0], dtype=torch.long)


@torch.no_grad()
def head_proxy(model: Imavatar, resolution: int = 128) -> HeadProxy:
    """Mesh the zero level of the canonical signed distance; at least `resolution` cells along the box's longest edge.

    Raises InputError for a field without a surface.
    """
    mesh = extract_surface(
        lambda points: -model.sdf(points), model.box[0], model.box[1], resolution=resolution, keep_largest=True
    )
    chunks = mesh.vertices.split(POINTS_AT_ONCE)
    weights = torch.cat([model.weights(some) for some in chunks])
    basis = torch.cat([model.offsets(some) for some in chunks])
    features = torch.cat([model.geometry(some).feature for some in chunks])
    return HeadProxy(mesh.vertices, mesh.faces, weights, basis.transpose(0, 1).contiguous(), features)
