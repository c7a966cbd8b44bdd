"""What the readers and writers of other people's head datasets share: numbers out of JSON, FLAME, cameras."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.names import HEAD_SKELETON
from data_prep.video_dataset import VideoDataset

SHAPE_COUNT, EXPRESSION_COUNT = 300, 100
"""FLAME's components of identity and of expression."""
FRAME_RATE = 25.0
"""Frames a second of a dataset that does not tell."""
JOINTS = HEAD_SKELETON.joint_names


def opencv_from_opengl() -> Float[Tensor, "4 4"]:
    """Turns camera axes x right, y up, z backward into x right, y down, z forward, or back."""
    return torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))


def numbers(entry: Mapping[str, Any], field: str, shape: tuple[int, ...], where: str) -> Float[Tensor, "..."]:
    """A field of numbers of the given shape, in double precision; raises InputError that names file and field."""
    if field not in entry:
        raise InputError(f"{where}: '{field}' is missing; export the dataset again.")
    try:
        value = torch.tensor(entry[field], dtype=torch.float64)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise InputError(f"{where}: '{field}' does not hold numbers ({error}); export the dataset again.") from error
    if tuple(value.shape) != shape:
        raise InputError(f"{where}: '{field}' has the shape {tuple(value.shape)}; expected {shape}.")
    if not bool(value.isfinite().all()):
        raise InputError(f"{where}: '{field}' holds a value that is not finite; leave that frame out.")
    return value


def number(entry: Mapping[str, Any], field: str, where: str) -> float:
    """A field of one number."""
    return float(numbers(entry, field, (), where))


def frames_of(index: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    """The entries of an index's `frames`, each with named fields."""
    frames = index.get("frames")
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise InputError(f"{path}: 'frames' is not a list of frames; export the dataset again.")
    return frames


def require_flame(dataset: VideoDataset, layout: str) -> None:
    """Raise InputError unless a dataset was tracked with FLAME."""
    if dataset.model.split("_")[0] != "flame" or dataset.joint_names != JOINTS:
        raise InputError(
            f"{layout} holds FLAME parameters, but this dataset was tracked with '{dataset.model}'. Run `avatars "
            "prepare VIDEO --model flame` (after `avatars models add` of FLAME's file), or write_video_dataset it."
        )


def usable(dataset: VideoDataset) -> tuple[VideoDataset, tuple[str, ...]]:
    """The frames fit for use, and a note of how many were left out; raises InputError when none is."""
    kept = [index for index, frame in enumerate(dataset.frames) if frame.use]
    if not kept:
        raise InputError("No frame of this dataset is marked for use; run `avatars prepare` on a better video.")
    left_out = len(dataset) - len(kept)
    notes = (f"{left_out} of {len(dataset)} frames were left out, since they are not fit for use.",) if left_out else ()
    return dataset.subset(kept), notes


def fitted(values: Float[Tensor, "*rows number"], count: int, what: str) -> tuple[Tensor, tuple[str, ...]]:
    """Parameters cut or filled with zeros to a number of them, and a note when something was cut."""
    lost = values[..., count:]
    cut = torch.nn.functional.pad(values[..., :count], (0, max(0, count - values.shape[-1])))
    if lost.numel() == 0 or float(lost.abs().max()) == 0:
        return cut, ()
    return cut, (f"{what} beyond the first {count} were dropped (up to {float(lost.abs().max()):.2g}).",)


def check_rate(frame_rate: float) -> None:
    """Raise InputError for a rate that is none."""
    if not (math.isfinite(frame_rate) and frame_rate > 0):
        raise InputError(f"A frame rate of {frame_rate} is not possible; give frames a second, such as 25.")


def check_new(folder: Path) -> None:
    """Raise InputError when a folder to be written holds something already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} holds something already, which would be lost; name a new folder.")
