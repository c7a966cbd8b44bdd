"""Named points of a surface that move with it."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Landmarks:
    """Named points, each the weighted mean of three vertices (barycentric on a triangle)."""

    names: tuple[str, ...]
    corners: Int[Tensor, "landmark 3"]
    """Vertex indices."""
    weights: Float[Tensor, "landmark 3"]

    def __len__(self) -> int:
        return len(self.names)

    def on(self, vertices: Float[Tensor, "*batch vertex 3"]) -> Float[Tensor, "*batch landmark 3"]:
        """Where the points are on a shaped or posed surface."""
        return (vertices[..., self.corners, :] * self.weights[..., None]).sum(-2)

    def to(self, target: torch.device | str | torch.dtype) -> "Landmarks":
        """The same landmarks on a device or in a precision."""
        corners = self.corners if isinstance(target, torch.dtype) else self.corners.to(target)
        return replace(self, corners=corners, weights=self.weights.to(target))


@dataclass(frozen=True)
class ContourLandmarks:
    """Points of the face's outline, which slide over the surface as the head turns away from the camera (+Z).

    A table holds where they are for each whole degree of yaw: 0 to 39 in its first 40 steps, -1 to -39 in the others.
    """

    names: tuple[str, ...]
    corners: Int[Tensor, "step landmark 3"]
    """Vertex indices."""
    weights: Float[Tensor, "step landmark 3"]
    joint: int
    """The joint whose yaw counts: the neck."""

    def __len__(self) -> int:
        return len(self.names)

    def on(
        self, vertices: Float[Tensor, "*batch vertex 3"], posed_from_rest: Float[Tensor, "*batch bone 4 4"]
    ) -> Float[Tensor, "*batch landmark 3"]:
        """Where the points are on a posed surface, given the bones' transforms that posed it."""
        step = self.step(posed_from_rest[..., self.joint, :3, :3])
        corners, weights = self.corners[step], self.weights[step]
        index = corners.flatten(-2)[..., None].expand(*corners.shape[:-2], -1, 3)
        points = vertices.gather(-2, index).unflatten(-2, (-1, 3))
        return (points * weights[..., None]).sum(-2)

    def step(self, rotation: Float[Tensor, "*batch 3 3"]) -> Int[Tensor, "*batch"]:
        """Row of the table for the neck's rotation from rest; yaw beyond its ends takes the last row of the side."""
        across = rotation[..., :2, 0].norm(dim=-1)
        degrees = torch.rad2deg(torch.atan2(rotation[..., 2, 0], across)).detach()
        last = (len(self.corners) - 1) // 2
        turn = degrees.clamp(-last, last).round().long()
        return torch.where(turn < 0, last - turn, turn)

    def to(self, target: torch.device | str | torch.dtype) -> "ContourLandmarks":
        """The same landmarks on a device or in a precision."""
        corners = self.corners if isinstance(target, torch.dtype) else self.corners.to(target)
        return replace(self, corners=corners, weights=self.weights.to(target))


def landmarks_at_vertices(indices: dict[str, int]) -> Landmarks:
    """Landmarks that sit on single vertices."""
    corners = torch.tensor(list(indices.values()), dtype=torch.long).reshape(-1, 1).expand(-1, 3).clone()
    weights = torch.tensor([[1.0, 0.0, 0.0]]).repeat(len(indices), 1)
    return Landmarks(tuple(indices), corners, weights)
