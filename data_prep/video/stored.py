"""The pictures and masks of a dataset, written as a pass over the video goes along."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from data_prep.atomic import replacing
from data_prep.video.crop import Crops, cut_out

COMPRESSION = 1
"""Of PNG: writing takes a third of the usual time, files are a tenth larger."""


def image_name(index: int) -> str:
    """File of a frame's picture, relative to the dataset's folder."""
    return f"frames/{index:06d}.png"


def mask_name(index: int) -> str:
    """File of a frame's mask, relative to the dataset's folder."""
    return f"masks/{index:06d}.png"


def write_picture(
    folder: Path, index: int, rgb: UInt8[np.ndarray, "height width 3"], alpha: Float[np.ndarray, "height width"]
) -> None:
    """Write a frame's picture and mask."""
    _write(folder / image_name(index), rgb)
    _write(folder / mask_name(index), to_bytes(alpha))


def cut_alpha(
    alpha: Float[np.ndarray, "height width"], crops: Crops, index: int
) -> Float[np.ndarray, "crop_height crop_width"]:
    """The part of a whole frame's alpha that the crop shows."""
    grey = np.repeat(to_bytes(alpha)[..., None], 3, axis=2)
    cropped = cut_out(grey, crops.centers[index], float(crops.sides[index]), crops.size)
    return cropped[..., 0].astype(np.float32) / 255


def to_bytes(alpha: Float[np.ndarray, "height width"]) -> UInt8[np.ndarray, "height width"]:
    """Coverage as bytes."""
    return (np.clip(alpha, 0.0, 1.0) * 255).round().astype(np.uint8)


def _write(path: Path, pixels: np.ndarray) -> None:
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG", compress_level=COMPRESSION)
