"""Add the user's own maps to a tracked video: a face parser's classes, a normal estimator's normals."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL import Image

from body_models.errors import InputError
from data_prep.atomic import replacing
from data_prep.video.own_inputs import MASK_SUFFIXES, natural_order
from data_prep.video_dataset import FOLDERS, VideoDataset, read_video_dataset, write_index
from data_prep.video_dataset_files import INDEX
from data_prep.video_maps import (
    coded_normals,
    read_normals,
    read_parsed,
    resized_classes,
    resized_normals,
)

PROPORTIONS = 0.02
"""Maps may be of any size, but their sides' ratio may differ from the frames' by this share at most."""


def add_maps(
    folder: Path | str,
    semantics: Path | str | None = None,
    normals: Path | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> VideoDataset:
    """Hand a dataset a map for each of its frames, in place of earlier ones; returns the dataset with them.

    Each folder holds one picture for each frame, in the order of the names, of the whole stored picture at any
    resolution: numbers of face parsing, or normals as `video_maps` has them. All are looked at before any is written;
    `progress` hears of each done, of how many. Raises InputError that names the file for maps that cannot be used.
    """
    folder = Path(folder)
    if not (folder / INDEX).is_file() and folder.is_dir():
        raise InputError(
            f"{folder} is no dataset of `avatars prepare`; bring another layout into ours first: `avatars dataset "
            f"convert {folder} OUT`."
        )
    dataset = read_video_dataset(folder)
    given = {"semantic": semantics, "normal": normals}
    files = {
        field: _files(Path(place), dataset, _OPTIONS[field]) for field, place in given.items() if place is not None
    }
    if not files:
        raise InputError("No maps given; name a folder with --semantics or with --normals.")
    total = 2 * len(files) * len(dataset)
    done, facing = 0, 0.0
    for writing in (False, True):
        for field, number in itertools.product(files, range(len(dataset))):
            pixels = _read(files[field][number], field, dataset)
            if writing:
                _write(pixels, folder / _name(field, number))
            elif field == "normal":
                facing += float(pixels[..., 2].sum())
            done += 1
            if progress is not None:
                progress(done, total)
        if "normal" in files:
            _check_facing(facing, files["normal"][0].parent)
    frames = [frame.with_files({field: _name(field, i) for field in files}) for i, frame in enumerate(dataset.frames)]
    dataset = replace(dataset, frames=tuple(frames))
    write_index(dataset, folder)
    return dataset


_OPTIONS = {"semantic": "--semantics", "normal": "--normals"}


def _name(field: str, number: int) -> str:
    return f"{FOLDERS[field]}/{number:06d}.png"


def _write(pixels: Shaped[np.ndarray, "height width *channel"], path: Path) -> None:
    with replacing(path) as temporary:
        Image.fromarray(coded_normals(pixels) if pixels.ndim == 3 else pixels).save(temporary, format="PNG")


def _files(folder: Path, dataset: VideoDataset, option: str) -> list[Path]:
    """The maps of all frames in their order."""
    if not folder.is_dir():
        raise InputError(f"{option} '{folder}' is no folder; name one that holds a PNG for each frame.")
    files = [file for file in folder.iterdir() if file.suffix.lower() in MASK_SUFFIXES and file.name[0] != "."]
    if len(files) != len(dataset):
        raise InputError(
            f"'{folder}' holds {len(files)} maps, but the dataset has {len(dataset)} frames. Give one for each picture "
            f"in {dataset.path('frames')}, named in their order."
        )
    return sorted(files, key=natural_order)


def _read(path: Path, field: str, dataset: VideoDataset) -> Shaped[np.ndarray, "height width *channel"]:
    """A map at the size of the dataset's pictures."""
    pixels = read_normals(path) if field == "normal" else read_parsed(path)
    height, width = pixels.shape[:2]
    if abs(width * dataset.height / (height * dataset.width) - 1) > PROPORTIONS:
        raise InputError(
            f"The map '{path}' is {width} x {height} pixels, the frames are {dataset.width} x {dataset.height}: other "
            f"proportions. Make maps of the pictures in {dataset.path('frames')}, not of the whole video's."
        )
    size = (dataset.width, dataset.height)
    if (width, height) == size:
        return pixels
    return resized_normals(pixels, size) if field == "normal" else resized_classes(pixels, size)


def _check_facing(facing: float, folder: Path) -> None:
    """Raise InputError for normals that are none, or that are coded with another axis towards the camera."""
    convention = "(normal + 1) / 2 as RGB, x right, y up, z towards the camera"
    if facing == 0:
        raise InputError(f"The pictures in '{folder}' hold no normals. They are coded as {convention}.")
    if facing < 0:
        raise InputError(
            f"The normals in '{folder}' point away from the camera. They are coded as {convention}: turn blue round "
            "(255 - blue), and green too where y points down (OpenCV's axes)."
        )
