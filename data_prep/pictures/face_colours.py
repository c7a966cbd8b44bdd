"""Colours on a mesh that are finer than its vertices: a small triangular grid of them on every face."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

MOST_DIVISIONS = 8


@dataclass(frozen=True)
class FaceColours:
    """Linear colours at the corners of the `divisions`^2 equal triangles that each face is divided into."""

    divisions: int
    values: Float[Tensor, "face sample 3"]

    def at(self, face: Int[Tensor, "point"], barycentric: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"]:
        """Linear colours at points of faces, linear within each small triangle."""
        scaled = barycentric.clamp(0, 1) * self.divisions
        whole = scaled.floor().long()
        corner = whole.sum(1) >= self.divisions  # at a corner of a small triangle: one step back along the longest way
        whole = whole - corner[:, None] * torch.nn.functional.one_hot(scaled.argmax(1), 3)
        part = (scaled - whole).clamp(0, 1)
        upright = (whole.sum(1) == self.divisions - 1)[:, None]
        step = torch.eye(3, dtype=torch.long, device=face.device)
        weights = torch.where(upright, part, 1 - part)
        total = torch.zeros_like(scaled)
        for axis in range(3):
            node = whole + torch.where(upright, step[axis], 1 - step[axis])
            total += weights[:, axis, None] * self.values[face, _number(node, self.divisions)]
        return total / weights.sum(1, keepdim=True).clamp_min(1e-6)

    def to(self, device: torch.device) -> "FaceColours":
        """The same colours on a device."""
        return FaceColours(self.divisions, self.values.to(device))


def face_colours(
    vertices: Float[Tensor, "vertex 3"],
    faces: Int[Tensor, "face 3"],
    colours_of: Callable[[Float[Tensor, "point 3"]], Float[Tensor, "point 3"]],
    spacing: float,
) -> FaceColours:
    """Colours of a mesh, asked for at points about `spacing` (metres) apart on its faces."""
    corners = vertices[faces]
    edge = float((corners - corners.roll(1, 1)).norm(dim=-1).mean())
    divisions = min(max(round(edge / spacing), 1), MOST_DIVISIONS)
    share = torch.tensor(_nodes(divisions)).to(vertices) / divisions
    points = torch.einsum("sk,fkc->fsc", share, corners)
    return FaceColours(divisions, colours_of(points.flatten(0, 1)).reshape(points.shape))


def _nodes(divisions: int) -> list[tuple[int, int, int]]:
    return [(i, j, divisions - i - j) for i in range(divisions + 1) for j in range(divisions + 1 - i)]


def _number(node: Int[Tensor, "point 3"], divisions: int) -> Int[Tensor, "point"]:
    """Where a node stands in the order of `_nodes`; nodes beyond a face, which weigh nothing, are any of its own."""
    first = node[:, 0].clamp(0, divisions)
    second = torch.minimum(node[:, 1].clamp_min(0), divisions - first)
    return first * (2 * divisions + 3 - first) // 2 + second
