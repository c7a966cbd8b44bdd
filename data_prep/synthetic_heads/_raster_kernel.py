"""Warp kernel behind `raster`; importing this module starts Warp."""

from typing import no_type_check

import warp as wp


@wp.kernel
@no_type_check
def raster_kernel(
    corners: wp.array(dtype=wp.vec3),
    faces: wp.array(dtype=wp.int32),
    focal: wp.vec2,
    middle: wp.vec2,
    width: int,
    height: int,
    depth: wp.array(dtype=wp.float32),
    face: wp.array(dtype=wp.int32),
    barycentric: wp.array(dtype=wp.vec3),
):
    """Nearest face of each pixel, by going through all faces in one thread (corners: camera space, z > 0)."""
    for index in range(faces.shape[0] / 3):
        a = corners[faces[3 * index]]
        b = corners[faces[3 * index + 1]]
        c = corners[faces[3 * index + 2]]
        x = wp.vec3(a[0] / a[2], b[0] / b[2], c[0] / c[2]) * focal[0]
        y = wp.vec3(a[1] / a[2], b[1] / b[2], c[1] / c[2]) * focal[1]
        left = wp.max(int(wp.ceil(wp.min(x) + middle[0] - 0.5)), 0)
        right = wp.min(int(wp.floor(wp.max(x) + middle[0] - 0.5)), width - 1)
        top = wp.max(int(wp.ceil(wp.min(y) + middle[1] - 0.5)), 0)
        bottom = wp.min(int(wp.floor(wp.max(y) + middle[1] - 0.5)), height - 1)
        across_a = wp.cross(b, c)
        across_b = wp.cross(c, a)
        across_c = wp.cross(a, b)
        normal = wp.cross(b - a, c - a)  # of small numbers, which keeps more digits than the sum of the three above
        away = wp.dot(a, normal)
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                ray = wp.vec3(
                    (float(column) + 0.5 - middle[0]) / focal[0], (float(row) + 0.5 - middle[1]) / focal[1], 1.0
                )
                share = wp.vec3(wp.dot(ray, across_a), wp.dot(ray, across_b), wp.dot(ray, across_c))
                slope = wp.dot(ray, normal)
                total = share[0] + share[1] + share[2]
                if slope != 0.0 and total != 0.0:
                    share = share / total
                    at = away / slope
                    pixel = row * width + column
                    if wp.min(share) >= -1.0e-6 and at < depth[pixel]:
                        depth[pixel] = at
                        face[pixel] = index
                        barycentric[pixel] = share
