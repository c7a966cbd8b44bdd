"""Colours of vertices that tell something: skinning weights and normals (linear, 0 to 1)."""

import colorsys

import torch
from jaxtyping import Float, Int
from torch import Tensor

from data_prep.pictures.mesh import srgb_to_linear

_HEAT = ((0.88, 0.88, 0.90), (0.99, 0.86, 0.45), (0.96, 0.52, 0.24), (0.75, 0.12, 0.25))
"""From no weight to all of it (sRGB)."""
_GOLDEN = 0.618034


def dense_weights(
    bones: Int[Tensor, "vertex influence"], weights: Float[Tensor, "vertex influence"], count: int
) -> Float[Tensor, "vertex bone"]:
    """A column of weights a bone."""
    return weights.new_zeros(len(weights), count).scatter_add(1, bones, weights)


def heat(weight: Float[Tensor, "vertex"]) -> Float[Tensor, "vertex 3"]:
    """Grey where a weight is 0, over yellow, to red where it is 1."""
    stops = srgb_to_linear(weight.new_tensor(_HEAT))
    place = weight.clamp(0, 1) * (len(stops) - 1)
    lower = place.floor().clamp(max=len(stops) - 2).long()
    return torch.lerp(stops[lower], stops[lower + 1], (place - lower)[:, None])


def palette(count: int) -> Float[Tensor, "colour 3"]:
    """As many different colours, neighbours far apart in hue."""
    coded = [colorsys.hls_to_rgb((0.05 + number * _GOLDEN) % 1, 0.52 + 0.12 * (number % 3 - 1), 0.62)
             for number in range(count)]  # fmt: skip
    return srgb_to_linear(torch.tensor(coded).reshape(count, 3))


def blended(weights: Float[Tensor, "vertex bone"]) -> Float[Tensor, "vertex 3"]:
    """Every bone's colour, mixed by its weights."""
    return weights @ palette(weights.shape[1]).to(weights)


def normal_colours(normals: Float[Tensor, "vertex 3"]) -> Float[Tensor, "vertex 3"]:
    """Normals as pictures of them are coded: x to red, y to green, z to blue."""
    return srgb_to_linear((0.5 * normals + 0.5).clamp(0, 1))


def vertex_normals(vertices: Float[Tensor, "vertex 3"], faces: Int[Tensor, "face 3"]) -> Float[Tensor, "vertex 3"]:
    """Unit mean of the adjacent triangles' normals, weighted by area."""
    first, second, third = vertices[faces].unbind(1)
    crosses = torch.linalg.cross(second - first, third - first)
    total = torch.zeros_like(vertices)
    for corner in faces.unbind(1):
        total.index_add_(0, corner, crosses)
    return torch.nn.functional.normalize(total, dim=1)
