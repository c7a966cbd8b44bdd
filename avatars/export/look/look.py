"""Textures of a rig: colours and the normals that its light mesh lacks."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import UInt8

from avatars.export.look.atlas import Atlas, unwrapped
from avatars.export.look.baking import baked
from avatars.export.look.tangents import with_tangents
from avatars.export.rig.rig import Rig
from avatars.export.rig.source import Source
from body_models import InputError

SMALLEST, LARGEST = 64, 8192


@dataclass(frozen=True)
class Look:
    """Pictures for a rig's texture coordinates, rows from above."""

    colour: UInt8[np.ndarray, "height width 3"] | None
    """sRGB; None for avatars without colours."""
    normal: UInt8[np.ndarray, "height width 3"] | None
    """In tangent space, green up in the picture (glTF 2.0, 3.9.3); None for what no light falls on."""
    unlit: bool
    """Whether the colours hold light already, and no more should be added."""


@torch.no_grad()
def textured(rig: Rig, source: Source, size: int) -> tuple[Rig, Look]:
    """The rig with texture coordinates and tangents, cut at the seams, and its textures of `size` squared texels.

    Both are baked from the source's surface, of which the rig's mesh is a lighter copy. Raises InputError for a size
    outside 64 to 8192.
    """
    if not SMALLEST <= size <= LARGEST:
        raise InputError(f"Textures of {size} pixels are not in {SMALLEST} to {LARGEST}; 2048 is usual.")
    cut = _cut(rig, unwrapped(rig.vertices, rig.faces, size))
    return cut, Look(*baked(cut, source, size), source.unlit)


def _cut(rig: Rig, atlas: Atlas) -> Rig:
    """The rig cut at the seams, with texture coordinates and tangents."""
    cut = replace(rig.taken(atlas.index, atlas.faces), uv=atlas.uv)
    parted = with_tangents(cut.vertices, cut.normals, atlas.uv, cut.faces)
    return replace(cut.taken(parted.index, parted.faces), tangents=parted.tangents)
