"""From the full-resolution surface to the pictures of a light mesh that lies on it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from avatars.export.look.fill import filled
from avatars.export.look.lookup import found_on, mended
from avatars.export.look.tangents import bitangents
from avatars.export.look.texels import Texels, texels_of
from avatars.export.rig.rig import Rig
from avatars.export.rig.source import Source
from data_prep.pictures.mesh import linear_to_srgb
from data_prep.surface import Surface

FINEST = 0.001
"""No finer grid of points is asked of the surface, as there is no more to see (metres)."""
AT_ONCE = 100_000
"""Texels that are looked at in one step; few enough to stay in the processor's cache."""
STEEPEST = 0.1
"""Least blue of a normal map, so that nothing turns from its triangle by more than about 84 degrees."""

Picture = UInt8[np.ndarray, "size size 3"]


@dataclass(frozen=True)
class Patch:
    """What the texels show: places on the light mesh, and what the full-resolution surface has there."""

    points: Float[Tensor, "texel 3"]
    normals: Float[Tensor, "texel 3"]
    places: Float[Tensor, "texel 3"]
    fine: Float[Tensor, "texel 3"]
    right: Bool[Tensor, "texel"]


def baked(rig: Rig, source: Source, size: int) -> tuple[Picture | None, Picture | None]:
    """Colours (sRGB; None where the source has none) and the normal map (None where it is unlit), rows from above.

    The rig must have texture coordinates and tangents, and be bound in the source's canonical pose.
    """
    assert rig.uv is not None
    coarse = _grid(rig, size)
    texels = texels_of(rig.uv, rig.faces, coarse)
    patch = _patch(rig, source, texels)
    colours = normals = None
    if source.colour is not None:
        coloured, known = _coloured(source.colour, patch)
        coloured = mended(coloured, known, patch.points, patch.normals)
        colours = _picture(linear_to_srgb(coloured), texels, size)
    if not source.unlit:
        fine = mended(patch.fine, patch.right, patch.points, patch.normals)
        parts = zip(texels.split(AT_ONCE), fine.split(AT_ONCE), strict=True)
        flat = torch.cat([_in_tangent_space(some, rig, part) for part, some in parts])
        normals = _picture(flat / 2 + 0.5, texels, size)
    return colours, normals


def _grid(rig: Rig, size: int) -> int:
    """Rows of the picture that is baked: `size`, or a half, a quarter... while texels are no wider than `FINEST`."""
    assert rig.uv is not None
    first, second, third = torch.cat([rig.vertices, rig.uv], 1)[rig.faces].unbind(1)
    along, across = second - first, third - first
    surface = torch.linalg.cross(along[:, :3], across[:, :3]).norm(dim=1).sum()
    picture = (along[:, 3] * across[:, 4] - along[:, 4] * across[:, 3]).abs().sum()
    width = float((surface / picture.clamp_min(1e-12)).sqrt())
    while size % 2 == 0 and size >= 128 and 2 * width / size <= FINEST:
        size //= 2
    return size


def _patch(rig: Rig, source: Source, texels: Texels) -> Patch:
    surface = Surface(source.vertices, source.faces)
    parts = []
    for part in texels.split(AT_ONCE):
        points = part.blend(rig.vertices, rig.faces)
        normals = normalize(part.blend(rig.normals, rig.faces), dim=1)
        found = found_on(surface, source.normals.to(points), points, normals)
        parts.append((points, normals, found.points, found.normals, found.right))
    return Patch(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _in_tangent_space(fine: Float[Tensor, "texel 3"], rig: Rig, texels: Texels) -> Float[Tensor, "texel 3"]:
    """Directions by the frames that a renderer interpolates at the texels: tangent, bitangent and normal, each unit."""
    assert rig.tangents is not None
    given = torch.cat([rig.tangents[:, :3], bitangents(rig.normals, rig.tangents), rig.normals], 1)
    frames = texels.blend(given, rig.faces).T.reshape(3, 3, -1)  # a row a number: thrice as fast as a row a texel
    right, up, out = _unit(frames, 1).unbind(0)
    rows = [torch.linalg.cross(*pair, dim=0) for pair in ((up, out), (out, right), (right, up))]
    handed = (rows[0] * right).sum(0).sign()
    flat = _unit(torch.stack([(row * fine.T).sum(0) for row in rows]) * handed, 0)
    flat[2].clamp_(min=STEEPEST)
    return _unit(flat, 0).T


def _unit(vectors: Float[Tensor, "*shape"], dim: int) -> Float[Tensor, "*shape"]:
    """Vectors along a leading dimension at length 1, where `normalize` is ten times as slow."""
    return vectors / vectors.square().sum(dim, keepdim=True).sqrt().clamp_min(1e-12)


def _coloured(
    colour: Callable[[Float[Tensor, "point 3"]], Float[Tensor, "point 3"]], patch: Patch
) -> tuple[Float[Tensor, "texel 3"], Bool[Tensor, "texel"]]:
    """Linear colours of the surface, and where they are known."""
    parts = [colour(some) for some in patch.places.split(AT_ONCE)]
    colours = torch.cat(parts) if parts else torch.zeros_like(patch.places)
    known = patch.right & colours.isfinite().all(1)
    return torch.where(known[:, None], colours, 0.0), known


def _picture(values: Float[Tensor, "texel 3"], texels: Texels, size: int) -> Picture:
    """Bytes of the texels' values (0 to 1) with all others filled from them, as many rows as are wanted."""
    coarse = texels.size
    picture = values.new_zeros(3, coarse * coarse)
    picture[:, texels.pixel] = values.T
    known = torch.zeros(coarse * coarse, dtype=torch.bool, device=values.device)
    known[texels.pixel] = True
    whole = filled(picture.reshape(3, coarse, coarse), known.reshape(coarse, coarse))
    return np.stack([_channel(one, size) for one in whole], -1)


def _channel(values: Float[Tensor, "coarse coarse"], size: int) -> UInt8[np.ndarray, "size size"]:
    if len(values) != size:
        values = interpolate(values[None, None], size=(size, size), mode="bilinear", align_corners=False)[0, 0]
    return (values * 255).round_().clamp_(0, 255).byte().cpu().numpy()
