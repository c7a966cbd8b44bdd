"""How a head's canonical points get into a frame: the published way, and the simpler ones that it is compared with."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avatars.deform.sampled import SampledSkinning, SampledWeights
from avatars.deform.skinning import DeformationField, Skinning
from avatars.fields.displacement import GridDisplacement
from avatars.fields.mixing import mixed_basis
from avatars.fields.offsets import GridOffsets, MlpOffsets
from avatars.fields.patches import PatchedGrid
from avatars.fields.weights import GridWeights, MlpWeights
from avatars.models.posed_surface import CanonicalHead, PosedSurface

NODES_AT_ONCE = 50_000


@dataclass(frozen=True)
class Drive:
    """What moves a head in some frames."""

    transforms: Float[Tensor, "frame bone 4 4"]
    """From the canonical pose, the ghost's last."""
    coefficients: Float[Tensor, "frame coefficient"]
    """What blendshapes are weighted by."""
    told: Float[Tensor, "frame told"]
    """What networks are told that see expression and pose: all zero in the canonical pose without expression."""
    condition: Float[Tensor, "frame condition"]
    """What the colour is told."""


class HeadDeformation(nn.Module, ABC):
    """One way to carry canonical points into frames, with the fields that it learns."""

    grid: PatchedGrid
    weights: GridWeights | MlpWeights | None
    """Learned skinning weights, where there are any."""
    offsets: GridOffsets | MlpOffsets | None
    """Learned blendshapes, where there are any."""

    def __init__(self, grid: PatchedGrid) -> None:
        super().__init__()
        self.grid, self.weights, self.offsets = grid, None, None
        self._kept: tuple[tuple[int, int], SampledWeights] | None = None

    @abstractmethod
    def deformation(self, drive: Drive) -> DeformationField:
        """From the space of the surface to the world; differentiable by fields and drive."""

    def surface(self, head: CanonicalHead, drive: Drive, hints: Float[Tensor, "frame width"] | None) -> PosedSurface:
        """The head's surface in some frames, as avatars.render takes it."""
        return PosedSurface(head, self.deformation(drive), drive.condition, hints)

    def _prepared(self, source: Tensor, logs: Float[Tensor, "node bone"]) -> SampledWeights:
        """What searches need of weights that are made of `source`, made anew only when that has changed."""
        version = (source.data_ptr(), source._version)
        if self._kept is None or self._kept[0] != version:
            self._kept = version, SampledWeights(self.grid, logs.detach())
        return self._kept[1]


class BlendshapeSkinning(HeadDeformation):
    """IMavatar: learned blendshapes, then learned skinning weights (on the grid for grid fields, else exact)."""

    weights: GridWeights | MlpWeights
    offsets: GridOffsets | MlpOffsets

    def __init__(self, grid: PatchedGrid, weights: GridWeights | MlpWeights, offsets: GridOffsets | MlpOffsets) -> None:
        super().__init__(grid)
        self.weights, self.offsets = weights, offsets

    def deformation(self, drive: Drive) -> DeformationField:
        """Blendshapes, then bones."""
        transforms, coefficients = drive.transforms, drive.coefficients
        if isinstance(self.weights, GridWeights) and isinstance(self.offsets, GridOffsets):
            logs, offsets = self.weights.at_nodes(), mixed_offsets(self.offsets, coefficients)
            return SampledSkinning(self.grid, logs, transforms, offsets, self._prepared(self.weights.logits, logs))
        starts = self.sampled(transforms, None).starts
        return Skinning(self.weights, transforms, starts, self.offsets, coefficients)

    def sampled(
        self, transforms: Float[Tensor, "frame bone 4 4"], coefficients: Float[Tensor, "frame coefficient"] | None
    ) -> SampledSkinning:
        """The deformation on the grid of weights, for searches; constant to gradients. Without offsets if None."""
        with torch.no_grad():
            nodes = self.grid.nodes().to(transforms).split(NODES_AT_ONCE)
            logs = torch.cat([self.weights.log_weights(some) for some in nodes])
            offsets = None
            if coefficients is not None:
                mixed = [torch.einsum("fk,nkc->fnc", coefficients, self.offsets(some)) for some in nodes]
                offsets = torch.cat(mixed, 1)
        return SampledSkinning(self.grid, logs, transforms.detach(), offsets)


class WeightsOnly(HeadDeformation):
    """Fwd-Skin: learned skinning weights and nothing else, as SNARF has it."""

    weights: GridWeights

    def __init__(self, grid: PatchedGrid, bones: int) -> None:
        super().__init__(grid)
        self.weights = GridWeights(grid, bones)

    def deformation(self, drive: Drive) -> DeformationField:
        """Bones alone."""
        logs = self.weights.at_nodes()
        return SampledSkinning(self.grid, logs, drive.transforms, None, self._prepared(self.weights.logits, logs))


class RootOnly(HeadDeformation):
    """C-Net: the head is placed as its root joint is, and nothing bends."""

    alone: Tensor

    def __init__(self, grid: PatchedGrid) -> None:
        super().__init__(grid)
        self.register_buffer("alone", torch.zeros(grid.count, 1), persistent=False)

    def deformation(self, drive: Drive) -> DeformationField:
        """The root joint's transform, everywhere."""
        return self._placed(drive, None)

    def _placed(self, drive: Drive, offsets: Float[Tensor, "frame node 3"] | None) -> SampledSkinning:
        prepared = self._prepared(self.alone, self.alone)
        return SampledSkinning(self.grid, self.alone, drive.transforms[:, :1], offsets, prepared)


class Displaced(RootOnly):
    """D-Net: a network that is told expression and pose displaces every point; the root joint places the head."""

    def __init__(self, grid: PatchedGrid, told: int, width: int) -> None:
        super().__init__(grid)
        self.displacement = GridDisplacement(grid, told, width)

    def deformation(self, drive: Drive) -> DeformationField:
        """Displacements, then the root joint's transform."""
        return self._placed(drive, self.displacement.at_nodes(drive.told))


def mixed_offsets(
    field: GridOffsets, coefficients: Float[Tensor, "frame coefficient"]
) -> Float[Tensor, "frame node 3"]:
    """Displacement of every node in each frame, continuous across the rims of patches.

    The basis is mixed first and the rims mended after, which is the same and spares copies of the whole basis.
    """
    return mixed_basis(field.basis, coefficients, field.grid)
