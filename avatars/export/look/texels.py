"""Which point of a mesh each texel shows."""

from dataclasses import dataclass
from functools import cache
from types import ModuleType

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from data_prep.warp_runtime import start_warp

BORDER = 1.5
"""Texels as near to a chart as this show the surface beyond its edge, where bilinear filtering reaches them."""
FARTHEST = 2.0
"""A triangle is not continued beyond as many times its height, however thin its picture is."""


@dataclass(frozen=True)
class Texels:
    """The texels that show something, row by row, in a square picture."""

    size: int
    pixel: Int[Tensor, "texel"]
    """Row times size plus column."""
    face: Int[Tensor, "texel"]
    barycentric: Float[Tensor, "texel 3"]
    """Of the texel's centre; partly negative for those that lie beyond the edge of a chart."""
    inside: Bool[Tensor, "texel"]
    """Whether the centre lies in the triangle."""

    def split(self, count: int) -> list["Texels"]:
        """The same in parts of at most `count` texels."""
        parts = zip(
            *(part.split(count) for part in (self.pixel, self.face, self.barycentric, self.inside)), strict=True
        )
        return [Texels(self.size, *part) for part in parts]

    def blend(
        self, values: Float[Tensor, "vertex channel"], faces: Int[Tensor, "face 3"]
    ) -> Float[Tensor, "texel channel"]:
        """What vertices hold, interpolated at the texels."""
        corners = faces[self.face]
        first, second, third = (values[corners[:, k]] * self.barycentric[:, k, None] for k in range(3))
        return first + second + third


def texels_of(uv: Float[Tensor, "vertex 2"], faces: Int[Tensor, "face 3"], size: int) -> Texels:
    """Find the triangle at, or within a texel or so of, the centre of each texel of a picture of `size` squared."""
    warp = start_warp()
    corners = (uv[faces] * size).float().cpu().reshape(-1, 2).contiguous()
    inward = torch.full((size * size,), -BORDER)
    face = torch.full((size * size,), -1, dtype=torch.int32)
    inputs = [warp.from_torch(corners, dtype=warp.vec2), size, BORDER]
    outputs = [warp.from_torch(inward, dtype=warp.float32), warp.from_torch(face, dtype=warp.int32)]
    warp.launch(_kernels().texel_kernel, 1, [*inputs, *outputs], device="cpu")
    pixel = (face >= 0).nonzero()[:, 0]
    owner = face[pixel].long()
    shares = _barycentric(corners.reshape(-1, 3, 2)[owner], _centres(pixel, size))
    parts = (pixel, owner, _bounded(shares), inward[pixel] >= 0)
    return Texels(size, *(part.to(faces.device) for part in parts))


@cache
def _kernels() -> ModuleType:
    start_warp()
    from avatars.export.look import _texel_kernel

    return _texel_kernel


def _centres(pixel: Int[Tensor, "texel"], size: int) -> Float[Tensor, "texel 2"]:
    return torch.stack([pixel % size, pixel.div(size, rounding_mode="floor")], 1).float() + 0.5


def _barycentric(corners: Float[Tensor, "texel 3 2"], points: Float[Tensor, "texel 2"]) -> Float[Tensor, "texel 3"]:
    first, second, own = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], points - corners[:, 0]
    shares = torch.stack([_cross(own, second), _cross(first, own)], 1) / _cross(first, second)[:, None]
    return torch.cat([1 - shares.sum(1, keepdim=True), shares], 1)


def _bounded(shares: Float[Tensor, "texel 3"]) -> Float[Tensor, "texel 3"]:
    """Barycentric coordinates of points that are too far from thin triangles, drawn to them."""
    excess = (1 / 3 - shares).amax(1, keepdim=True) / (FARTHEST + 1 / 3)
    return 1 / 3 + (shares - 1 / 3) / excess.clamp_min(1.0)


def _cross(first: Float[Tensor, "row 2"], second: Float[Tensor, "row 2"]) -> Float[Tensor, "row"]:
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
