"""Colours at a fine grid of places on each triangle, looked up by barycentric coordinates."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Texture:
    """Linear colour and gloss of each cell; a face of resolution r owns r * r cells from its first."""

    values: Float[Tensor, "cell 4"]
    first: Int[Tensor, "face"]
    resolution: Int[Tensor, "face"]

    def look_up(self, face: Int[Tensor, "point"], barycentric: Float[Tensor, "point 3"]) -> Float[Tensor, "point 4"]:
        """Colour and gloss at points on faces."""
        resolution = self.resolution[face]
        last = resolution - 1
        row = torch.minimum((barycentric[:, 0] * resolution).long().clamp_min(0), last)
        column = torch.minimum((barycentric[:, 1] * resolution).long().clamp_min(0), last)
        return self.values[self.first[face] + row * resolution + column]


@dataclass(frozen=True)
class Cells:
    """The places of all cells of a texture that is still to be painted."""

    face: Int[np.ndarray, "cell"]
    barycentric: Float[np.ndarray, "cell 3"]
    first: Int[np.ndarray, "face"]
    resolution: Int[np.ndarray, "face"]

    def at(
        self, values: Float[np.ndarray, "vertex channel"], faces: Int[np.ndarray, "face 3"]
    ) -> Float[np.ndarray, "cell channel"]:
        """Values given at the vertices, at each cell."""
        return np.einsum("kvc,kv->kc", values[faces[self.face]], self.barycentric)

    def painted(self, values: Float[np.ndarray, "cell 4"]) -> Texture:
        """The texture with these colours and gloss."""
        return Texture(
            torch.from_numpy(values).float(), torch.from_numpy(self.first), torch.from_numpy(self.resolution)
        )


def cells(resolution: Int[np.ndarray, "face"]) -> Cells:
    """Cells of faces with so many along each side."""
    counts = resolution**2
    first = np.cumsum(counts) - counts
    face = np.repeat(np.arange(len(resolution)), counts)
    within = np.arange(counts.sum()) - first[face]
    side = resolution[face]
    b0, b1 = (within // side + 0.5) / side, (within % side + 0.5) / side
    excess = np.maximum(b0 + b1 - 1, 0) / 2  # cells across the diagonal are met on it only
    b0, b1 = np.maximum(b0 - excess, 0), np.maximum(b1 - excess, 0)
    return Cells(face, np.stack([b0, b1, 1 - b0 - b1], axis=1), first, resolution)
