# mypy: ignore-errors
# ruff: noqa: RUF046, SIM102, SIM108, UP018
"""Warp kernels of forward search, one source for CPU and CUDA; importing this module starts Warp.

A search runs in two stages. Broyden's method on a coarse table of blended transforms (one fetch an iteration, whatever
the number of bones) comes near each root; Newton's method on the exact field, whose few active bones are gathered once
a grid cell, then lands on it.
"""

from typing import no_type_check

import warp as wp

from avatars.deform.kernels.field import ActiveCorners, ActiveInts, gather, land, mark_kernel, movable
from avatars.deform.kernels.grids import (
    SINGULAR,
    Affine,
    blend_coarsely,
    carry,
    coarse_jacobian,
    invert,
    nearest_node,
)
from avatars.deform.roots import MOST_STARTS
from avatars.fields.kernels.places import Patch, inside, locate

__all__ = ["Affine", "Limits", "Patch", "mark_kernel", "search_kernel"]

POLISH_STEPS = wp.constant(8)
GOAL = wp.constant(0.25)
"""Newton's steps aim at this part of the tolerance, for the bones left out of a cell add to the residual."""
StartFloats = wp.types.vector(length=MOST_STARTS, dtype=wp.float32)
StartInts = wp.types.vector(length=MOST_STARTS, dtype=wp.int32)


@wp.struct
@no_type_check
class Limits:
    """How hard to look for roots (metres)."""

    starts: wp.int32
    least: wp.int32
    reach: wp.float32
    steps: wp.int32
    near: wp.float32
    tolerance: wp.float32
    divergence: wp.float32
    separation: wp.float32
    basin: wp.float32


@wp.func
@no_type_check
def approach(
    patches: wp.array(dtype=Patch), table: wp.array2d(dtype=Affine), frame: int,
    target: wp.vec3, start: wp.vec3, limits: Limits,
):  # fmt: skip
    """Broyden's method on the coarse table: a point and how far from the target it lands."""
    x = start
    at = locate(patches, x)
    t = blend_coarsely(table, frame, at)
    residual = carry(t, x) - target
    size = wp.length(residual)
    inverse = wp.identity(n=3, dtype=wp.float32)
    if size >= limits.near and size < limits.divergence:
        inverse = invert(coarse_jacobian(table, frame, at, x, t, patches[at.patch].spacing))
    step = int(0)
    while step < limits.steps and size >= limits.near and size < limits.divergence:
        move = -(inverse * residual)
        x = x + move
        at = locate(patches, x)
        next_residual = carry(blend_coarsely(table, frame, at), x) - target
        change = next_residual - residual
        row = wp.transpose(inverse) * move
        denominator = wp.dot(row, change)
        if denominator < 0.0:
            denominator = denominator - 1.0e-6
        else:
            denominator = denominator + 1.0e-6
        inverse = inverse + wp.outer(move - inverse * change, row / denominator)
        residual = next_residual
        size = wp.length(residual)
        step += 1
    return wp.vec4(x[0], x[1], x[2], size)


@wp.func
@no_type_check
def between(lower: wp.vec3, x: wp.vec3, upper: wp.vec3):
    """Whether a point lies in a box; false for what is not a number."""
    result = int(0)
    if x[0] >= lower[0] and x[1] >= lower[1] and x[2] >= lower[2]:
        if x[0] <= upper[0] and x[1] <= upper[1] and x[2] <= upper[2]:
            result = int(1)
    return result


@wp.func
@no_type_check
def repeats(x: wp.vec3, roots: wp.array2d(dtype=wp.vec3), point: int, found: int, separation: float):
    """Whether a point lies by a root found before."""
    result = int(0)
    for earlier in range(found):
        if wp.length_sq(x - roots[point, earlier]) < separation * separation:
            result = int(1)
    return result


@wp.kernel(enable_backward=False)
@no_type_check
def search_kernel(
    order: wp.array(dtype=wp.int32),
    posed: wp.array(dtype=wp.vec3),
    frames: wp.array(dtype=wp.int32),
    bones: wp.array2d(dtype=Affine),
    canonical_from_posed: wp.array2d(dtype=Affine),
    coarse: wp.array(dtype=Patch),
    table: wp.array2d(dtype=Affine),
    influence: wp.array2d(dtype=wp.uint8),
    fine: wp.array(dtype=Patch),
    log_weights: wp.array2d(dtype=wp.float32),
    marks: wp.array2d(dtype=wp.uint64),
    offsets: wp.array2d(dtype=wp.vec3),
    reaches: wp.array2d(dtype=wp.vec3),
    limits: Limits,
    roots: wp.array2d(dtype=wp.vec3),
    inverses: wp.array2d(dtype=wp.mat33),
    counts: wp.array(dtype=wp.int32),
):
    """All distinct roots of one posed point."""
    point = order[wp.tid()]
    target = posed[point]
    frame = frames[point]
    rank = StartFloats()
    chosen = StartInts()
    starts = int(0)
    for bone in range(bones.shape[1]):
        start = carry(canonical_from_posed[frame, bone], target)
        if between(reaches[bone, 0], start, reaches[bone, 1]) == 1 and inside(coarse[0], start, limits.reach) == 1:
            weight = float(influence[nearest_node(coarse, start), bone])
            slot = int(-1)
            if weight >= float(limits.least):
                if starts < limits.starts:
                    slot = int(starts)
                    starts += 1
                elif weight > rank[limits.starts - 1]:
                    slot = int(limits.starts - 1)
            if slot >= 0:
                while slot > 0 and rank[wp.max(slot - 1, 0)] < weight:
                    rank[slot] = rank[slot - 1]
                    chosen[slot] = chosen[slot - 1]
                    slot -= 1
                rank[slot] = weight
                chosen[slot] = bone
    found = int(0)
    for number in range(starts):
        start = carry(canonical_from_posed[frame, chosen[number]], target)
        known_start = repeats(start, roots, point, found, limits.basin)
        for earlier in range(number):  # bones that move alike start alike
            other = carry(canonical_from_posed[frame, chosen[earlier]], target)
            if wp.length_sq(start - other) < limits.separation * limits.separation:
                known_start = int(1)
        if known_start == 0:
            near = approach(coarse, table, frame, target, start, limits)
            x = wp.vec3(near[0], near[1], near[2])
            if near[3] < limits.near and repeats(x, roots, point, found, limits.basin) == 0:
                known = int(-1)
                active = ActiveInts()
                corners = ActiveCorners()
                count = int(0)
                size = float(1.0e30)
                inverse = wp.identity(n=3, dtype=wp.float32)
                determinant = float(0.0)
                step = int(0)
                while step < POLISH_STEPS and size >= GOAL * limits.tolerance:
                    at = locate(fine, x)
                    if at.node != known:
                        active, corners, count = gather(log_weights, marks, at)
                        known = at.node
                    landing = land(active, corners, count, at, bones, offsets, frame, x, movable(fine[at.patch], x))
                    residual = landing.posed - target
                    size = wp.length(residual)
                    inverse = invert(landing.jacobian)
                    determinant = wp.determinant(landing.jacobian)
                    if size >= GOAL * limits.tolerance and step < POLISH_STEPS - 1:
                        x = x - inverse * residual
                    step += 1
                if size < limits.tolerance and repeats(x, roots, point, found, limits.separation) == 0:
                    roots[point, found] = x
                    if inverses.shape[0] > 0:
                        inverses[point, found] = wp.mat33()
                        if wp.abs(determinant) > SINGULAR:
                            inverses[point, found] = inverse
                    found += 1
    counts[point] = found
