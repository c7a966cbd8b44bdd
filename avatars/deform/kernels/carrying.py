# mypy: ignore-errors
# ruff: noqa: UP018
"""Warp kernel that carries canonical points forward by the exact field, all bones counted; for CPU and CUDA."""

from typing import no_type_check

import warp as wp

from avatars.deform.kernels.grids import Affine, carry, linear
from avatars.fields.kernels.places import Patch, locate
from avatars.fields.kernels.reading import corner, fraction_of, rises

__all__ = ["Affine", "Patch", "carry_kernel"]

Eight = wp.types.vector(length=8, dtype=wp.float32)
Slopes = wp.types.matrix(shape=(3, 8), dtype=wp.float32)
Nodes = wp.types.vector(length=8, dtype=wp.int32)


@wp.kernel(enable_backward=False)
@no_type_check
def carry_kernel(
    patches: wp.array(dtype=Patch),
    points: wp.array(dtype=wp.vec3),
    frames: wp.array(dtype=wp.int32),
    log_weights: wp.array2d(dtype=wp.float32),
    bones: wp.array2d(dtype=Affine),
    offsets: wp.array2d(dtype=wp.vec3),
    posed: wp.array(dtype=wp.vec3),
    jacobians: wp.array(dtype=wp.mat33),
):
    """Posed points and, where `jacobians` is not empty, the field's spatial derivatives there.

    The softmax is taken on the way: all sums are held relative to the largest log-weight so far, and places relative
    to where the first bone carries the point, so that little is lost to rounding.
    """
    point = wp.tid()
    frame = frames[point]
    x = points[point]
    place = locate(patches, x)
    fraction = fraction_of(place, x)
    rise = rises(x, patches[place.patch])
    weights = Eight()
    slopes = Slopes()
    nodes = Nodes()
    shifted = x
    stretch = wp.identity(n=3, dtype=wp.float32)
    for number in range(8):
        at = corner(place, fraction, rise, number)
        nodes[number] = at.node
        weights[number] = at.weight
        for axis in range(3):
            slopes[axis, number] = at.slope[axis]
        if offsets.shape[1] > 0:
            offset = offsets[frame, at.node]
            shifted = shifted + at.weight * offset
            stretch = stretch + wp.outer(offset, at.slope)
    first = carry(bones[frame, 0], shifted)
    top = float(-wp.inf)
    total = float(0.0)
    moved = wp.vec3(0.0, 0.0, 0.0)
    turn = wp.mat33()
    risen = wp.vec3(0.0, 0.0, 0.0)
    bend = wp.mat33()
    for bone in range(log_weights.shape[1]):
        log = float(0.0)
        slope = wp.vec3(0.0, 0.0, 0.0)
        for number in range(8):
            value = log_weights[nodes[number], bone]
            log += weights[number] * value
            if jacobians.shape[0] > 0:
                slope += value * wp.vec3(slopes[0, number], slopes[1, number], slopes[2, number])
        if log > top:
            fade = wp.exp(top - log)
            total *= fade
            moved *= fade
            turn *= fade
            risen *= fade
            bend *= fade
            top = log
        share = wp.exp(log - top)
        away = carry(bones[frame, bone], shifted) - first
        total += share
        moved += share * away
        if jacobians.shape[0] > 0:
            turn += share * linear(bones[frame, bone])
            risen += share * slope
            bend += share * wp.outer(away, slope)
    posed[point] = first + moved / total
    if jacobians.shape[0] > 0:
        bent = bend / total - wp.outer(moved / total, risen / total)
        jacobians[point] = (turn / total) * stretch + bent
