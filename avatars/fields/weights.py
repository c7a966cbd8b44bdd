"""Skinning-weight fields: a grid of logits (fast) and an MLP (the publication's)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avatars.fields.affine import apply_affine, blend_bones
from avatars.fields.grid import GridSpec, interpolate
from avatars.fields.mlp import Mlp

SHARPNESS = 20.0
"""Factor on logits before the softmax (SNARF's soft blend)."""


class GridWeights(nn.Module):
    """Skinning weights as logits on a grid, softmaxed at its nodes, interpolated between them (Fast-SNARF's voxels)."""

    def __init__(self, spec: GridSpec, bones: int) -> None:
        super().__init__()
        self.spec = spec
        self.logits = nn.Parameter(torch.zeros(spec.count, bones))

    def start_from(self, weights: Float[Tensor, "node bone"]) -> None:
        """Begin at given weights, one row a node."""
        with torch.no_grad():
            self.logits.copy_(weights.clamp_min(1e-4).log() / SHARPNESS)

    def at_nodes(self) -> Float[Tensor, "node bone"]:
        """Weights at the grid's nodes."""
        return torch.softmax(SHARPNESS * self.logits, dim=1)

    def forward(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point bone"]:
        """Weights at canonical points (metres)."""
        index, corner_weights = self.spec.corners(points)
        return interpolate(self.at_nodes(), index, corner_weights)


class GridSkinning:
    """Forward skinning whose bones are blended at the grid's nodes once for each frame, then interpolated.

    Interpolating blended transforms equals blending interpolated weights (both are linear), and costs 12 channels
    instead of one a bone. Source: Fast-SNARF, section 3.2. Where a gradient is wanted, the few points that need it go
    through the weights instead, which spares the gradient of the whole table.
    """

    def __init__(self, weights: GridWeights, posed_from_canonical: Float[Tensor, "frame bone 4 4"]) -> None:
        self.weights, self.spec = weights, weights.spec
        self.posed_from_canonical = posed_from_canonical
        self.node_weights = weights.at_nodes()
        bones = posed_from_canonical[:, :, :3].flatten(2).detach()
        by_node = self.node_weights.detach() @ bones.transpose(0, 1).flatten(1)  # node (frame 12)
        self.table = by_node.reshape(-1, 12)  # row: node * frames + frame

    def blend(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3 4"]:
        """The blended transform at canonical points, each in the pose of its frame."""
        index, corner_weights = self.spec.corners(points)
        if torch.is_grad_enabled():
            return blend_bones(interpolate(self.node_weights, index, corner_weights), self.posed_from_canonical, frame)
        return interpolate(self.table, self._rows(index, frame), corner_weights).unflatten(1, (3, 4))

    @torch.no_grad()
    def jacobian(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3 3"]:
        """Exact spatial Jacobian of the deformation, a constant to gradients."""
        index, corner_weights, slopes = self.spec.corner_slopes(points)
        rows = self._rows(index, frame)
        columns = []
        for axis in range(3):
            change = interpolate(self.table, rows, slopes[:, axis].contiguous()).unflatten(1, (3, 4))
            columns.append(apply_affine(change, points))
        return torch.stack(columns, 2) + interpolate(self.table, rows, corner_weights).unflatten(1, (3, 4))[..., :3]

    def _rows(self, index: Int[Tensor, "point 8"], frame: Int[Tensor, "point"]) -> Int[Tensor, "point 8"]:
        return index * len(self.posed_from_canonical) + frame[:, None]


class MlpWeights(nn.Module):
    """Skinning weights by an MLP and a softmax (SNARF's field: 4 layers of 128)."""

    def __init__(self, bones: int, width: int = 128, depth: int = 4) -> None:
        super().__init__()
        self.mlp = Mlp(3, bones, width, depth)

    def forward(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point bone"]:
        """Weights at canonical points (metres)."""
        return torch.softmax(SHARPNESS * self.mlp(points), dim=1)
