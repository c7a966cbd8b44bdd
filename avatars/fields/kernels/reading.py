# mypy: ignore-errors
# ruff: noqa: RUF046, UP018
"""Warp kernels that read tables at points of patched grids, with slopes, and hand gradients back.

One source for CPU and CUDA; importing this module starts Warp.
"""

from typing import no_type_check

import warp as wp

from avatars.fields.kernels.places import Patch, Place, locate

__all__ = ["Patch", "Rows", "hand_back_kernel", "read_kernel"]

SCATTER = wp.constant(wp.uint32(2654435761))


@wp.struct
@no_type_check
class Rows:
    """Which rows of a table stand for nodes: shared rows for `shift` above zero, mixtures of others at the rim."""

    shift: wp.int32
    """Hashed numbers are shifted by this; 0 leaves the nodes' own rows."""
    slot: wp.array(dtype=wp.int32)
    """Row of `corners` and `shares` for nodes at a rim, -1 elsewhere; empty for a table that is to be read as it is."""
    corners: wp.array2d(dtype=wp.int32)
    shares: wp.array2d(dtype=wp.float32)


@wp.struct
@no_type_check
class Corner:
    """A corner of a cell: its node, its trilinear weight, the weight's first and its mixed second derivatives."""

    node: wp.int32
    weight: wp.float32
    slope: wp.vec3
    mixed: wp.vec3
    """By yz, xz and xy."""


@wp.func
@no_type_check
def side(number: int, fraction: float):
    """Weight of the lower (0) or upper (1) side of a cell."""
    result = 1.0 - fraction
    if number == 1:
        result = fraction
    return result


@wp.func
@no_type_check
def rises(x: wp.vec3, p: Patch):
    """How fast each axis' upper weight grows with a point; not at all beyond the border."""
    result = wp.vec3(0.0, 0.0, 0.0)
    for axis in range(3):
        if x[axis] >= p.lower[axis] and x[axis] <= p.upper[axis]:
            result[axis] = 1.0 / p.spacing
    return result


@wp.func
@no_type_check
def corner(at: Place, fraction: wp.vec3, rise: wp.vec3, number: int):
    """One of a cell's eight corners, z fastest."""
    i = number >> 2
    j = (number >> 1) & 1
    k = number & 1
    a = side(i, fraction[0])
    b = side(j, fraction[1])
    c = side(k, fraction[2])
    da = (2.0 * float(i) - 1.0) * rise[0]
    db = (2.0 * float(j) - 1.0) * rise[1]
    dc = (2.0 * float(k) - 1.0) * rise[2]
    result = Corner()
    result.node = at.node + i * at.along_x + j * at.along_y + k
    result.weight = a * b * c
    result.slope = wp.vec3(da * b * c, a * db * c, a * b * dc)
    result.mixed = wp.vec3(a * db * dc, da * b * dc, da * db * c)
    return result


@wp.func
@no_type_check
def fraction_of(at: Place, x: wp.vec3):
    """Where in its cell a point lies; not a number for what is none."""
    result = at.fraction
    if wp.isnan(x[0]) or wp.isnan(x[1]) or wp.isnan(x[2]):
        result = x
    return result


@wp.func
@no_type_check
def hashed(node: int, shift: int):
    """The row that a node shares."""
    result = node
    if shift > 0:
        result = int((wp.uint32(node) * SCATTER) >> wp.uint32(shift))
    return result


@wp.func
@no_type_check
def add_row(
    table: wp.array2d(dtype=wp.float32), row: int, share: float, at: Corner, point: int,
    values: wp.array2d(dtype=wp.float32), slopes: wp.array3d(dtype=wp.float32),
):  # fmt: skip
    """Add a row with its weights to a point's values and slopes."""
    weight = share * at.weight
    slope = share * at.slope
    for channel in range(table.shape[1]):
        value = table[row, channel]
        values[point, channel] = values[point, channel] + weight * value
        if slopes.shape[0] > 0:
            for axis in range(3):
                slopes[point, axis, channel] = slopes[point, axis, channel] + slope[axis] * value


