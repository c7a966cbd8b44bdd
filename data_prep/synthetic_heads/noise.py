"""Smooth random functions of space and time, sums of waves, for textures and for motion."""

import numpy as np
from jaxtyping import Float


def waves(
    points: Float[np.ndarray, "point axis"], wavelength: float, random: np.random.Generator, count: int = 20
) -> Float[np.ndarray, "point"]:
    """Smooth noise of zero mean and unit deviation, features about `wavelength` across (in the points' unit)."""
    directions = random.normal(size=(count, points.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    frequencies = directions * (2 * np.pi / wavelength) * random.uniform(0.5, 1.3, (count, 1))
    phases = random.uniform(0, 2 * np.pi, count)
    angles = points.astype(np.float32) @ frequencies.T.astype(np.float32)
    angles += phases.astype(np.float32)
    return np.cos(angles, out=angles).sum(1).astype(float) * np.sqrt(2 / count)


def wander(
    times: Float[np.ndarray, "frame"], slowest: float, fastest: float, random: np.random.Generator
) -> Float[np.ndarray, "frame"]:
    """A smooth path within -1 to 1; periods lie between `fastest` and `slowest` (seconds)."""
    periods = np.geomspace(slowest, fastest, 5)
    strengths = random.uniform(0.4, 1.0, 5) * (periods / slowest) ** 0.7
    phases = random.uniform(0, 2 * np.pi, 5)
    path = np.cos(2 * np.pi * times[:, None] / periods + phases) @ strengths
    return path / strengths.sum()


def ramp(
    values: Float[np.ndarray, "*point"], low: float | np.ndarray, high: float | np.ndarray
) -> Float[np.ndarray, "*point"]:
    """0 below `low`, 1 above `high`, smooth between them."""
    share = np.clip((values - low) / (high - low), 0.0, 1.0)
    return share * share * (3 - 2 * share)
