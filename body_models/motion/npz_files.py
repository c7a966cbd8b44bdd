"""Read plain arrays out of `.npz` files, with errors that name file and key."""

import logging
import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.file_kinds import foreign_kind

_log = logging.getLogger(__name__)

_DAMAGED = (zipfile.BadZipFile, EOFError, ValueError, zlib.error, MemoryError, NotImplementedError, RuntimeError)
_RATE_KEYS = ("mocap_frame_rate", "mocap_framerate", "fps")
_MANY = 0.25
"""Share of frames with more than a full turn in a joint that makes angles look like degrees."""
SAY_RATE = "load_motion(path, frame_rate=30.0), or --frame-rate 30 on the command line"
"""How a user gives the frame rate of a file that has none."""


def holds_body_poses(path: Path) -> bool:
    """Whether a file is one of a whole body's poses (or cannot be read), by its keys alone."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return bool({"poses", "pose_body", "body_pose"} & set(getattr(file, "files", ["poses"])))
    except (OSError, *_DAMAGED):
        return True


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays that are plain data; pickled ones are left out, since unpickling may run code."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise InputError(f"{path}: a single array, not an .npz archive with 'poses' and 'trans'.")
            arrays = {}
            for key in file.files:
                try:
                    arrays[key] = file[key]
                except ValueError:
                    continue
            return arrays
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}). Check the path.") from error
    except _DAMAGED as error:
        if isinstance(error, InputError):
            raise
        kind = foreign_kind(_start(path))
        if kind is not None and kind != "a zip archive":  # which an .npz file is, too
            raise InputError(f"{path}: this is {kind}, not an .npz file. Check the path.") from error
        raise InputError(f"{path}: damaged or not an .npz file ({error}). Download or export it again.") from error


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(512)


def numbers(path: Path, arrays: Mapping[str, np.ndarray], key: str) -> Float[Tensor, "..."]:
    """A key's values in double precision; raises InputError when there are none or not all are finite."""
    if key not in arrays:
        raise InputError(f"{path}: no key '{key}' with plain numbers. Keys found: {', '.join(arrays) or 'none'}.")
    array = arrays[key]
    if array.dtype.kind not in "fiu":
        raise InputError(f"{path}: '{key}' does not hold numbers (its type is {array.dtype}).")
    if not np.isfinite(array).all():
        first = np.argwhere(~np.isfinite(np.atleast_1d(array)))[0].tolist()
        raise InputError(
            f"{path}: '{key}' holds a value that is not finite, the first at index {first}. Cut that frame out, or "
            "export the file again."
        )
    return torch.from_numpy(np.array(array, dtype=np.float64))


def scalar_text(arrays: Mapping[str, np.ndarray], key: str) -> str | None:
    """A key that holds one word or number, as text; None when it is missing."""
    if key not in arrays or arrays[key].size != 1:
        return None
    value = arrays[key].item()
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def text(path: Path, arrays: Mapping[str, np.ndarray], key: str, allowed: tuple[str, ...], default: str) -> str:
    """A key's word, which must be an allowed one; the default when it is missing."""
    if key not in arrays:
        return default
    value = scalar_text(arrays, key)
    if value is None or value not in allowed:
        raise InputError(f"{path}: '{key}' is '{value}'; expected one of {', '.join(allowed)}.")
    return value


def frame_rate(path: Path, arrays: Mapping[str, np.ndarray], given: float | None = None) -> float:
    """Frames per second under any of the spellings in use, else the given rate."""
    for key in _RATE_KEYS:
        if key in arrays:
            value = numbers(path, arrays, key)
            if value.numel() != 1 or float(value) <= 0:
                raise InputError(f"{path}: '{key}' is no frame rate ({arrays[key]}).")
            return float(value)
    if given is None:
        raise InputError(
            f"{path}: no frame rate; expected a key {' or '.join(_RATE_KEYS)}. Keys: {', '.join(arrays)}. Say it: "
            f"{SAY_RATE}."
        )
    return given


def warn_of_degrees(path: Path, rotations: Float[Tensor, "frame bone 3"]) -> None:
    """Log a warning when joints beyond the root turn by more than a full turn in many frames."""
    if rotations.shape[1] < 2:
        return
    largest = rotations[:, 1:].norm(dim=-1).amax(dim=1)
    beyond = int((largest > 2 * math.pi).sum())
    if beyond > _MANY * len(rotations):
        _log.warning(
            "%s: in %d of %d frames a joint turns by more than a full turn (up to %.3g radians); these look like "
            "degrees, but are read as radians. If so, save the file again with np.deg2rad of the angles.",
            path, beyond, len(rotations), float(largest.max()),
        )  # fmt: skip


def expression_names(path: Path, arrays: Mapping[str, np.ndarray], count: int) -> tuple[str, ...]:
    """The names of so many expression parameters; none where the file has none."""
    names = arrays.get("expression_names")
    if names is None or count == 0:
        return ()
    if names.dtype.kind not in "US" or names.shape != (count,):
        raise InputError(f"{path}: 'expression_names' has shape {names.shape}; expected {count} texts.")
    return tuple(name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names.tolist())
