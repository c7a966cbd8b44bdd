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
from avatars.models.colour_file import assemble_colour, colour_header, colour_tensors
from avatars.models.head_avatar import HeadAvatar
from avatars.models.head_file import METHOD as HEAD_METHOD
from avatars.models.head_file import assemble_head, head_header, head_tensors
from avatars.models.nerface_avatar import NerfaceAvatar
from avatars.models.nerface_file import METHOD as NERFACE_METHOD
from avatars.models.nerface_file import assemble_nerface, nerface_header, nerface_tensors
from avatars.models.snarf import Snarf, SnarfOptions
from body_models import InputError, Skeleton
from data_prep.atomic import replacing

FORMAT_VERSION = 2
BODY_METHOD = "snarf"
ASSEMBLERS = {HEAD_METHOD: assemble_head, NERFACE_METHOD: assemble_nerface}
AGAIN = "`avatars fit-scans` (bodies) or `avatars fit-video` (heads)"
HALF_ABOVE = 100_000
"""Tensors with more numbers than this (grids) are stored as 16-bit floats."""


def save(avatar: Avatar | HeadAvatar, path: Path | str) -> None:
    """Write an avatar to one file; an existing file is replaced only once the new one is whole."""
    if isinstance(avatar, NerfaceAvatar):
        tensors, described = nerface_tensors(avatar), nerface_header(avatar)
    elif isinstance(avatar, HeadAvatar):
        tensors, described = head_tensors(avatar), head_header(avatar)
    else:
        tensors, described = _body_tensors(avatar), _body_header(avatar)
    header = {"format": "animatable-avatar", "version": str(FORMAT_VERSION), **described}
    with replacing(Path(path)) as temporary:
        save_file({name: _own(value) for name, value in tensors.items()}, temporary, metadata=header)


def load(path: Path | str, device: torch.device | str = "cpu") -> Avatar:
    """Read the file of a body avatar; nothing in it is executed.

    Raises InputError when the file is missing, truncated, no avatar, a head, or from a newer version.
    """
    avatar = load_avatar(path, device)
    if isinstance(avatar, HeadAvatar):
        raise InputError(f"'{path}' is the avatar of a head, where one of a body is needed. Open it with `load_head`.")
    return avatar


def load_head(path: Path | str, device: torch.device | str = "cpu") -> HeadAvatar:
    """Read the file of a head avatar; raises InputError as `load` does, and for bodies."""
    avatar = load_avatar(path, device)
    if isinstance(avatar, Avatar):
        raise InputError(f"'{path}' is the avatar of a body, where one of a head is needed. Open it with `load`.")
    return avatar


def load_avatar(path: Path | str, device: torch.device | str = "cpu") -> Avatar | HeadAvatar:
    """Read the file of any avatar; raises InputError as `load` does."""
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
            f"Copy it again, or fit it again with {AGAIN}."
        ) from error
    _check_numbers(tensors, path)
    assemble = ASSEMBLERS.get(header["method"], _assemble)
    try:
        avatar = assemble(header, tensors)
    except (InputError, KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        raise InputError(
            f"'{path}' is an avatar file with missing or unfitting parts: {error}. "
            f"Copy it again, or fit it again with {AGAIN}."
        ) from error
    return avatar.to_device(device)


def _check_numbers(tensors: dict[str, torch.Tensor], path: Path) -> None:
    broken = [name for name, value in tensors.items() if bool(value.isnan().any())]
    if broken:
        raise InputError(
            f"'{path}' holds values that are not numbers ({', '.join(broken[:3])}): the file is damaged. "
            f"Copy it again, or fit it again with {AGAIN}."
        )


def _body_tensors(avatar: Avatar) -> dict[str, torch.Tensor]:
    state = {f"model.{name}": _compact(value) for name, value in avatar.model.state_dict().items()}
    colour = {} if avatar.colour is None else colour_tensors(avatar.colour)
    return {**state, "poses": avatar.poses.float(), "translations": avatar.translations.float(), **colour}


def _body_header(avatar: Avatar) -> dict[str, str]:
    colour = {} if avatar.colour is None else {"colour": colour_header(avatar.colour)}
    return colour | {
        "method": BODY_METHOD,
        "options": json.dumps(dataclasses.asdict(avatar.model.options)),
        "skeleton": json.dumps(dataclasses.asdict(avatar.model.skeleton)),
        "info": json.dumps(dataclasses.asdict(avatar.info)),
    }


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
        assemble_colour(header["colour"], tensors) if "colour" in header else None,
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
    if header.get("method") not in (BODY_METHOD, *ASSEMBLERS):
        raise InputError(f"'{path}' is an avatar of the method '{header.get('method')}', which this version lacks.")


def _compact(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.half() if tensor.is_floating_point() and tensor.numel() > HALF_ABOVE else tensor


def _own(tensor: torch.Tensor) -> torch.Tensor:
    """A copy, since safetensors refuses tensors that share memory, as poses and canonical pose may."""
    return tensor.detach().cpu().contiguous().clone()
