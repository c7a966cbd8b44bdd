# mypy: ignore-errors
# ruff: noqa: RUF046, UP018
"""Warp functions of the exact deformation field: log-weights interpolated in a cell, softmaxed, and offsets."""

from typing import no_type_check

import warp as wp

from avatars.deform.kernels.grids import Affine, carry, linear
from avatars.fields.kernels.places import Patch, Place

MAX_ACTIVE = wp.constant(24)
"""Bones that may weigh something within one cell; where there are more, the lightest are left out."""
NEGLIGIBLE = wp.constant(-14.0)
"""Log-weights this far below every corner's largest (weights below 1e-6) are left out of a cell."""

ActiveInts = wp.types.vector(length=24, dtype=wp.int32)
ActiveFloats = wp.types.vector(length=24, dtype=wp.float32)
ActiveCorners = wp.types.matrix(shape=(24, 8), dtype=wp.float32)
Eight = wp.types.vector(length=8, dtype=wp.float32)


@wp.struct
@no_type_check
class Landing:
    """A point carried forward by the exact field: its posed place and the field's Jacobian there."""

    posed: wp.vec3
    jacobian: wp.mat33


@wp.kernel(enable_backward=False)
@no_type_check
def mark_kernel(log_weights: wp.array2d(dtype=wp.float32), marks: wp.array2d(dtype=wp.uint64)):
    """Set a bit for each bone that weighs something at a node, 64 bones a word."""
    node = wp.tid()
    top = float(-1.0e30)
    for bone in range(log_weights.shape[1]):
        top = wp.max(top, log_weights[node, bone])
    for word in range(marks.shape[1]):
        bits = wp.uint64(0)
        last = wp.min(64 * word + 64, log_weights.shape[1])
        for bone in range(64 * word, last):
            if log_weights[node, bone] - top > NEGLIGIBLE:
                bits = bits | (wp.uint64(1) << wp.uint64(bone - 64 * word))
        marks[node, word] = bits


@wp.func
@no_type_check
def lightest(peak: ActiveFloats):
    """Place of the smallest of the peaks."""
    result = int(0)
    for q in range(1, MAX_ACTIVE):
        if peak[q] < peak[result]:
            result = int(q)
    return result


@wp.func
@no_type_check
def gather(log_weights: wp.array2d(dtype=wp.float32), marks: wp.array2d(dtype=wp.uint64), at: Place):
    """The bones active in a cell, their log-weights at its corners, and how many they are."""
    n0 = at.node
    n2 = n0 + at.along_y
    n4 = n0 + at.along_x
    n6 = n4 + at.along_y
    active = ActiveInts()
    corners = ActiveCorners()
    peak = ActiveFloats()
    count = int(0)
    for word in range(marks.shape[1]):
        bits = marks[n0, word] | marks[n0 + 1, word] | marks[n2, word] | marks[n2 + 1, word]
        bits = bits | marks[n4, word] | marks[n4 + 1, word] | marks[n6, word] | marks[n6 + 1, word]
        bone = int(64 * word)
        while bits != wp.uint64(0):
            if (bits & wp.uint64(1)) != wp.uint64(0):
                value = Eight(
                    log_weights[n0, bone], log_weights[n0 + 1, bone], log_weights[n2, bone], log_weights[n2 + 1, bone],
                    log_weights[n4, bone], log_weights[n4 + 1, bone], log_weights[n6, bone], log_weights[n6 + 1, bone],
                )  # fmt: skip
                slot = int(count)
                if count == MAX_ACTIVE:  # uncommonly many: the lightest makes room
                    slot = lightest(peak)
                if count < MAX_ACTIVE or wp.max(value) > peak[slot]:
                    active[slot] = bone
                    peak[slot] = wp.max(value)
                    for corner in range(8):
                        corners[slot, corner] = value[corner]
                    count = wp.min(count + 1, int(MAX_ACTIVE))
            bits = bits >> wp.uint64(1)
            bone += 1
    return active, corners, count


@wp.func
@no_type_check
def shift(offsets: wp.array2d(dtype=wp.vec3), frame: int, at: Place, f: wp.vec3):
    """Blendshape offset at a place between the nodes of a cell; nothing where there are no offsets."""
    result = wp.vec3()
    if offsets.shape[1] > 0:
        node = at.node
        h = wp.vec3(1.0, 1.0, 1.0) - f
        low = offsets[frame, node] * h[2] + offsets[frame, node + 1] * f[2]
        n = node + at.along_y
        low = low * h[1] + (offsets[frame, n] * h[2] + offsets[frame, n + 1] * f[2]) * f[1]
        n = node + at.along_x
        high = offsets[frame, n] * h[2] + offsets[frame, n + 1] * f[2]
        n = n + at.along_y
        high = high * h[1] + (offsets[frame, n] * h[2] + offsets[frame, n + 1] * f[2]) * f[1]
        result = low * h[0] + high * f[0]
    return result


