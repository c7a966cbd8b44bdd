"""Maps of a rendered picture as the pixels of image files."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, UInt8, UInt16
from torch import Tensor

from avatars.export.pictures.render_options import BACKGROUNDS, DEPTH, MASK, NORMAL, RGB, TRANSPARENT, WORLD_NORMAL
from avatars.models.person_picture import view_normals
from data_prep.camera import Camera
from data_prep.pictures import RenderedImage
from data_prep.pictures.mesh import linear_to_srgb
from data_prep.video_maps import coded_normals

MILLIMETRES = 1000.0
DEEPEST = 65_535

Pixels = UInt8[np.ndarray, "height width *channel"] | UInt16[np.ndarray, "height width"]


def map_pixels(name: str, image: RenderedImage, camera: Camera, background: str) -> Pixels:
    """One map of a picture whose colours are the figure's alone, not mixed with what is behind it (linear).

    rgb: sRGB over the background, or with its coverage as a fourth channel where that is transparent. normal:
    (n + 1) / 2 in the camera's axes, x right, y up, z towards the viewer; world-normal: in the world's axes; both grey
    where nothing is seen. depth: along the camera's z in millimetres, 0 where nothing is seen or it is farther than 65
    metres. mask: coverage.
    """
    makers: dict[str, Callable[[], Pixels]] = {
        RGB: lambda: colour_pixels(image, background),
        NORMAL: lambda: coded_normals(view_normals(image.normal, camera).cpu().numpy()),
        WORLD_NORMAL: lambda: coded_normals(image.normal.cpu().numpy()),
        DEPTH: lambda: depth_pixels(image.depth),
        MASK: lambda: _bytes(image.mask),
    }
    return makers[name]()


def colour_pixels(image: RenderedImage, background: str) -> UInt8[np.ndarray, "height width channel"]:
    """sRGB over a background, mixed as viewers of transparent pictures mix (coded), or with alpha."""
    coded, alpha = linear_to_srgb(image.rgb.clamp(0, 1)), image.mask[..., None]
    if background == TRANSPARENT:
        return _bytes(torch.cat([coded, alpha], -1))
    return _bytes(coded * alpha + BACKGROUNDS[background] * (1 - alpha))


def depth_pixels(depth: Float[Tensor, "height width"]) -> UInt16[np.ndarray, "height width"]:
    """Millimetres; 0 where there is no depth or one that does not fit."""
    millimetres = (depth.double() * MILLIMETRES).round()
    fits = (millimetres > 0) & (millimetres <= DEEPEST)
    return torch.where(fits, millimetres, 0.0).cpu().numpy().astype(np.uint16)


def three_channels(pixels: Pixels) -> UInt8[np.ndarray, "height width 3"]:
    """The pixels of a map of 8 bits as a video takes them."""
    assert pixels.dtype == np.uint8
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2)


def _bytes(values: Float[Tensor, "height width *channel"]) -> UInt8[np.ndarray, "height width *channel"]:
    return (values * 255).round().to(torch.uint8).cpu().numpy()
