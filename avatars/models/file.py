"""The avatar file: one safetensors file, its configuration as JSON in the header."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from avatars.deform.roots import SearchOptions
from avatars.models.avatar import Avatar, AvatarInfo
from avatars.models.snarf import Snarf, SnarfOptions
from body_models import InputError, Skeleton
from data_prep.atomic import replacing

FORMAT_VERSION = 2
HALF_ABOVE = 100_000
"""Tensors with more numbers than this (grids) are stored as 16-bit floats."""


def save(avatar: Avatar, path: Path | str) -> None:
    """Write an avatar to one file; an existing file is replaced only once the new one is whole."""
    model = avatar.model
    tensors = {f"model.{name}": _compact(value) for name, value in model.state_dict().items()}
    tensors["poses"], tensors["translations"] = avatar.poses.float(), avatar.translations.float()
    header = {
        "format": "animatable-avatar",
        "version": str(FORMAT_VERSION),
        "method": "snarf",
        "options": json.dumps(dataclasses.asdict(model.options)),
        "skeleton": json.dumps(dataclasses.asdict(model.skeleton)),
        "info": json.dumps(dataclasses.asdict(avatar.info)),
    }
    with replacing(Path(path)) as temporary:
        save_file({name: _own(value) for name, value in tensors.items()}, temporary, metadata=header)


def load(path: Path | str, device: torch.device | str = "cpu") -> Avatar:
    """Read an avatar file; nothing in it is executed.

    Raises InputError when the file is missing, truncated, no avatar, or from a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"No avatar file '{path}'. Make one with `avatars fit-scans SCANS --out {path}`.")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = file.metadata() or {}
            _check_header(header, path)
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (no iterable)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"'{path}' cannot be read as an avatar: it is truncated or no avatar file ({error}). "
            "Copy it again, or fit it again with `avatars fit-scans`."
        ) from error
    try:
        avatar = _assemble(header, tensors)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        raise InputError(
            f"'{path}' is an avatar file with missing or unfitting parts: {error}. "
            "Copy it again, or fit it again with `avatars fit-scans`."
        ) from error
    return avatar.to_device(device)


def _assemble(header: dict[str, str], tensors: dict[str, torch.Tensor]) -> Avatar:
    options = _options(json.loads(header["options"]))
    stored = json.loads(header["skeleton"])
    skeleton = Skeleton(tuple(stored["joint_names"]), tuple(stored["parents"]))
    state = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    names = ("joints", "canonical_pose", "box", "segment_tails", "parts")
    model = Snarf(options, skeleton, *(state[name] for name in names))
    model.load_state_dict(state)
    info = json.loads(header["info"])
    return Avatar(
        model,
        tensors["poses"],
        tensors["translations"],
        AvatarInfo(tuple(info["names"]), info["body_model"], tuple(info["notes"])),
    )


def _options(stored: dict[str, Any]) -> SnarfOptions:
    search = SearchOptions(**stored.pop("search"))
    lists = {name: tuple(value) for name, value in stored.items() if isinstance(value, list)}
    return SnarfOptions(**{**stored, **lists}, search=search)


def _check_header(header: dict[str, str], path: Path) -> None:
    if header.get("format") != "animatable-avatar":
        raise InputError(f"'{path}' is a safetensors file, but no avatar. Avatars are made by `avatars fit-scans`.")
    version = header.get("version", "")
    if not version.isdecimal():
        raise InputError(f"'{path}' is an avatar file without a version number (found '{version}'). Copy it again.")
    if int(version) > FORMAT_VERSION:
        raise InputError(
            f"'{path}' was written by a newer version (format {version}, this one reads up to "
            f"{FORMAT_VERSION}). Type `pip install --upgrade animatable-avatars`."
        )
    if int(version) < FORMAT_VERSION:
        raise InputError(
            f"'{path}' was written by an early version (format {version}), whose weights meant something else. "
            "Fit it again with `avatars fit-scans`."
        )
    if header.get("method") != "snarf":
        raise InputError(f"'{path}' is an avatar of the method '{header.get('method')}', which this version lacks.")


def _compact(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.half() if tensor.is_floating_point() and tensor.numel() > HALF_ABOVE else tensor


def _own(tensor: torch.Tensor) -> torch.Tensor:
    """A copy, since safetensors refuses tensors that share memory, as poses and canonical pose may."""
    return tensor.detach().cpu().contiguous().clone()
