"""The deformation with its fields sampled on grids: what the fast search inverts."""

from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.deform.kernel_carry import carry_points
from avatars.deform.skinning import blended_jacobian
from avatars.deform.starts import StartTable, start_table
from avatars.fields.affine import apply_affine, blend_bones
from avatars.fields.patches import PatchedGrid
from avatars.fields.reading import read, read_with_slopes
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
        weights = torch.softmax(read(self.log_weights, self.grid, points), dim=1)
        return blend_bones(weights, self.posed_from_canonical, frame)

    def shifted(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        """Canonical points moved by the blendshapes of their frame (metres)."""
        if self.offsets is None:
            return points
        return points + read(self.offsets.flatten(0, 1), self.grid, points, frame=frame)

    def carried(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        """Posed positions of canonical points (metres), fused where no gradient is wanted."""
        known = (points, self.log_weights, self.posed_from_canonical, self.offsets)
        wanted = torch.is_grad_enabled() and any(value is not None and value.requires_grad for value in known)
        if wanted or not self._is_single(points):
            return apply_affine(self.blend(points, frame), self.shifted(points, frame))
        return self._fused(points, frame, jacobian=False)[0]

    @torch.no_grad()
    def jacobian(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3 3"]:
        """Exact spatial Jacobian of the deformation, a constant to gradients."""
        if self._is_single(points):
            return self._fused(points, frame, jacobian=True)[1]
        return self.jacobian_twin(points, frame)

    @torch.no_grad()
    def jacobian_twin(
        self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]
    ) -> Float[Tensor, "point 3 3"]:
        """The Jacobian in plain torch, for any precision: its meaning."""
        logs, rises = read_with_slopes(self.log_weights, self.grid, points)
        shifted, stretch = points, torch.eye(3).to(points)[None]
        if self.offsets is not None:
            offset, slopes = read_with_slopes(self.offsets.flatten(0, 1), self.grid, points, frame=frame)
            shifted, stretch = points + offset, stretch + slopes.mT
        bones = self.posed_from_canonical[:, :, :3][frame]
        return blended_jacobian(logs, rises, bones, shifted, stretch)

    def _fused(
        self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"], jacobian: bool
    ) -> tuple[Float[Tensor, "point 3"], Float[Tensor, "some 3 3"]]:
        fields = (self.log_weights, self.posed_from_canonical, self.offsets)
        return carry_points(points, frame, self.grid, *fields, jacobian)

    def _is_single(self, points: Float[Tensor, "point 3"]) -> bool:
        """Whether all is in single precision, as the kernel has it."""
        known = (points, self.log_weights, self.posed_from_canonical, self.offsets)
        return all(value is None or value.dtype == torch.float32 for value in known)
