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


def landmarks_at_vertices(indices: dict[str, int]) -> Landmarks:
    """Landmarks that sit on single vertices."""
    corners = torch.tensor(list(indices.values()), dtype=torch.long).reshape(-1, 1).expand(-1, 3).clone()
    weights = torch.tensor([[1.0, 0.0, 0.0]]).repeat(len(indices), 1)
    return Landmarks(tuple(indices), corners, weights)
