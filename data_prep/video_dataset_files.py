"""The files of a tracked video on disk: index, pictures and masks, with errors that name file and field."""

import json
import shutil
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from body_models.errors import InputError
from data_prep.atomic import replacing
from data_prep.tensor_files import damaged
from data_prep.video_maps import read_parsed

INDEX = "dataset.json"
TRACKS = "tracks.safetensors"
AGAIN = "make it again (`avatars prepare VIDEO`)"
_FORMATS = ("PNG", "JPEG")
_EIGHT_BIT = ("1", "L", "LA", "P", "RGB", "RGBA")
_UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


def read_index(folder: Path, version: int, fixed: dict[str, object]) -> dict[str, Any]:
    """The index of a dataset's folder, of at most that version and with the fixed values."""
    path = folder / INDEX
    if not folder.is_dir():
        raise InputError(f"No dataset folder at {folder}; make one with `avatars prepare VIDEO --out {folder}`.")
    if not path.is_file() and ((folder / TRACKS).exists() or (folder / "frames").is_dir()):
        raise InputError(f"The dataset in {folder} was not written to its end (no {INDEX}); {AGAIN}.")
    if not path.is_file():
        raise InputError(f"{folder} holds no dataset (no {INDEX}); give a folder that `avatars prepare` wrote.")
    index = read_json(path)
    if index.get("kind") == "scans":
        raise InputError(f"{folder} is a dataset of scans, not of a video; make one with `avatars prepare VIDEO`.")
    found = index.get("version")
    if not isinstance(found, int) or found < 1:
        raise broken_index(folder, "it names no version")
    if found > version:
        raise InputError(
            f"{path} is of version {found}, newer than this program's {version}; "
            f"run `pip install --upgrade animatable-avatars`, or {AGAIN}."
        )
    for key, value in fixed.items():
        if index.get(key) != value:
            raise broken_index(folder, f"its {key} is {index.get(key)!r} instead of {value!r}")
    return index


def read_json(path: Path) -> dict[str, Any]:
    """An object from a JSON file; raises InputError when there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing; check the path, or export the dataset again.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not readable JSON ({error}). To mend the dataset, {AGAIN}.") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds a {type(value).__name__} instead of named fields. To mend it, {AGAIN}.")
    return value


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write an object as JSON that appears whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, allow_nan=False), encoding="utf-8")


def broken_index(folder: Path, reason: str) -> InputError:
    """The error of an index that cannot be right."""
    return damaged(folder / INDEX, reason, AGAIN)


def withdraw(folder: Path) -> None:
    """Make an older dataset in the folder incomplete, so that a failed write leaves nothing that looks whole."""
    try:
        (folder / INDEX).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"Cannot replace {folder / INDEX}: {error.strerror}. Choose another folder.") from error


def is_inside(name: str) -> bool:
    """Whether a file's name, as an index gives it, stays within the folder on every system."""
    path = PurePosixPath(name)
    strange = "\\" in name or "\0" in name or bool(PureWindowsPath(name).drive)
    return name not in ("", ".") and not path.is_absolute() and ".." not in path.parts and not strange


def check_picture(path: Path, size: tuple[int, int], what: str, mend: str = AGAIN) -> None:
    """Raise InputError unless the file is a picture of that width and height; reads its first bytes only."""
    found = picture_size(path, what, mend)
    if found != size:
        raise InputError(f"{path}, {what}, is {found[0]} x {found[1]} pixels instead of {size[0]} x {size[1]}; {mend}.")


def picture_size(path: Path, what: str, mend: str = AGAIN) -> tuple[int, int]:
    """Width and height of a PNG or JPEG; raises InputError when there is none."""
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            return picture.size
    except FileNotFoundError as error:
        raise InputError(f"{path}, {what}, is missing; {mend}.") from error
    except _UNREADABLE as error:
        raise InputError(f"{path}, {what}, is no readable PNG or JPEG; {mend}.") from error


def has_transparency(path: Path, what: str) -> bool:
    """Whether a picture has an alpha channel; raises InputError when there is no picture."""
    picture_size(path, what)
    with Image.open(path, formats=_FORMATS) as picture:
        return picture.mode in ("RGBA", "LA") or "transparency" in picture.info


def read_rgb(path: Path, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    """The colours of a picture of that width and height."""
    return np.asarray(_opened(path, size).convert("RGB"))


def read_alpha(path: Path, size: tuple[int, int]) -> Float[np.ndarray, "height width"]:
    """The coverage in a mask of that width and height, 0 to 1: the alpha channel where there is one, else the grey."""
    picture = _opened(path, size)
    if picture.mode in ("RGBA", "LA") or "transparency" in picture.info:
        picture = picture.convert("RGBA").getchannel("A")
    return np.asarray(picture.convert("L"), dtype=np.float32) / 255


def copy_rgb(source: Path, target: Path, size: tuple[int, int]) -> None:
    """Copy a picture as an RGB PNG; the pixels stay."""
    _copy(source, target, size, lambda: read_rgb(source, size), "RGB")


def copy_alpha(source: Path, target: Path, size: tuple[int, int]) -> None:
    """Copy a mask as an 8-bit grey PNG; the coverage stays."""
    _copy(source, target, size, lambda: (read_alpha(source, size) * 255).round().astype(np.uint8), "L")


def copy_parsed(source: Path, target: Path, size: tuple[int, int]) -> None:
    """Copy a map of classes as an 8-bit grey PNG of face-parsing numbers; they stay."""
    numbers = read_parsed(source, size)
    with replacing(target) as temporary:
        Image.fromarray(numbers).save(temporary, format="PNG")


def _copy(source: Path, target: Path, size: tuple[int, int], pixels: Any, mode: str) -> None:
    plain = _opened(source, size).mode == mode and source.suffix.lower() == ".png" == target.suffix.lower()
    with replacing(target) as temporary:
        if plain:
            shutil.copyfile(source, temporary)
        else:
            Image.fromarray(pixels()).save(temporary, format="PNG")


def _opened(path: Path, size: tuple[int, int]) -> Image.Image:
    check_picture(path, size, "a picture of the dataset")
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            picture.load()
    except _UNREADABLE as error:
        raise InputError(f"{path} is damaged ({error}); {AGAIN}.") from error
    if picture.mode not in _EIGHT_BIT:
        raise InputError(f"{path} has pixels of the kind '{picture.mode}'; save it with 8 bits a channel.")
    return picture
