"""One person of a dataset of many, in memory and as a file."""

import re
import unicodedata
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from body_models.errors import InputError
from data_prep.tensor_files import write_tensors

MAX_FILE_NAME = 40
_FIELDS: dict[str, tuple[torch.dtype, tuple[str | int, ...]]] = {
    "betas": (torch.float32, ("beta",)),
    "poses": (torch.float32, ("scan", "bone", 3)),
    "translations": (torch.float32, ("scan", 3)),
    "points": (torch.float32, ("scan", "point", 3)),
    "distances": (torch.float16, ("scan", "point")),
    "surface": (torch.float32, ("scan", "sample", 3)),
    "normals": (torch.float16, ("scan", "sample", 3)),
    "maps": (torch.uint8, ("scan", "view", "row", "column", 3)),
}
"""Type on disk and dimensions of each tensor of a member's file."""


@dataclass(frozen=True)
class Member:
    """One person in one pose or more, with what a prior learns from (metres, Y up; the heading is part of a pose)."""

    name: str
    betas: Float[Tensor, "beta"]
    """The first shape parameters of the body model."""
    poses: Float[Tensor, "scan bone 3"]
    """Axis-angle, radians, root first."""
    translations: Float[Tensor, "scan 3"]
    points: Float[Tensor, "scan point 3"]
    """Posed space: first those near the surface (two of three), then those spread over the scan's box."""
    distances: Float[Tensor, "scan point"]
    """Signed distance of each point, negative inside (-0.0 too)."""
    surface: Float[Tensor, "scan sample 3"]
    """Points on the outer surface, uniform by area."""
    normals: Float[Tensor, "scan sample 3"]
    """Unit smooth normals at `surface`, outwards."""
    maps: UInt8[Tensor, "scan view row column 3"]
    """Normals seen in each view, 255 (n / 2 + 1 / 2): x right, y up, z towards the viewer; 255 all over beside it."""

    def __len__(self) -> int:
        """How many scans there are."""
        return len(self.poses)


def member_file(name: str) -> str:
    """The file of a member within the dataset's folder, the same for the same name always."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", unicodedata.normalize("NFC", name)).strip("._-")
    if stem != name or len(stem) > MAX_FILE_NAME or re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", stem):
        stem = f"person_{stem[:MAX_FILE_NAME]}_{zlib.crc32(name.encode()):08x}"
    return f"members/{stem}.safetensors"


def is_member_file(file: str) -> bool:
    """Whether a name in an index stays within the folder of members."""
    return re.fullmatch(r"members/[^/\\:\0]+\.safetensors", file) is not None


def write_member(folder: Path | str, member: Member) -> Path:
    """Write a member's file, which appears whole or not at all, and return its path.

    Raises InputError when it cannot be written or a number of the member is not finite.
    """
    tensors = {name: getattr(member, name).to(kind) for name, (kind, _) in _FIELDS.items()}
    reason = _complaint(tensors, {})
    if reason:
        raise InputError(f"Member '{member.name}' cannot be written: {reason}. Leave it out, or make it again.")
    path = Path(folder) / member_file(member.name)
    write_tensors(path, tensors)
    return path


def read_member(path: Path, name: str, sizes: dict[str, int]) -> Member:
    """Read a member's file; `sizes` are the numbers known of beta, bone, view, row and column.

    Raises InputError with the bare reason when it is missing or damaged or of other sizes.
    """
    try:
        tensors = load(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError("its file is missing") from error
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(f"its file is cut short or damaged ({error})") from error
    reason = _complaint(tensors, sizes)
    if reason:
        raise InputError(reason)
    floats = {key: tensors[key].float() for key, (kind, _) in _FIELDS.items() if kind.is_floating_point}
    return Member(name=name, maps=tensors["maps"], **floats)


def _complaint(tensors: dict[str, Tensor], sizes: dict[str, int]) -> str:
    """What is wrong with a member's tensors; empty when nothing is."""
    known = dict(sizes)
    for name, (kind, dims) in _FIELDS.items():
        if name not in tensors:
            return f"'{name}' is missing"
        tensor, found = tensors[name], tuple(tensors[name].shape)
        if len(found) != len(dims) or tensor.dtype != kind:
            return f"'{name}' has the shape {found} and type {str(tensor.dtype).removeprefix('torch.')}"
        expected = tuple(d if isinstance(d, int) else known.setdefault(d, n) for d, n in zip(dims, found, strict=True))
        if found != expected:
            return f"'{name}' has the shape {found} instead of {expected}"
        if tensor.numel() == 0:
            return f"'{name}' is empty"
        if kind.is_floating_point and not bool(tensor.isfinite().all()):
            return f"'{name}' holds numbers that are not finite"
    return ""
