"""Skinning weights and blendshapes of a full mesh on the vertices of a lighter one."""

from jaxtyping import Float
from torch import Tensor

from avatars.export.rig.source import Source
from data_prep.surface import Surface


def transferred(
    source: Source, vertices: Float[Tensor, "vertex 3"]
) -> tuple[Float[Tensor, "vertex bone"], Float[Tensor, "morph vertex 3"]]:
    """Weights of all bones and displacements of all morphs at the points of the source nearest to some vertices."""
    surface = Surface(source.vertices, source.faces)
    nearest = surface.closest(vertices)
    weights = surface.interpolate(source.weights, nearest.face, nearest.barycentric)
    corners = source.basis[:, source.faces[nearest.face]]
    basis = (corners * nearest.barycentric[..., None]).sum(2)
    return weights / weights.sum(1, keepdim=True), basis
