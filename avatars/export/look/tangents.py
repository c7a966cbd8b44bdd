"""Tangent frames of a mesh with texture coordinates, as glTF wants them."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize


@dataclass(frozen=True)
class TangentMesh:
    """A mesh cut once more, where texture coordinates change their handedness."""

    index: Int[Tensor, "cut"]
    """The given vertex that each vertex is."""
    faces: Int[Tensor, "face 3"]
    tangents: Float[Tensor, "cut 4"]
    """Unit, along growing u and square to the normal; the last number is the sign in `bitangents`."""


def with_tangents(
    vertices: Float[Tensor, "vertex 3"],
    normals: Float[Tensor, "vertex 3"],
    uv: Float[Tensor, "vertex 2"],
    faces: Int[Tensor, "face 3"],
) -> TangentMesh:
    """Mean tangents of the triangles about each vertex, weighted by their angles there (after Mikkelsen, 2008)."""
    along, sign = _face_tangents(vertices[faces], uv[faces])
    index, faces = _parted(faces, sign < 0, len(vertices))
    weighted = along[:, None] * _angles(vertices[index][faces])[..., None]
    total = torch.zeros_like(vertices[index]).index_add_(0, faces.reshape(-1), weighted.reshape(-1, 3))
    tangents = _square_to(total, normals[index])
    signs = torch.ones_like(tangents[:, :1])
    signs[faces[sign < 0]] = -1.0
    return TangentMesh(index, faces, torch.cat([tangents, signs], 1))


def bitangents(normals: Float[Tensor, "vertex 3"], tangents: Float[Tensor, "vertex 4"]) -> Float[Tensor, "vertex 3"]:
    """Up in the picture, which is where v becomes less: the green of a normal map (glTF 2.0, 3.7.2.1 and 3.9.3)."""
    return torch.linalg.cross(normals, tangents[:, :3]) * tangents[:, 3:]


def _face_tangents(
    corners: Float[Tensor, "face 3 3"], uv: Float[Tensor, "face 3 2"]
) -> tuple[Float[Tensor, "face 3"], Float[Tensor, "face"]]:
    """Unit direction of growing u, and 1 or -1 for triangles that the picture shows as they are or mirrored."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    right, down = (uv[:, 1:] - uv[:, :1]).unbind(2)
    turning = right[:, 1] * down[:, 0] - right[:, 0] * down[:, 1]
    along = first * -down[:, 1:] + second * down[:, :1]
    return normalize(along * turning[:, None].sign(), dim=1), turning.sign()


def _angles(corners: Float[Tensor, "face 3 3"]) -> Float[Tensor, "face 3"]:
    """Angle of a triangle at each of its corners (radians)."""
    forward = corners.roll(-1, 1) - corners
    backward = corners.roll(1, 1) - corners
    return torch.atan2(torch.linalg.cross(forward, backward).norm(dim=2), (forward * backward).sum(2))


def _parted(
    faces: Int[Tensor, "face 3"], mirrored: Tensor, count: int
) -> tuple[Int[Tensor, "cut"], Int[Tensor, "face 3"]]:
    """Vertices of mirrored and of other triangles become two."""
    own, other = faces.new_zeros(count, dtype=torch.bool), faces.new_zeros(count, dtype=torch.bool)
    own[faces[~mirrored]] = True
    other[faces[mirrored]] = True
    both = (own & other).nonzero()[:, 0]
    twin = torch.arange(count, device=faces.device)
    twin[both] = count + torch.arange(len(both), device=faces.device)
    index = torch.cat([torch.arange(count, device=faces.device), both])
    return index, torch.where(mirrored[:, None], twin[faces], faces)


def _square_to(vectors: Float[Tensor, "vertex 3"], normals: Float[Tensor, "vertex 3"]) -> Float[Tensor, "vertex 3"]:
    """The vectors' part square to the normals, unit; any such direction where nothing is left."""
    flat = vectors - normals * (vectors * normals).sum(1, keepdim=True)
    axis = torch.eye(3).to(normals)[normals.abs().argmin(1)]
    spare = torch.linalg.cross(normals, axis)
    lost = flat.norm(dim=1, keepdim=True) < 1e-6
    return normalize(torch.where(lost, spare, flat), dim=1)
