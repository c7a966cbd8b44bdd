"""The edge of a mask as distances along rays from a centre, for fitting a silhouette."""

import math

import numpy as np
from jaxtyping import Float

OUTLINE_RAYS = 72
"""Rays over the full turn: ray k runs at 2 pi k / 72 from +x towards +y (x right, y down)."""
EDGE = 0.5
_COARSE, _FINE = 2.0, 4
"""Step of the search in pixels, and how often it is divided where the edge was met."""


def outline(alpha: Float[np.ndarray, "height width"], center: Float[np.ndarray, "2"]) -> Float[np.ndarray, "72"]:
    """Distance in pixels from the centre to where alpha first falls below one half, to a fraction of a pixel.

    NaN where a ray meets the picture's border before, and everywhere when the centre is not inside the mask.
    """
    if not np.isfinite(center).all() or not _inside_picture(center[None], alpha.shape)[0]:
        return np.full(OUTLINE_RAYS, np.nan, np.float32)
    angles = 2 * np.pi * np.arange(OUTLINE_RAYS) / OUTLINE_RAYS
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    steps = np.arange(0.0, math.hypot(*alpha.shape) + _COARSE, _COARSE)
    outside = _sample(alpha, center, directions, np.broadcast_to(steps, (OUTLINE_RAYS, len(steps)))) < EDGE
    met = np.argmax(outside, axis=1)
    found = outside.any(axis=1) & (met > 0)
    fine = _COARSE * (np.maximum(met, 1)[:, None] - 1 + np.arange(_FINE + 1) / _FINE)
    distances = _crossing(_sample(alpha, center, directions, fine), fine)
    ends = center + directions * distances[:, None]
    return np.where(found & _inside_picture(ends, alpha.shape), distances, np.nan).astype(np.float32)


def _sample(
    alpha: np.ndarray, center: np.ndarray, directions: np.ndarray, distances: np.ndarray
) -> Float[np.ndarray, "ray step"]:
    """Alpha along the rays, linear between pixel centres; 0 outside the picture."""
    height, width = alpha.shape
    x = center[0] + distances * directions[:, :1]
    y = center[1] + distances * directions[:, 1:]
    inside = (x >= 0) & (x <= width) & (y >= 0) & (y <= height)
    x, y = np.clip(x - 0.5, 0, width - 1), np.clip(y - 0.5, 0, height - 1)
    left, top = np.minimum(x.astype(np.intp), max(width - 2, 0)), np.minimum(y.astype(np.intp), max(height - 2, 0))
    across, down = x - left, y - top
    flat, first = alpha.ravel(), top * width + left
    right, below = min(1, width - 1), width * min(1, height - 1)
    upper = flat[first] * (1 - across) + flat[first + right] * across
    lower = flat[first + below] * (1 - across) + flat[first + below + right] * across
    return np.where(inside, upper * (1 - down) + lower * down, 0.0)


def _crossing(values: Float[np.ndarray, "ray step"], distances: Float[np.ndarray, "ray step"]) -> np.ndarray:
    """Where each row of values first falls below the edge, linear between its steps."""
    rays = np.arange(len(values))
    after = np.maximum(np.argmax(values < EDGE, axis=1), 1)
    high, low = values[rays, after - 1], values[rays, after]
    share = np.clip((high - EDGE) / np.maximum(high - low, 1e-9), 0.0, 1.0)
    crossing: np.ndarray = distances[rays, after - 1] * (1 - share) + distances[rays, after] * share
    return crossing


def _inside_picture(points: Float[np.ndarray, "point 2"], shape: tuple[int, ...]) -> np.ndarray:
    """Whether points lie in the picture, half a pixel off its border at least, where an edge is no longer an edge."""
    height, width = shape
    inside: np.ndarray = (points >= 0.5).all(axis=1) & (points[:, 0] <= width - 0.5) & (points[:, 1] <= height - 0.5)
    return inside
