"""Fields of detailed normals that tell subjects apart by a code: grids with a small decoder (fast), gDNA's MLP."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from avatars.fields.eigen_volumes import EigenVolumes
from avatars.fields.encoding import FeatureGrids
from avatars.fields.generator import VolumeGenerator
from avatars.fields.grid import GridSpec
from avatars.fields.mlp import Mlp, positional_encoding

AGREEING = 0.2
"""Fused normals keep to the fine one where half of one plus its cosine to the coarse one is this near to 1."""


@runtime_checkable
class NormalField(Protocol):
    """Detailed normals of subjects, in the space of the coarse shape."""

    def __call__(
        self,
        points: Float[Tensor, "point 3"],
        subject: Int[Tensor, "point"],
        codes: Float[Tensor, "subject code"],
        coarse_normal: Float[Tensor, "point 3"],
        feature: Float[Tensor, "point feature"],
    ) -> Float[Tensor, "point 3"]:
        """Unit normals at points (metres) of subjects with detail codes, by the coarse unit normals and features."""
        ...


class GridNormals(nn.Module):
    """The coarse normal plus a residual decoded from a subject's features, shared features and what is coarse.

    The residual begins at zero and so the field at the coarse normal. `volume` gives the subjects' features.
    """

    def __init__(
        self,
        volume: EigenVolumes | VolumeGenerator,
        shared: list[tuple[GridSpec, int]],
        feature_size: int,
        width: int = 32,
    ) -> None:
        super().__init__()
        self.volume, self.grids = volume, FeatureGrids(shared)
        inputs = volume.channels + self.grids.size + 3 + feature_size
        last = nn.Linear(width, 3)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.decoder = nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), last)

    def forward(
        self,
        points: Float[Tensor, "point 3"],
        subject: Int[Tensor, "point"],
        codes: Float[Tensor, "subject code"],
        coarse_normal: Float[Tensor, "point 3"],
        feature: Float[Tensor, "point feature"],
    ) -> Float[Tensor, "point 3"]:
        """Unit normals at points (metres); coarse normals are unit ones."""
        own, shared = self.volume(points, subject, codes), self.grids(points)
        residual = self.decoder(torch.cat([own, shared, coarse_normal, feature], 1))
        return functional.normalize(coarse_normal + residual, dim=1)


class MlpNormals(nn.Module):
    """gDNA's normal network: 8 layers of 256, positional encoding, a skip; code and coarse feature join at its input.

    It tells normals by itself and does not look at the coarse one. The network sees (x - centre) * scale.
    Source: gDNA, CVPR 2022, section 3.2, with the sizes of its public code.
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self,
        code: int,
        feature_size: int,
        width: int = 256,
        depth: int = 8,
        octaves: int = 4,
        centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
        scale: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> None:
        super().__init__()
        self.octaves = octaves
        self.register_buffer("centre", torch.tensor(centre))
        self.register_buffer("scale", torch.tensor(scale))
        condition = code + feature_size
        self.mlp = Mlp(3 + 6 * octaves, 3, width, depth, skip=depth // 2, join=0, condition=condition)

    def forward(
        self,
        points: Float[Tensor, "point 3"],
        subject: Int[Tensor, "point"],
        codes: Float[Tensor, "subject code"],
        coarse_normal: Float[Tensor, "point 3"],
        feature: Float[Tensor, "point feature"],
    ) -> Float[Tensor, "point 3"]:
        """Unit normals at points (metres)."""
        encoded = positional_encoding((points - self.centre) * self.scale, self.octaves)
        return functional.normalize(self.mlp(encoded, torch.cat([codes[subject], feature], 1)), dim=1)


def fuse_normals(coarse: Float[Tensor, "*batch 3"], fine: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Unit normals to show: the fine ones where they agree with the coarse ones, these where they do not.

    Source: the public code of gDNA; here the sum is made of unit length.
    """
    agreement = 0.5 * ((coarse * fine).sum(-1, keepdim=True) + 1)
    share = torch.exp(-(agreement - 1).square() / (2 * AGREEING**2))
    return functional.normalize(share * fine + (1 - share) * coarse, dim=-1)
