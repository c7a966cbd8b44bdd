"""A folder of pictures as a video."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from body_models.errors import InputError
from data_prep.video.frame_source import FrameOptions, FrameSource, Picture, Rgb

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # what Pillow raises for broken files


class ImageFolder(FrameSource):
    """Pictures of one size in natural order of their names (2 before 10), upright as their camera noted it."""

    def __init__(self, folder: Path, options: FrameOptions) -> None:
        """Check all headers first; raises InputError that names a picture of another size or not readable."""
        self._paths = _picture_paths(folder)
        width, height = _displayed_size(self._paths[0])
        for path in self._paths[1:]:
            if (found := _displayed_size(path)) != (width, height):
                raise InputError(
                    f"{path} has {found[0]} x {found[1]} pixels, but {self._paths[0].name} has {width} x {height}; "
                    "give one folder for each size, or bring the pictures to one size."
                )
        super().__init__(folder, width, height, np.arange(len(self._paths)) / options.picture_rate, options)

    def _pictures(self, first: int) -> Iterator[Picture]:
        for source in range(first, len(self._paths)):
            try:
                rgb = _read(self._paths[source])
            except UNREADABLE:
                self._note(f"{self._paths[source].name} is damaged.")
                continue
            yield source, partial(_same, rgb)


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorting key that counts digits as numbers: frame2 before frame10."""
    parts = re.split(r"(\d+)", name.lower())
    return tuple((1, int(part), part) if part.isdecimal() else (0, 0, part) for part in parts)


def _picture_paths(folder: Path) -> list[Path]:
    try:
        inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise InputError(f"Cannot read the folder {folder}: {error.strerror}; check its permissions.") from error
    paths = [path for path in inside if path.suffix.lower() in SUFFIXES and path.is_file()]
    if paths:
        return sorted(paths, key=lambda path: natural_key(path.name))
    folders = sorted(path.name for path in inside if path.is_dir())
    hint = f" It has the folders {', '.join(folders[:5])}: is it one of these?" if folders else ""
    raise InputError(f"{folder} holds no pictures ({', '.join(SUFFIXES)}); give a folder that does, or a video.{hint}")


def _displayed_size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            orientation = Image.Image.getexif(image).get(0x0112)  # the one of PNG would read all pixels
            sideways = orientation in SIDEWAYS
            return (image.height, image.width) if sideways else (image.width, image.height)
    except UNREADABLE as error:
        raise InputError(f"{path} is no readable picture; remove it from the folder, or replace it.") from error


def _read(path: Path) -> Rgb:
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):  # 16 bits a pixel, which Pillow would clip instead of scale
            grey = (np.asarray(upright).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
            return np.repeat(grey[..., None], 3, axis=2)
        return np.array(upright.convert("RGB"))


def _same(rgb: Rgb) -> Rgb:
    return rgb
