"""Give a soft, coarse mask the edges of the picture, down to strands of hair.

Guided filter: He, Sun, Tang, "Guided image filtering" (TPAMI 2013), colour guide, with the coefficients computed on a
smaller picture as in He, Sun, "Fast guided filter" (2015).
"""

import numpy as np
from jaxtyping import Float, UInt8

from data_prep.video.mediapipe_runtime import start_opencv

WORKING_SIDE = 256
"""Longer side of the picture on which the filter's coefficients are computed, in pixels."""
CERTAIN = 0.02
"""A mask this near to 0 or 1 all around needs no refinement."""


def refine_alpha(
    rgb: UInt8[np.ndarray, "height width 3"],
    mask: Float[np.ndarray, "height width"],
    reach: float = 0.016,
    softness: float = 3e-4,
) -> Float[np.ndarray, "height width"]:
    """Alpha in [0, 1] whose edge follows the picture's, within `reach` (share of the longer side) of the mask's edge.

    `softness` is the filter's epsilon, for colours in [0, 1]: colour differences well below its root are smoothed over.
    """
    height, width = mask.shape
    longest = max(height, width)
    scale = min(1.0, WORKING_SIDE / longest)
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    cv2 = start_opencv()
    guide = rgb.astype(np.float32) / 255
    small_guide = cv2.resize(guide, small, interpolation=cv2.INTER_AREA)
    small_mask = cv2.resize(mask.astype(np.float32), small, interpolation=cv2.INTER_AREA)
    radius = max(2, round(reach * longest * scale))
    slopes, offsets = guided_coefficients(small_guide, small_mask, radius, softness)
    coefficients = cv2.resize(np.dstack([slopes, offsets]), (width, height), interpolation=cv2.INTER_LINEAR)
    alpha = np.einsum("ijk,ijk->ij", guide, coefficients[..., :3]) + coefficients[..., 3]
    return _inside_band(_sharpened(alpha), mask.astype(np.float32), max(2, round(1.5 * reach * longest)))


def guided_coefficients(
    guide: Float[np.ndarray, "height width 3"], mask: Float[np.ndarray, "height width"], radius: int, softness: float
) -> tuple[Float[np.ndarray, "height width 3"], Float[np.ndarray, "height width"]]:
    """Slope and offset of the local linear model mask = slope . colour + offset, averaged over windows."""
    mean = _window_mean(guide, radius)
    mask_mean = _window_mean(mask, radius)
    covariance = _window_mean(guide * mask[..., None], radius) - mean * mask_mean[..., None]
    slopes = _solve_symmetric(_colour_covariance(guide, mean, radius, softness), covariance)
    offsets = mask_mean - np.einsum("ijk,ijk->ij", slopes, mean)
    return _window_mean(slopes, radius), _window_mean(offsets, radius)


def _window_mean(values: np.ndarray, radius: int) -> np.ndarray:
    cv2 = start_opencv()
    side = 2 * radius + 1
    means: np.ndarray = cv2.boxFilter(values, cv2.CV_32F, (side, side), borderType=cv2.BORDER_REFLECT)
    return means


def _colour_covariance(
    guide: np.ndarray, mean: np.ndarray, radius: int, softness: float
) -> Float[np.ndarray, "6 height width"]:
    """The six different entries (rr, rg, rb, gg, gb, bb) of each window's covariance, plus softness on the diagonal."""
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    products = [_window_mean(guide[..., row] * guide[..., column], radius) for row, column in pairs]
    covariance = np.stack(products) - np.stack([mean[..., row] * mean[..., column] for row, column in pairs])
    covariance[[0, 3, 5]] += softness
    return covariance


def _solve_symmetric(matrix: Float[np.ndarray, "6 height width"], right: np.ndarray) -> np.ndarray:
    """Solve one symmetric 3 x 3 system a pixel by its cofactors."""
    rr, rg, rb, gg, gb, bb = matrix
    c_rr, c_rg, c_rb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    c_gg, c_gb, c_bb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = rr * c_rr + rg * c_rg + rb * c_rb
    x, y, z = right[..., 0], right[..., 1], right[..., 2]
    solution = np.stack(
        [c_rr * x + c_rg * y + c_rb * z, c_rg * x + c_gg * y + c_gb * z, c_rb * x + c_gb * y + c_bb * z], axis=-1
    )
    return solution / np.maximum(determinant, 1e-20)[..., None]


def _sharpened(alpha: np.ndarray) -> np.ndarray:
    """Stretch the middle, because window means leave a haze on both sides of an edge."""
    return np.clip((alpha - 0.15) / 0.7, 0.0, 1.0)


def _inside_band(alpha: np.ndarray, mask: np.ndarray, radius: int) -> np.ndarray:
    """Keep the refined alpha near the mask's edge only: a dark eye far inside is no hole, a bright wall no hair."""
    cv2 = start_opencv()
    window = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    certain_in = cv2.erode(np.where(mask > 1 - CERTAIN, np.uint8(1), np.uint8(0)), window)
    certain_out = cv2.erode(np.where(mask < CERTAIN, np.uint8(1), np.uint8(0)), window)
    result: np.ndarray = np.where(certain_in > 0, 1.0, np.where(certain_out > 0, 0.0, alpha)).astype(np.float32)
    return result
