"""Named tensors in safetensors files, checked for shape and finiteness when they are read."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from body_models.errors import InputError
from data_prep.atomic import replacing

Shapes = Mapping[str, tuple[str | int, ...]]
"""Dimensions of each tensor: a number, or a name that stands for the same number wherever it occurs."""


def read_tensors(
    path: Path, shapes: Shapes, sizes: Mapping[str, int], again: str, holes: Collection[str] = ()
) -> dict[str, Any]:
    """The named tensors of a file, finite and of shapes that agree with each other and with the sizes known.

    `faces` must hold indices of `vertex`, `coded` bytes; the tensors in `holes` may hold NaN. Raises InputError that
    names the file and the tensor and ends in what to do `again`.
    """
    try:
        tensors = load(path.read_bytes())  # not mapped from disk, so that the folder can be written again meanwhile
    except FileNotFoundError as error:
        raise damaged(path, "it is missing", again) from error
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise damaged(path, str(error), again) from error
    known = dict(sizes)
    for name, dims in shapes.items():
        found = tuple(tensors[name].shape) if name in tensors else None
        if found is None or len(found) != len(dims):
            raise damaged(path, f"'{name}' has the shape {found}", again)
        expected = tuple(d if isinstance(d, int) else known.setdefault(d, n) for d, n in zip(dims, found, strict=True))
        if found != expected:
            raise damaged(path, f"'{name}' has the shape {found} instead of {expected}", again)
        if not _are_numbers(name, tensors[name], name in holes):
            kind = "indices" if name == "faces" else "numbers"
            raise damaged(path, f"'{name}' holds values that are not {kind}", again)
    if "faces" in shapes and tensors["faces"].numel() > 0:
        lowest, highest = int(tensors["faces"].min()), int(tensors["faces"].max())
        if lowest < 0 or highest >= known["vertex"]:
            raise damaged(path, f"faces name vertices {lowest} to {highest} of {known['vertex']}", again)
    return {name: tensors[name] for name in shapes}


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to a file that appears whole or not at all; raises InputError when it cannot be written."""
    # clones: safetensors refuses tensors that share memory or are views
    plain = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    with replacing(path) as temporary:
        try:
            save_file(plain, temporary)
        except SafetensorError as error:
            raise OSError(str(error)) from error


def damaged(path: Path, reason: str, again: str) -> InputError:
    """The error of a file of a dataset that is not what was once written."""
    return InputError(f"{path} cannot be used: {reason}. To mend the dataset, {again}.")


def _are_numbers(name: str, tensor: Tensor, may_be_nan: bool) -> bool:
    kinds = {"faces": (torch.int32, torch.int64), "coded": (torch.uint8,)}.get(name, (torch.float32, torch.float64))
    if tensor.dtype not in kinds:
        return False
    return bool((tensor.isfinite() | tensor.isnan()).all() if may_be_nan else tensor.isfinite().all())
