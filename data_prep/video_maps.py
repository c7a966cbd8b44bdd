"""What each pixel of a tracked head shows: maps of classes and of normals, as picture files and in memory.

Class maps are pictures of one channel with the 19 numbers of face parsing (CelebAMask-HQ, as BiSeNet gives them out and
as IMavatar's `semantic` folders hold them); in memory they are IMavatar's nine classes. Normal maps are RGB pictures of
(normal + 1) / 2 in the camera's axes: x right, y up, z towards the camera; what is no direction, such as plain black or
grey, is not known.
"""

from enum import IntEnum
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from body_models.errors import InputError

FORMATS = ("PNG", "JPEG")
MEND = "make the maps anew and hand them over with `avatars dataset add-maps`"
UNIT = (0.6, 1.3)
"""Decoded vectors of a length between these are directions; eight bits and smoothing leave none exactly of length 1."""
_UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


class FaceClass(IntEnum):
    """IMavatar's nine classes of pixels."""

    SKIN = 0
    EYES = 1
    BROWS = 2
    MOUTH = 3
    """Interior of the mouth; glasses too, which no head model has either."""
    UPPER_LIP = 4
    LOWER_LIP = 5
    HAIR = 6
    """Earrings and hats too: what moves with the skull."""
    CLOTH = 7
    """Necklaces too."""
    BACKGROUND = 8


FACE_PARSING: dict[FaceClass, tuple[int, ...]] = {
    FaceClass.SKIN: (1, 7, 8, 10, 14),
    FaceClass.EYES: (4, 5),
    FaceClass.BROWS: (2, 3),
    FaceClass.MOUTH: (6, 11),
    FaceClass.UPPER_LIP: (12,),
    FaceClass.LOWER_LIP: (13,),
    FaceClass.HAIR: (9, 17, 18),
    FaceClass.CLOTH: (15, 16),
    FaceClass.BACKGROUND: (0,),
}
"""Which of the 19 numbers of face parsing fall into each class. Skin: skin, ears, nose, neck."""
PARSED = 19


def _class_of_parsed() -> UInt8[np.ndarray, "parsed"]:
    table = np.zeros(PARSED, np.uint8)
    for face_class, numbers in FACE_PARSING.items():
        table[list(numbers)] = face_class
    return table


CLASS_OF_PARSED = _class_of_parsed()
"""The class of each of the 19 numbers."""


def read_classes(path: Path, size: tuple[int, int] | None = None) -> UInt8[np.ndarray, "height width"]:
    """A map of the nine classes from a picture of face-parsing numbers, of that width and height where given.

    Raises InputError when the file is missing, no such picture or of another size, or holds another number.
    """
    return CLASS_OF_PARSED[read_parsed(path, size)]


def read_parsed(path: Path, size: tuple[int, int] | None = None) -> UInt8[np.ndarray, "height width"]:
    """The 19 numbers of face parsing in a picture; raises InputError as `read_classes` does."""
    picture = _opened(path, size, "map of classes")
    numbers = np.asarray(picture)
    if numbers.ndim == 3:
        if picture.mode == "LA" or not (numbers[..., :1] == numbers[..., :3]).all():
            raise InputError(
                f"{path} is a coloured picture; a map of classes holds their numbers, 0 to {PARSED - 1} of face "
                f"parsing, in one channel. Save the numbers, not the picture made of them, and {MEND}."
            )
        numbers = numbers[..., 0]
    if numbers.dtype != np.uint8:
        raise InputError(f"{path} has pixels of the kind '{picture.mode}'; save 8 bits in one channel, and {MEND}.")
    if int(numbers.max()) >= PARSED:
        raise InputError(
            f"{path} holds the number {int(numbers.max())}, which is no class: face parsing (CelebAMask-HQ, BiSeNet) "
            f"knows 0 to {PARSED - 1}. Where your parser counts otherwise, renumber, and {MEND}."
        )
    return numbers


def read_normals(path: Path, size: tuple[int, int] | None = None) -> Float[np.ndarray, "height width 3"]:
    """Unit normals in the camera's axes (x right, y up, z towards the camera); zero where not known.

    Raises InputError when the file is missing, no RGB picture or of another size.
    """
    picture = _opened(path, size, "map of normals")
    if picture.mode not in ("RGB", "RGBA"):
        raise InputError(
            f"{path} has pixels of the kind '{picture.mode}'; a map of normals is RGB, 8 bits a channel. To mend it, "
            f"{MEND}."
        )
    return units(np.asarray(picture.convert("RGB"), np.float32) / 255 * 2 - 1)


def units(vectors: Float[np.ndarray, "height width 3"]) -> Float[np.ndarray, "height width 3"]:
    """Directions of unit length; zero for vectors that are none."""
    length = np.linalg.norm(vectors, axis=2, keepdims=True)
    known = (length > UNIT[0]) & (length < UNIT[1])
    return np.where(known, vectors / np.maximum(length, UNIT[0]), 0).astype(np.float32)


def coded_normals(normals: Float[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width 3"]:
    """Normals as the colours of a picture."""
    return ((normals + 1) / 2 * 255).round().astype(np.uint8)


def resized_classes(
    classes: UInt8[np.ndarray, "height width"], size: tuple[int, int]
) -> UInt8[np.ndarray, "new_height new_width"]:
    """A map of numbers at another width and height, by the nearest pixel."""
    return np.asarray(Image.fromarray(classes).resize(size, Image.Resampling.NEAREST))


def resized_normals(
    normals: Float[np.ndarray, "height width 3"], size: tuple[int, int]
) -> Float[np.ndarray, "new_height new_width 3"]:
    """Normals averaged over the area of new pixels, unit again; zero where those beneath are unknown or disagree."""
    channels = [
        np.asarray(Image.fromarray(np.ascontiguousarray(channel)).resize(size, Image.Resampling.BOX))
        for channel in normals.transpose(2, 0, 1)
    ]
    return units(np.stack(channels, 2))


def _opened(path: Path, size: tuple[int, int] | None, what: str) -> Image.Image:
    try:
        with Image.open(path, formats=FORMATS) as picture:
            picture.load()
    except FileNotFoundError as error:
        raise InputError(f"{path}, a {what}, is missing; {MEND}.") from error
    except _UNREADABLE as error:
        raise InputError(f"{path}, a {what}, is no readable PNG or JPEG; {MEND}.") from error
    if size is not None and picture.size != size:
        found, wanted = (f"{width} x {height}" for width, height in (picture.size, size))
        raise InputError(f"{path}, a {what}, is {found} pixels instead of {wanted}; {MEND}.")
    return picture
