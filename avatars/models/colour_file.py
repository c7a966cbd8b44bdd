"""The colours of a body in its avatar file: bytes at the nodes of grids, and which blocks of the grids are kept."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from avatars.fields.grid import GridSpec
from avatars.fields.surface_colour import BLOCK, BlockGrid, SurfaceColour
from body_models import InputError

MOST_BLOCKS = 50_000_000
"""Blocks of a whole grid; a file that asks for more is damaged."""


def colour_header(colour: SurfaceColour) -> str:
    """Where the nodes of all grids lie, as JSON."""
    return json.dumps(
        {"backdrop": _plain(colour.backdrop_grid), "grids": [_plain(grid.spec) for grid in colour.block_grids]}
    )


def colour_tensors(colour: SurfaceColour) -> dict[str, Tensor]:
    """The colours as sRGB-coded bytes, and the numbers of the blocks that are kept."""
    tensors = {"colour.backdrop": _bytes(colour.backdrop)}
    for number, grid in enumerate(colour.block_grids):
        tensors[f"colour.{number}.blocks"] = grid.blocks.to(torch.int32)
        tensors[f"colour.{number}.values"] = _bytes(grid.values)
    return tensors


def assemble_colour(header: str, tensors: Mapping[str, Tensor]) -> SurfaceColour:
    """The field of colours that a file holds; raises InputError, KeyError or ValueError for unfitting parts."""
    stored = json.loads(header)
    grids = []
    for number, plain in enumerate(stored["grids"]):
        spec, blocks = _spec(plain), tensors[f"colour.{number}.blocks"].long()
        x, y, z = (-(-n // BLOCK) for n in spec.shape)
        if x * y * z > MOST_BLOCKS or (len(blocks) and not 0 <= int(blocks.min()) <= int(blocks.max()) < x * y * z):
            raise InputError("its colours lie outside their grid")
        grid = BlockGrid(spec, blocks)
        grid.values.data.copy_(_values(tensors[f"colour.{number}.values"], len(grid.values)))
        grids.append(grid)
    colour = SurfaceColour(_spec(stored["backdrop"]), grids)
    colour.backdrop.data.copy_(_values(tensors["colour.backdrop"], len(colour.backdrop)))
    return colour.requires_grad_(False)


def _bytes(values: Tensor) -> Tensor:
    return (values.detach().clamp(0, 1) * 255).round().to(torch.uint8)


def _values(stored: Tensor, count: int) -> Tensor:
    if stored.shape != (count, 3):
        raise InputError(f"its colours have the shape {tuple(stored.shape)} instead of {(count, 3)}")
    return stored.float() / 255


def _plain(spec: GridSpec) -> dict[str, Any]:
    return {"lower": spec.lower, "spacing": spec.spacing, "shape": spec.shape}


def _spec(plain: dict[str, Any]) -> GridSpec:
    (a, b, c), (x, y, z) = plain["lower"], plain["shape"]
    if min(int(x), int(y), int(z)) < 2 or not float(plain["spacing"]) > 0:
        raise InputError("its colours lie on a grid without extent")
    return GridSpec((float(a), float(b), float(c)), float(plain["spacing"]), (int(x), int(y), int(z)))
