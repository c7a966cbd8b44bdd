"""How alike two pictures are inside a region: L1, PSNR, SSIM, and LPIPS where its networks are at hand."""

import math
import os
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial import ConvexHull, QhullError
from skimage.metrics import structural_similarity

from body_models.errors import InputError

TAPS, SIGMA = 11, 1.5
"""SSIM's Gaussian window (pixels)."""
ALEXNET = "alexnet-owt-*.pth"
"""File of torchvision's weights, in the folder where torch keeps what it downloads."""

Picture = Float[np.ndarray, "_ _ 3"]
Region = Bool[np.ndarray, "_ _"]


def mean_absolute(first: Picture, second: Picture, region: Region) -> float:
    """Mean absolute difference of colours (sRGB-coded, 0 to 1) inside a region; raises InputError as `check_alike`."""
    check_alike(first, second, region)
    return float(np.abs(first[region] - second[region]).mean())


def peak_ratio(first: Picture, second: Picture, region: Region) -> float:
    """Peak signal-to-noise ratio inside a region (dB); infinite for the same colours. Raises as `check_alike`."""
    check_alike(first, second, region)
    error = float(np.square(first[region].astype(np.float64) - second[region]).mean())
    return -10 * math.log10(error) if error > 0 else math.inf


def structural(first: Picture, second: Picture, region: Region) -> float:
    """SSIM of colours from 0 to 1, its map averaged inside a region; 1 for the same pictures.

    The window reaches five pixels beyond the region. Raises InputError as `check_alike`, and for pictures smaller than
    the window.
    """
    check_alike(first, second, region)
    return float(_similarity(first, second)[region].mean())


def structural_published(first: Picture, second: Picture, region: Region) -> float:
    """SSIM as IMavatar's tables have it: of pictures that are black outside the region, averaged over all of them.

    Much higher than `structural`, as the region is a small part of a picture. Raises InputError as `structural`.
    """
    check_alike(first, second, region)
    inside, rim = region[..., None], TAPS // 2
    similarity = _similarity(np.where(inside, first, 0.0), np.where(inside, second, 0.0))
    return float(similarity[rim:-rim, rim:-rim].mean())


def perceptual(first: Picture, second: Picture, region: Region) -> float:
    """LPIPS (AlexNet) of two pictures that are both black outside a region, as IMavatar's tables have it.

    Raises InputError as `check_alike`, and where `lpips_missing` says why it cannot be computed here.
    """
    check_alike(first, second, region)
    network = _lpips()
    both = [np.where(region[..., None], picture, 0.0) for picture in (first, second)]
    tensors = [torch.from_numpy(2 * picture.astype(np.float32) - 1).permute(2, 0, 1)[None] for picture in both]
    with torch.no_grad():
        return float(network(*tensors))


def lpips_missing() -> str | None:
    """Why LPIPS cannot be computed on this machine; None where it can. Nothing is downloaded."""
    if find_spec("lpips") is None or find_spec("torchvision") is None:
        return "the package lpips (with torchvision) is not installed"
    if not any(_checkpoints().glob(ALEXNET)):
        return f"torchvision's AlexNet weights ({ALEXNET}) are not in {_checkpoints()}"
    return None


def hull_region(points: Float[np.ndarray, "point 2"], height: int, width: int) -> Region:
    """Pixels whose centres (at +0.5) lie in the convex hull of points (pixels); none for less than a triangle."""
    known = points[np.isfinite(points).all(axis=1)].astype(np.float64)
    if len(known) < 3:
        return np.zeros((height, width), bool)
    try:
        sides = ConvexHull(known).equations
    except QhullError:  # all points on a line
        return np.zeros((height, width), bool)
    rows, columns = np.mgrid[:height, :width] + 0.5
    beyond = np.multiply.outer(columns, sides[:, 0]) + np.multiply.outer(rows, sides[:, 1]) + sides[:, 2]
    inside: Region = (beyond <= 1e-9).all(axis=-1)
    return inside


def check_alike(first: Picture, second: Picture, region: Region) -> None:
    """Raise InputError for pictures of different sizes, values that are not finite, and an empty region."""
    if first.shape != second.shape or first.shape[:2] != region.shape:
        raise InputError(f"Pictures of {first.shape} and {second.shape} cannot be compared in a region {region.shape}.")
    if not region.any():
        raise InputError("The region in which two pictures are to be compared is empty.")
    if not (np.isfinite(first[region]).all() and np.isfinite(second[region]).all()):
        raise InputError("A picture holds colours that are not finite numbers; the avatar's file may be damaged.")


def _checkpoints() -> Path:
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "torch"
    return Path(home) / "hub" / "checkpoints"


def _similarity(first: Picture, second: Picture) -> Float[np.ndarray, "_ _"]:
    """SSIM about each pixel, the mean over colours."""
    if min(first.shape[:2]) < TAPS:
        raise InputError(f"Pictures of {first.shape[1]} x {first.shape[0]} pixels are too small for SSIM; 11 it takes.")
    _, similarity = structural_similarity(
        first.astype(np.float64),
        second.astype(np.float64),
        gaussian_weights=True,
        sigma=SIGMA,
        truncate=(TAPS // 2) / SIGMA,
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=2,
        full=True,
    )
    mean: Float[np.ndarray, "_ _"] = similarity.mean(-1)
    return mean


@cache
def _lpips() -> Callable[..., Any]:
    missing = lpips_missing()
    if missing is not None:
        raise InputError(f"LPIPS cannot be computed: {missing}.")
    import lpips

    network: Callable[..., Any] = lpips.LPIPS(net="alex", verbose=False).eval()
    return network
