"""The deformation with its fields sampled on grids: what the fast search inverts."""

from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.deform.starts import StartTable, start_table
from avatars.fields.affine import blend_bones
from avatars.fields.grid import interpolate
from avatars.fields.patches import PatchedGrid
from body_models.precision import matmul

COARSEST = 0.035
"""Spacing that the table for a search's first steps may have (metres); a coarser one loses roots."""


class SampledWeights:
    """Log-weights at the nodes of grids, with what a search needs of them in any pose; prepared once a person."""

    def __init__(self, grid: PatchedGrid, log_weights: Float[Tensor, "node bone"]) -> None:
        self.grid, self.log_weights = grid, log_weights
        self.coarse_grid, picked = grid.thinned(COARSEST)
        self.picked: Int[Tensor, "coarse"] = picked.to(log_weights.device)
        self.at_coarse_nodes = torch.softmax(log_weights.detach()[self.picked], dim=1)
        self.starts: StartTable = start_table(self.coarse_grid, self.at_coarse_nodes)
        self.marks: Int[Tensor, "node word"] | None = None
        """Which bones weigh something at each node, a bit each; filled in by the kernel's first search."""


class SampledSkinning:
    """Forward skinning by log-weights and blendshape offsets given at the nodes of grids, for several frames.

    Between nodes log-weights are interpolated, then softmaxed; offsets are interpolated. For the first steps of a
    search the bones are blended at the nodes once a frame (Fast-SNARF, section 3.2): `coarse_table`.
    """

    def __init__(
        self,
        grid: PatchedGrid,
        log_weights: Float[Tensor, "node bone"],
        posed_from_canonical: Float[Tensor, "frame bone 4 4"],
        offsets: Float[Tensor, "frame node 3"] | None = None,
        prepared: SampledWeights | None = None,
    ) -> None:
        self.grid, self.log_weights, self.offsets = grid, log_weights, offsets
        self.posed_from_canonical = posed_from_canonical
        self.prepared = SampledWeights(grid, log_weights) if prepared is None else prepared
        self.coarse_grid, self.starts = self.prepared.coarse_grid, self.prepared.starts

    def in_poses(
        self,
        posed_from_canonical: Float[Tensor, "frame bone 4 4"],
        offsets: Float[Tensor, "frame node 3"] | None = None,
    ) -> "SampledSkinning":
        """The same weights in other poses, without preparing them again."""
        return SampledSkinning(self.grid, self.log_weights, posed_from_canonical, offsets, self.prepared)

    @cached_property
    def coarse_table(self) -> Float[Tensor, "frame node 12"]:
        """Blended transforms at the coarse nodes, with the offsets there taken into their translations."""
        bones = self.posed_from_canonical.detach()[:, :, :3].flatten(2)
        table = matmul(self.prepared.at_coarse_nodes, bones)
        if self.offsets is not None:
            offset = self.offsets.detach()[:, self.prepared.picked]
            table = table.unflatten(2, (3, 4))
            moved = table[..., 3] + matmul(table[..., :3], offset[..., None])[..., 0]
            table = torch.cat([table[..., :3], moved[..., None]], dim=-1).flatten(2)
        return table

    def blend(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3 4"]:
        """The blended transform at canonical points, each in the pose of its frame."""
        weights = torch.softmax(interpolate(self.log_weights, *self.grid.corners(points)), dim=1)
        return blend_bones(weights, self.posed_from_canonical, frame)

    def shifted(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        """Canonical points moved by the blendshapes of their frame (metres)."""
        if self.offsets is None:
            return points
        index, corner_weights = self.grid.corners(points)
        return points + interpolate(self.offsets.flatten(0, 1), self._rows(index, frame), corner_weights)

    @torch.no_grad()
    def jacobian(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3 3"]:
        """Exact spatial Jacobian of the deformation, a constant to gradients."""
        index, corner_weights, slopes = self.grid.corner_slopes(points)
        weights = torch.softmax(interpolate(self.log_weights, index, corner_weights), dim=1)
        stretch = torch.eye(3).to(points).expand(len(points), 3, 3)
        shifted = points
        if self.offsets is not None:
            rows, table = self._rows(index, frame), self.offsets.flatten(0, 1)
            shifted = points + interpolate(table, rows, corner_weights)
            columns = [interpolate(table, rows, slopes[:, axis].contiguous()) for axis in range(3)]
            stretch = stretch + torch.stack(columns, dim=2)
        bones = self.posed_from_canonical[:, :, :3][frame]
        carried = matmul(bones[..., :3], shifted[:, None, :, None])[..., 0] + bones[..., 3]  # point bone 3
        spread = weights[..., None] * (carried - (weights[..., None] * carried).sum(1, keepdim=True))
        turn = [
            (interpolate(self.log_weights, index, slopes[:, axis].contiguous())[..., None] * spread).sum(1)
            for axis in range(3)
        ]
        return matmul((weights[..., None, None] * bones[..., :3]).sum(1), stretch) + torch.stack(turn, dim=2)

    def _rows(self, index: Int[Tensor, "point 8"], frame: Int[Tensor, "point"]) -> Int[Tensor, "point 8"]:
        return index + frame[:, None] * self.grid.count
