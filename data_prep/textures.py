"""Pictures that colour meshes: read whatever their mode, bounded in size, looked up at any place."""

import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image

from body_models.errors import InputError
from data_prep.pictures.mesh import srgb_to_linear

REPEAT, CLAMP, MIRROR = "repeat", "clamp", "mirror"
LONGEST_SIDE = 8192
"""Longer sides are halved until they are not (pixels); a byte a channel, this is 256 MB at most."""
LINEAR_OF_BYTE = srgb_to_linear(torch.arange(256) / 255).numpy()
"""Linear light of each sRGB-coded byte."""


@dataclass(frozen=True)
class Texture:
    """A picture of sRGB-coded bytes and opacity, and how it goes on beyond its edges."""

    pixels: UInt8[np.ndarray, "height width 4"]
    wrap: tuple[str, str] = (REPEAT, REPEAT)
    """Along u and v: repeat, clamp or mirror."""

    def at(self, uv: Float[np.ndarray, "sample 2"]) -> Float[np.ndarray, "sample 4"]:
        """Linear colour and opacity at places, (0, 0) the upper left corner, between pixels mixed in linear light."""
        height, width = self.pixels.shape[:2]
        place = np.nan_to_num(uv, posinf=0.0, neginf=0.0) * (width, height) - 0.5
        base = np.floor(place)
        share = place - base
        found = np.zeros((len(uv), 4))
        for right in (0, 1):
            for down in (0, 1):
                column = _wrapped(base[:, 0] + right, width, self.wrap[0])
                row = _wrapped(base[:, 1] + down, height, self.wrap[1])
                pixel = self.pixels[row, column]
                weight = np.abs(1 - right - share[:, 0]) * np.abs(1 - down - share[:, 1])
                found[:, :3] += weight[:, None] * LINEAR_OF_BYTE[pixel[:, :3]]
                found[:, 3] += weight * pixel[:, 3] / 255
        return found


def _wrapped(index: Float[np.ndarray, " sample"], count: int, wrap: str) -> Int[np.ndarray, " sample"]:
    if wrap == CLAMP:
        return np.clip(index, 0, count - 1).astype(np.int64)
    if wrap == MIRROR:
        turned = np.mod(index, 2 * count)
        return np.minimum(turned, 2 * count - 1 - turned).astype(np.int64)
    return np.mod(index, count).astype(np.int64)


def read_texture(source: bytes | Path, name: str, wrap: tuple[str, str] = (REPEAT, REPEAT)) -> Texture:
    """Read a picture of any mode: grey, palette, CMYK, 16 bits a channel, with or without opacity.

    Raises InputError, naming the picture, for what cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures, which are bounded here
            with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as image:
                return Texture(_rgba(_bounded(image)), wrap)
    except Image.DecompressionBombError as error:
        raise InputError(f"texture '{name}' has too many pixels; make it at most {LONGEST_SIDE} wide") from error
    except Exception as error:  # picture decoders fail in any way on damaged bytes
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise InputError(f"texture '{name}' cannot be read ({reason})") from error


def _bounded(image: Image.Image) -> Image.Image:
    longest = max(image.size)
    if longest <= LONGEST_SIDE:
        return image
    image.draft(None, (LONGEST_SIDE // 2, LONGEST_SIDE // 2))  # JPEG: decoded at a half or a quarter at once
    factor = -(-max(image.size) // LONGEST_SIDE)
    plain = image if image.mode in ("L", "RGB", "RGBA", "LA", "CMYK") or image.mode.startswith("I") else None
    return (plain or image.convert("RGBA")).reduce(factor) if factor > 1 else image


def _rgba(image: Image.Image) -> UInt8[np.ndarray, "height width 4"]:
    """Four bytes a pixel; pictures of more bits than eight a channel keep the upper ones."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float64)
        top = float(np.nanmax(values)) if values.size else 0.0
        white = 1.0 if image.mode == "F" and top <= 1.0 else 255.0 if top <= 255.0 else 65535.0
        grey = np.clip(np.nan_to_num(values) * (255.0 / white), 0, 255).astype(np.uint8)
        return np.stack([grey, grey, grey, np.full_like(grey, 255)], axis=2)
    return np.asarray(image.convert("RGBA"), np.uint8)
