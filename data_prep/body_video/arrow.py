"""Linear systems of many frames that share a few unknowns and touch their neighbours in time."""

import numpy as np
import torch
from jaxtyping import Float
from scipy.linalg import LinAlgError, solveh_banded
from torch import Tensor

from body_models.errors import InputError


def accelerations(
    times: Float[Tensor, "frame"],
) -> Float[Tensor, "inner 3"]:
    """Factors of three frames in a row that give the acceleration at the middle one (per second squared)."""
    before, after = times[1:-1] - times[:-2], times[2:] - times[1:-1]
    middle = (before + after) / 2
    first, last = 1 / (before * middle), 1 / (after * middle)
    return torch.stack([first, -(first + last), last], dim=-1)


def add_accelerations(
    band: Float[Tensor, "row unknown"],
    factors: Float[Tensor, "inner 3"],
    precision: Float[Tensor, "parameter"],
) -> None:
    """Add `precision * acceleration^2` of every parameter to a lower band of the normal matrix, in place."""
    count, frames = len(precision), len(factors) + 2
    for first in range(3):
        for second in range(first, 3):
            values = (factors[:, first] * factors[:, second])[:, None] * precision
            row = band[(second - first) * count].unflatten(0, (frames, count))
            row[first : first + len(factors)] += values


def banded(
    blocks: Float[Tensor, "frame parameter parameter"], below: Float[Tensor, "step parameter parameter"]
) -> Float[Tensor, "row unknown"]:
    """The lower band, two blocks wide, of a matrix with these blocks on and below its diagonal (LAPACK's layout)."""
    frames, count = blocks.shape[:2]
    band = blocks.new_zeros(2 * count + 1, frames * count)
    for row in range(count):
        band[row].unflatten(0, (frames, count))[:, : count - row] = blocks.diagonal(-row, 1, 2)
    for offset in range(1 - count, count):
        columns = slice(max(0, -offset), count - max(0, offset))
        band[count + offset].unflatten(0, (frames, count))[:-1, columns] += below.diagonal(-offset, 1, 2)
    return band


def solve_arrow(
    band: Float[Tensor, "row unknown"],
    border: Float[Tensor, "unknown shared"],
    corner: Float[Tensor, "shared shared"],
    right: Float[Tensor, "unknown"],
    right_shared: Float[Tensor, "shared"],
) -> tuple[Float[Tensor, "unknown"], Float[Tensor, "shared"]]:
    """Solve `[[band, border], [border^T, corner]] x = right` by Schur's complement; time linear in the frames.

    Raises InputError when the matrix is not positive definite, which finite observations with a prior cannot make.
    """
    columns = np.concatenate([border.numpy(), right.numpy()[:, None]], axis=1)
    try:
        solved = torch.from_numpy(solveh_banded(band.numpy(), columns, lower=True, check_finite=False))
    except (LinAlgError, ValueError) as error:
        raise InputError("The keypoints do not determine a pose; check that they are finite pixels.") from error
    by_border, by_right = solved[:, :-1], solved[:, -1]
    shared = torch.linalg.solve(corner - border.mT @ by_border, right_shared - border.mT @ by_right)
    return by_right - by_border @ shared, shared
