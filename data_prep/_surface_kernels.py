"""Warp kernels behind `data_prep.surface`; importing this module starts Warp."""

from typing import no_type_check

import warp as wp

FAR = wp.constant(1.0e18)  # its square still fits in a float32


@wp.kernel
@no_type_check
def closest_kernel(
    mesh: wp.uint64,
    points: wp.array(dtype=wp.vec3),
    distance: wp.array(dtype=wp.float32),
    face: wp.array(dtype=wp.int32),
    barycentric: wp.array(dtype=wp.vec3),
    nearest: wp.array(dtype=wp.vec3),
):
    """Closest surface point of each query point."""
    index = wp.tid()
    query = wp.mesh_query_point_no_sign(mesh, points[index], FAR)
    position = wp.mesh_eval_position(mesh, query.face, query.u, query.v)
    distance[index] = wp.length(position - points[index])
    face[index] = query.face
    barycentric[index] = wp.vec3(query.u, query.v, 1.0 - query.u - query.v)
    nearest[index] = position


@wp.kernel
@no_type_check
def signed_distance_kernel(
    mesh: wp.uint64,
    points: wp.array(dtype=wp.vec3),
    distance: wp.array(dtype=wp.float32),
):
    """Distance with the sign of the generalised winding number; -0.0 marks a point inside and on the surface."""
    index = wp.tid()
    query = wp.mesh_query_point_sign_winding_number(mesh, points[index], FAR, 2.0, 0.5)
    position = wp.mesh_eval_position(mesh, query.face, query.u, query.v)
    distance[index] = query.sign * wp.length(position - points[index])


@wp.kernel
@no_type_check
def cast_kernel(
    mesh: wp.uint64,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    distance: wp.array(dtype=wp.float32),
    face: wp.array(dtype=wp.int32),
    barycentric: wp.array(dtype=wp.vec3),
):
    """First hit of each ray; outputs keep their initial values where nothing is hit."""
    index = wp.tid()
    hit = wp.mesh_query_ray(mesh, origins[index], directions[index], FAR)
    if hit.result:
        distance[index] = hit.t
        face[index] = hit.face
        barycentric[index] = wp.vec3(hit.u, hit.v, 1.0 - hit.u - hit.v)