@wp.kernel(enable_backward=False)
@no_type_check
def read_kernel(
    patches: wp.array(dtype=Patch),
    points: wp.array(dtype=wp.vec3),
    frames: wp.array(dtype=wp.int32),
    nodes: int,
    rows: Rows,
    table: wp.array2d(dtype=wp.float32),
    values: wp.array2d(dtype=wp.float32),
    slopes: wp.array3d(dtype=wp.float32),
):
    """Values at points and, where `slopes` is not empty, their derivatives; both begin at zero."""
    point = wp.tid()
    first = int(0)
    if frames.shape[0] > 0:
        first = frames[point] * nodes
    x = points[point]
    place = locate(patches, x)
    fraction = fraction_of(place, x)
    rise = rises(x, patches[place.patch])
    for number in range(8):
        at = corner(place, fraction, rise, number)
        slot = int(-1)
        if rows.slot.shape[0] > 0:
            slot = rows.slot[at.node]
        if slot < 0:
            add_row(table, first + hashed(at.node, rows.shift), 1.0, at, point, values, slopes)
        else:
            for q in range(8):
                add_row(table, first + rows.corners[slot, q], rows.shares[slot, q], at, point, values, slopes)


@wp.func
@no_type_check
def hand_row(
    table: wp.array2d(dtype=wp.float32), row: int, share: float, at: Corner, point: int,
    by_values: wp.array2d(dtype=wp.float32), by_slopes: wp.array3d(dtype=wp.float32),
    by_table: wp.array2d(dtype=wp.float32),
):  # fmt: skip
    """Gradient of a row, added; returns what the row adds to the point's gradient."""
    along_value = float(0.0)
    along_slopes = wp.vec3(0.0, 0.0, 0.0)
    for channel in range(table.shape[1]):
        value = table[row, channel]
        gradient = by_values[point, channel]
        share_of_row = at.weight * gradient
        along_value += value * gradient
        if by_slopes.shape[0] > 0:
            bend = wp.vec3(by_slopes[point, 0, channel], by_slopes[point, 1, channel], by_slopes[point, 2, channel])
            share_of_row += wp.dot(at.slope, bend)
            along_slopes += value * bend
        if by_table.shape[0] > 0:
            wp.atomic_add(by_table, row, channel, share * share_of_row)
    m = at.mixed
    s = along_slopes
    turn = wp.vec3(m[2] * s[1] + m[1] * s[2], m[2] * s[0] + m[0] * s[2], m[1] * s[0] + m[0] * s[1])
    return share * (along_value * at.slope + turn)


@wp.kernel(enable_backward=False)
@no_type_check
def hand_back_kernel(
    patches: wp.array(dtype=Patch),
    points: wp.array(dtype=wp.vec3),
    frames: wp.array(dtype=wp.int32),
    nodes: int,
    rows: Rows,
    table: wp.array2d(dtype=wp.float32),
    by_values: wp.array2d(dtype=wp.float32),
    by_slopes: wp.array3d(dtype=wp.float32),
    by_table: wp.array2d(dtype=wp.float32),
    by_points: wp.array(dtype=wp.vec3),
):
    """Gradients of table (added) and points (written) from those of values and slopes; empty ones are left out."""
    point = wp.tid()
    first = int(0)
    if frames.shape[0] > 0:
        first = frames[point] * nodes
    total = wp.vec3(0.0, 0.0, 0.0)
    x = points[point]
    place = locate(patches, x)
    fraction = fraction_of(place, x)
    rise = rises(x, patches[place.patch])
    for number in range(8):
        at = corner(place, fraction, rise, number)
        slot = int(-1)
        if rows.slot.shape[0] > 0:
            slot = rows.slot[at.node]
        if slot < 0:
            row = first + hashed(at.node, rows.shift)
            total += hand_row(table, row, 1.0, at, point, by_values, by_slopes, by_table)
        else:
            for q in range(8):
                row = first + rows.corners[slot, q]
                total += hand_row(table, row, rows.shares[slot, q], at, point, by_values, by_slopes, by_table)
    if by_points.shape[0] > 0:
        by_points[point] = total
