"""The canonical surface of a head as a mesh that carries its own weights and blendshapes: posed in milliseconds."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.meshing import extract_surface
from avatars.models.imavatar import Imavatar
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

    @cached_property
    def _prepared(self) -> Prepared:
        return Prepared(self.weights, self.basis)

    @torch.no_grad()
    def posed(
        self, transforms: Float[Tensor, "frame bone 4 4"], coefficients: Float[Tensor, "frame coefficient"]
    ) -> Float[Tensor, "frame vertex 3"]:
        """The vertices in some frames, by `Imavatar.transforms` and `Imavatar.coefficients` (metres)."""
        return deform(self.vertices, [(coefficients, self.basis)], self.weights, transforms, self._prepared)


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
