# mypy: ignore-errors
"""Warp kernels that pose the bones of a rig and move its vertices in many frames; for CPU and CUDA."""

from typing import no_type_check

import warp as wp

from avatars.deform.kernels.grids import Affine, carry, linear

__all__ = ["Affine", "bones_kernel", "skin_kernel"]


@wp.func
@no_type_check
def affine(turn: wp.mat33, shift: wp.vec3):
    """An affine transform from its parts."""
    # fmt: off
    return Affine(
        turn[0, 0], turn[0, 1], turn[0, 2], shift[0],
        turn[1, 0], turn[1, 1], turn[1, 2], shift[1],
        turn[2, 0], turn[2, 1], turn[2, 2], shift[2],
    )
    # fmt: on


@wp.func
@no_type_check
def shift_of(t: Affine):
    """Where an affine transform takes the origin."""
    return wp.vec3(t[0, 3], t[1, 3], t[2, 3])


@wp.func
@no_type_check
def turn_of(v: wp.vec3):
    """Rotation matrix of an axis-angle vector (radians), exact to rounding near zero."""
    squared = wp.dot(v, v)
    sine = 1.0 - squared / 6.0
    versine = 0.5 - squared / 24.0
    if squared > 1.0e-4:
        angle = wp.sqrt(squared)
        half = wp.sin(0.5 * angle)
        sine = wp.sin(angle) / angle
        versine = 2.0 * half * half / squared
    across = wp.skew(v)
    return wp.identity(n=3, dtype=wp.float32) + sine * across + versine * (across * across)


@wp.kernel(enable_backward=False)
@no_type_check
def bones_kernel(
    rotations: wp.array2d(dtype=wp.vec3),
    translations: wp.array(dtype=wp.vec3),
    joints: wp.array(dtype=wp.vec3),
    parents: wp.array(dtype=wp.int32),
    rest_from_bind: wp.array(dtype=Affine),
    world: wp.array2d(dtype=Affine),
    posed_from_bind: wp.array2d(dtype=Affine),
):
    """Forward kinematics of one frame, as `body_models.skeleton.posed_from_rest`; `world` is scratch."""
    frame = wp.tid()
    for bone in range(joints.shape[0]):
        turn = turn_of(rotations[frame, bone])
        place = joints[bone] + translations[frame]
        if bone > 0:
            parent = world[frame, parents[bone]]
            place = carry(parent, joints[bone] - joints[parents[bone]])
            turn = linear(parent) * turn
        world[frame, bone] = affine(turn, place)
        back = rest_from_bind[bone]
        posed_from_bind[frame, bone] = affine(turn * linear(back), place + turn * (shift_of(back) - joints[bone]))


@wp.kernel(enable_backward=False)
@no_type_check
def skin_kernel(
    first: int,
    transforms: wp.array2d(dtype=Affine),
    bones: wp.array2d(dtype=wp.int32),
    weights: wp.array2d(dtype=wp.float32),
    moved: wp.array2d(dtype=wp.vec3),
    posed: wp.array2d(dtype=wp.vec3),
):
    """Linear blend skinning of one vertex of one frame; `moved` may hold one frame that serves for all."""
    row = first + wp.tid()
    frame = row // bones.shape[0]
    vertex = row - frame * bones.shape[0]
    point = moved[wp.min(frame, moved.shape[0] - 1), vertex]
    blended = Affine()
    for slot in range(bones.shape[1]):
        weight = weights[vertex, slot]
        if weight > 0.0:
            blended += weight * transforms[frame, bones[vertex, slot]]
    posed[frame, vertex] = carry(blended, point)
