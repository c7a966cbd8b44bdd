"""Warp kernel behind `texels`; importing this module starts Warp."""

from typing import no_type_check

import warp as wp


@wp.kernel
@no_type_check
def texel_kernel(
    corners: wp.array(dtype=wp.vec2),
    size: int,
    border: float,
    inward: wp.array(dtype=wp.float32),
    face: wp.array(dtype=wp.int32),
):
    """The triangle in which the centre of each texel lies deepest, by going through all of them in one thread.

    `inward` is how deep (texels), negative outside; it must begin with -border, beyond which nothing counts.
    """
    for index in range(corners.shape[0] / 3):
        a = corners[3 * index]
        b = corners[3 * index + 1]
        c = corners[3 * index + 2]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        side_a = (b - a) / wp.max(wp.length(b - a), 1.0e-12) * wp.sign(area)
        side_b = (c - b) / wp.max(wp.length(c - b), 1.0e-12) * wp.sign(area)
        side_c = (a - c) / wp.max(wp.length(a - c), 1.0e-12) * wp.sign(area)
        low = wp.min(wp.min(a, b), c)
        high = wp.max(wp.max(a, b), c)
        left = wp.max(int(wp.ceil(low[0] - 0.5 - border)), 0)
        right = wp.min(int(wp.floor(high[0] - 0.5 + border)), size - 1)
        top = wp.max(int(wp.ceil(low[1] - 0.5 - border)), 0)
        bottom = wp.min(int(wp.floor(high[1] - 0.5 + border)), size - 1)
        if area != 0.0:
            for row in range(top, bottom + 1):
                for column in range(left, right + 1):
                    x = float(column) + 0.5
                    y = float(row) + 0.5
                    depth = wp.min(
                        side_a[0] * (y - a[1]) - side_a[1] * (x - a[0]),
                        wp.min(
                            side_b[0] * (y - b[1]) - side_b[1] * (x - b[0]),
                            side_c[0] * (y - c[1]) - side_c[1] * (x - c[0]),
                        ),
                    )
                    pixel = row * size + column
                    if depth > inward[pixel]:
                        inward[pixel] = depth
                        face[pixel] = index
