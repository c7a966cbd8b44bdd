# mypy: ignore-errors
# ruff: noqa: RUF046, SIM102, UP018
"""Warp functions on patched grids: which cell of which grid holds a point."""

from typing import no_type_check

import warp as wp


@wp.struct
@no_type_check
class Patch:
    """One regular grid; its nodes are numbered from `offset`, z fastest."""

    lower: wp.vec3
    upper: wp.vec3
    spacing: wp.float32
    shape: wp.vec3i
    offset: wp.int32


@wp.struct
@no_type_check
class Place:
    """Where a point lies in a grid: the cell's lowest node, and how far along each axis."""

    patch: wp.int32
    node: wp.int32
    along_x: wp.int32
    along_y: wp.int32
    fraction: wp.vec3


@wp.func
@no_type_check
def inside(p: Patch, x: wp.vec3, reach: float):
    """Whether a point lies in a grid's box, widened by `reach`; false for what is not a number."""
    result = int(0)
    if x[0] >= p.lower[0] - reach and x[1] >= p.lower[1] - reach and x[2] >= p.lower[2] - reach:
        if x[0] <= p.upper[0] + reach and x[1] <= p.upper[1] + reach and x[2] <= p.upper[2] + reach:
            result = int(1)
    return result


@wp.func
@no_type_check
def finest(patches: wp.array(dtype=Patch), x: wp.vec3):
    """Number of the last patch that holds a point; the first one where none does."""
    chosen = int(0)
    for number in range(1, patches.shape[0]):
        if inside(patches[number], x, 0.0) == 1:
            chosen = int(number)
    return chosen


@wp.func
@no_type_check
def along(value: float, lower: float, spacing: float, count: int):
    """Position along one axis in cells, held within the grid; 0 for what is not a number."""
    u = (value - lower) / spacing
    if not u > 0.0:
        u = float(0.0)
    return wp.min(u, float(count - 1))


@wp.func
@no_type_check
def locate(patches: wp.array(dtype=Patch), x: wp.vec3):
    """The cell that holds a point, in the finest patch; points beyond the border are held on it."""
    place = Place()
    place.patch = finest(patches, x)
    p = patches[place.patch]
    u = along(x[0], p.lower[0], p.spacing, p.shape[0])
    v = along(x[1], p.lower[1], p.spacing, p.shape[1])
    w = along(x[2], p.lower[2], p.spacing, p.shape[2])
    i = wp.min(int(u), p.shape[0] - 2)
    j = wp.min(int(v), p.shape[1] - 2)
    k = wp.min(int(w), p.shape[2] - 2)
    place.along_y = p.shape[2]
    place.along_x = p.shape[1] * p.shape[2]
    place.node = p.offset + i * place.along_x + j * place.along_y + k
    place.fraction = wp.vec3(u - float(i), v - float(j), w - float(k))
    return place
