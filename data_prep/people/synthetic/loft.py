"""Closed lofts around a vertical line: skirts, long hair and buns."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Loft:
    """Rings around centres, from the top down; closed by fans at both ends (metres)."""

    heights: Float[np.ndarray, "ring"]
    centres: Float[np.ndarray, "ring 2"]
    """x and z of each ring's centre."""
    radii: Float[np.ndarray, "ring angle"]
    """Distance from the centre; angles are evenly spaced, from +Z towards +X."""

    def points(self) -> Float[np.ndarray, "vertex 3"]:
        """All rings' points in order, then the middle of the top and of the bottom."""
        angles = angles_of(self.radii.shape[1])
        x = self.centres[:, :1] + self.radii * np.sin(angles)
        z = self.centres[:, 1:] + self.radii * np.cos(angles)
        y = np.broadcast_to(self.heights[:, None], x.shape)
        rings = np.stack([x, y, z], axis=-1)
        return np.concatenate([rings.reshape(-1, 3), rings[[0, -1]].mean(1)])

    def faces(self) -> Int[np.ndarray, "face 3"]:
        """Triangles of `points`, wound outward."""
        rings, count = self.radii.shape
        here = np.arange(count)
        following = np.roll(here, -1)
        start = np.arange(rings - 1)[:, None] * count
        a, b, c, d = start + here, start + following, start + count + here, start + count + following
        top, bottom = np.full(count, rings * count), np.full(count, rings * count + 1)
        last = (rings - 1) * count
        return np.concatenate(
            [
                np.stack([a, c, d], -1).reshape(-1, 3),
                np.stack([a, d, b], -1).reshape(-1, 3),
                np.stack([top, here, following], -1),
                np.stack([bottom, last + following, last + here], -1),
            ]
        )

    def contains(self, points: Float[np.ndarray, "point 3"], margin: float) -> Bool[np.ndarray, "point"]:
        """Which points lie deeper than a margin inside, about."""
        order = np.argsort(self.heights, kind="stable")
        heights = self.heights[order]
        count = self.radii.shape[1]
        ring = np.clip(np.searchsorted(heights, points[:, 1]), 0, len(heights) - 1)
        ring = order[ring]
        offset = points[:, [0, 2]] - self.centres[ring]
        angle = np.arctan2(offset[:, 0], offset[:, 1]) % (2 * np.pi)
        radius = self.radii[ring, np.round(angle / (2 * np.pi) * count).astype(int) % count]
        tall = (points[:, 1] > heights[0] + margin) & (points[:, 1] < heights[-1] - margin)
        return tall & (np.linalg.norm(offset, axis=1) < radius - margin)


def angles_of(count: int) -> Float[np.ndarray, "angle"]:
    """Evenly spaced angles of a ring (radians)."""
    return np.arange(count) * (2 * np.pi / count)