@wp.func
@no_type_check
def shift_slopes(offsets: wp.array2d(dtype=wp.vec3), frame: int, at: Place):
    """Identity plus the offset's derivative by the place in the cell, in metres a cell."""
    result = wp.mat33()
    if offsets.shape[1] > 0:
        f = at.fraction
        dx = shift(offsets, frame, at, wp.vec3(1.0, f[1], f[2])) - shift(offsets, frame, at, wp.vec3(0.0, f[1], f[2]))
        dy = shift(offsets, frame, at, wp.vec3(f[0], 1.0, f[2])) - shift(offsets, frame, at, wp.vec3(f[0], 0.0, f[2]))
        dz = shift(offsets, frame, at, wp.vec3(f[0], f[1], 1.0)) - shift(offsets, frame, at, wp.vec3(f[0], f[1], 0.0))
        result = wp.matrix_from_cols(dx, dy, dz)
    return result


@wp.func
@no_type_check
def land(
    active: ActiveInts,
    corners: ActiveCorners,
    count: int,
    at: Place,
    bones: wp.array2d(dtype=Affine),
    offsets: wp.array2d(dtype=wp.vec3),
    frame: int,
    x: wp.vec3,
    widened: wp.vec3,
):
    """The exact field at a point of a cell; `widened` says along which axes the point moves within the grid."""
    f = at.fraction
    h = wp.vec3(1.0, 1.0, 1.0) - f
    value = ActiveFloats()
    largest = float(-1.0e30)
    for q in range(count):
        low = (corners[q, 0] * h[2] + corners[q, 1] * f[2]) * h[1]
        low += (corners[q, 2] * h[2] + corners[q, 3] * f[2]) * f[1]
        high = (corners[q, 4] * h[2] + corners[q, 5] * f[2]) * h[1]
        high += (corners[q, 6] * h[2] + corners[q, 7] * f[2]) * f[1]
        value[q] = low * h[0] + high * f[0]
        largest = wp.max(largest, value[q])
    shifted = x + shift(offsets, frame, at, f)
    total = float(0.0)
    blended = Affine()
    mean_slope = wp.vec3()
    turn = wp.mat33()
    for q in range(count):
        weight = wp.exp(value[q] - largest)
        total += weight
        bone = bones[frame, active[q]]
        blended = blended + bone * weight
        y00 = corners[q, 0] * h[2] + corners[q, 1] * f[2]
        y01 = corners[q, 2] * h[2] + corners[q, 3] * f[2]
        y10 = corners[q, 4] * h[2] + corners[q, 5] * f[2]
        y11 = corners[q, 6] * h[2] + corners[q, 7] * f[2]
        z0 = (corners[q, 1] - corners[q, 0]) * h[1] + (corners[q, 3] - corners[q, 2]) * f[1]
        z1 = (corners[q, 5] - corners[q, 4]) * h[1] + (corners[q, 7] - corners[q, 6]) * f[1]
        slope = wp.vec3(
            (y10 - y00) * h[1] + (y11 - y01) * f[1],
            (y01 - y00) * h[0] + (y11 - y10) * f[0],
            z0 * h[0] + z1 * f[0],
        )
        slope = wp.cw_mul(slope, widened) * weight
        mean_slope = mean_slope + slope
        turn = turn + wp.outer(carry(bone, shifted), slope)
    result = Landing()
    blended = blended * (1.0 / total)
    result.posed = carry(blended, shifted)
    stretch = wp.identity(n=3, dtype=wp.float32) + shift_slopes(offsets, frame, at) * wp.diag(widened)
    result.jacobian = linear(blended) * stretch + (turn - wp.outer(result.posed, mean_slope)) * (1.0 / total)
    return result


@wp.func
@no_type_check
def movable(p: Patch, x: wp.vec3):
    """Cells a metre along each axis; 0 where a point beyond the border makes no difference to what is read."""
    result = wp.vec3()
    for axis in range(3):
        if x[axis] >= p.lower[axis] and x[axis] <= p.upper[axis]:
            result[axis] = 1.0 / p.spacing
    return result
