# mypy: ignore-errors
"""Warp functions on patched grids: where points lie, and reading tables of blended transforms."""

from typing import no_type_check

import warp as wp

from avatars.fields.kernels.places import Patch, Place, along, finest

Affine = wp.types.matrix(shape=(3, 4), dtype=wp.float32)
SINGULAR = wp.constant(1.0e-3)
"""Determinants nearer to zero than this are not divided by."""


@wp.func
@no_type_check
def carry(t: Affine, x: wp.vec3):
    """A point moved by an affine transform."""
    return wp.vec3(
        t[0, 0] * x[0] + t[0, 1] * x[1] + t[0, 2] * x[2] + t[0, 3],
        t[1, 0] * x[0] + t[1, 1] * x[1] + t[1, 2] * x[2] + t[1, 3],
        t[2, 0] * x[0] + t[2, 1] * x[1] + t[2, 2] * x[2] + t[2, 3],
    )


@wp.func
@no_type_check
def linear(t: Affine):
    """The linear part of an affine transform."""
    return wp.mat33(t[0, 0], t[0, 1], t[0, 2], t[1, 0], t[1, 1], t[1, 2], t[2, 0], t[2, 1], t[2, 2])


@wp.func
@no_type_check
def invert(m: wp.mat33):
    """Inverse of a matrix; the identity where it is nearly singular."""
    result = wp.identity(n=3, dtype=wp.float32)
    if wp.abs(wp.determinant(m)) > SINGULAR:  # false for what is not a number
        result = wp.inverse(m)
    return result


@wp.func
@no_type_check
def nearest_node(patches: wp.array(dtype=Patch), x: wp.vec3):
    """Number of the node nearest to a point."""
    p = patches[finest(patches, x)]
    i = int(along(x[0], p.lower[0], p.spacing, p.shape[0]) + 0.5)
    j = int(along(x[1], p.lower[1], p.spacing, p.shape[1]) + 0.5)
    k = int(along(x[2], p.lower[2], p.spacing, p.shape[2]) + 0.5)
    return p.offset + (i * p.shape[1] + j) * p.shape[2] + k


@wp.func
@no_type_check
def blend_coarsely(table: wp.array2d(dtype=Affine), frame: int, at: Place):
    """The blended transform, interpolated between eight nodes."""
    n00 = at.node
    n01 = n00 + at.along_y
    n10 = n00 + at.along_x
    n11 = n10 + at.along_y
    f = at.fraction
    hz = 1.0 - f[2]
    w00 = (1.0 - f[0]) * (1.0 - f[1])
    w01 = (1.0 - f[0]) * f[1]
    w10 = f[0] * (1.0 - f[1])
    w11 = f[0] * f[1]
    t = table[frame, n00] * (w00 * hz) + table[frame, n00 + 1] * (w00 * f[2])
    t = t + table[frame, n01] * (w01 * hz) + table[frame, n01 + 1] * (w01 * f[2])
    t = t + table[frame, n10] * (w10 * hz) + table[frame, n10 + 1] * (w10 * f[2])
    return t + table[frame, n11] * (w11 * hz) + table[frame, n11 + 1] * (w11 * f[2])


@wp.func
@no_type_check
def coarse_jacobian(table: wp.array2d(dtype=Affine), frame: int, at: Place, x: wp.vec3, t: Affine, spacing: float):
    """Spatial Jacobian of the deformation that the table stands for."""
    n00 = at.node
    n01 = n00 + at.along_y
    n10 = n00 + at.along_x
    n11 = n10 + at.along_y
    p000 = carry(table[frame, n00], x)
    p001 = carry(table[frame, n00 + 1], x)
    p010 = carry(table[frame, n01], x)
    p011 = carry(table[frame, n01 + 1], x)
    p100 = carry(table[frame, n10], x)
    p101 = carry(table[frame, n10 + 1], x)
    p110 = carry(table[frame, n11], x)
    p111 = carry(table[frame, n11 + 1], x)
    f = at.fraction
    h = wp.vec3(1.0, 1.0, 1.0) - f
    dx = ((p100 - p000) * h[1] + (p110 - p010) * f[1]) * h[2] + ((p101 - p001) * h[1] + (p111 - p011) * f[1]) * f[2]
    dy = ((p010 - p000) * h[0] + (p110 - p100) * f[0]) * h[2] + ((p011 - p001) * h[0] + (p111 - p101) * f[0]) * f[2]
    dz = ((p001 - p000) * h[0] + (p101 - p100) * f[0]) * h[1] + ((p011 - p010) * h[0] + (p111 - p110) * f[0]) * f[1]
    return linear(t) + wp.matrix_from_cols(dx / spacing, dy / spacing, dz / spacing)
