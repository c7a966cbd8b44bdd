"""What an avatar file holds of a head: its fields, its motion, and the header that describes them."""

import dataclasses
import json
from typing import Any

import torch
from torch import Tensor

from avatars.models.avatar import AvatarInfo
from avatars.models.head_avatar import HeadAvatar, HeadTracks
from avatars.models.imavatar import HeadSizes, Imavatar, ImavatarOptions
from body_models import Skeleton
from data_prep.camera import Camera

METHOD = "imavatar"
GRIDS = ("base", "tables", "logits", "basis")
"""Parts of the names of tensors that are grids: they are stored as 16-bit floats."""
BUFFERS = ("joints", "canonical_pose", "box", "parts")
LIMITS = ("colour.lowest", "colour.highest")
"""Files of before colours had limits have none."""


def head_tensors(avatar: HeadAvatar) -> dict[str, Tensor]:
    """The tensors of a head, grids as 16-bit floats."""
    state = {f"model.{name}": _compact(name, value) for name, value in avatar.model.state_dict().items()}
    tracks = avatar.tracks
    tensors = {name: getattr(tracks, name).float() for name in ("poses", "translations", "expressions")}
    if tracks.camera is not None:
        tensors["camera_intrinsics"] = tracks.camera.intrinsics.float()
        tensors["camera_from_world"] = tracks.camera.camera_from_world.float()
    return {**state, **tensors}


def head_header(avatar: HeadAvatar) -> dict[str, str]:
    """The configuration of a head, as JSON by name."""
    tracks = avatar.tracks
    size = None if tracks.camera is None else [tracks.camera.width, tracks.camera.height]
    motion = {"expression_names": tracks.expression_names, "frame_rate": tracks.frame_rate, "picture": size}
    return {
        "method": METHOD,
        "options": json.dumps(dataclasses.asdict(avatar.model.options)),
        "skeleton": json.dumps(dataclasses.asdict(avatar.model.skeleton)),
        "sizes": json.dumps(dataclasses.asdict(avatar.model.sizes)),
        "tracks": json.dumps(motion),
        "info": json.dumps(dataclasses.asdict(avatar.info)),
    }


def assemble_head(header: dict[str, str], tensors: dict[str, Tensor]) -> HeadAvatar:
    """A head from its parts; raises KeyError, TypeError, ValueError or RuntimeError where they do not fit."""
    stored: dict[str, Any] = json.loads(header["options"])
    lists = {name: tuple(value) for name, value in stored.items() if isinstance(value, list)}
    options = ImavatarOptions(**{**stored, **lists})
    tree = json.loads(header["skeleton"])
    skeleton = Skeleton(tuple(tree["joint_names"]), tuple(tree["parents"]))
    state = {_current(name): value for name, value in tensors.items() if name.startswith("model.")}
    sizes = HeadSizes(**json.loads(header["sizes"]))
    model = Imavatar(options, skeleton, sizes, *(state[name] for name in BUFFERS))
    limits = {name: value for name, value in model.state_dict().items() if name in LIMITS}
    model.load_state_dict(limits | state)
    info = json.loads(header["info"])
    names = AvatarInfo(tuple(info["names"]), info["body_model"], tuple(info["notes"]))
    return HeadAvatar(model, head_tracks(json.loads(header["tracks"]), tensors), names)


def head_tracks(stored: dict[str, object], tensors: dict[str, Tensor]) -> HeadTracks:
    """The motion that a file holds; raises KeyError or ValueError where parts of it are missing."""
    names, rate, size = stored["expression_names"], stored["frame_rate"], stored["picture"]
    camera = None
    if isinstance(size, list):
        width, height = size
        camera = Camera(tensors["camera_intrinsics"], tensors["camera_from_world"], width, height)
    if not isinstance(names, list) or not isinstance(rate, float):
        raise ValueError("the motion's expression names or frame rate are missing")
    moving = (tensors["poses"], tensors["translations"], tensors["expressions"])
    return HeadTracks(*moving, tuple(names), rate, camera)


def _current(name: str) -> str:
    """The name in the model of a stored tensor; earlier files name the fields of the deformation without it."""
    name = name.removeprefix("model.")
    return f"motion.{name}" if name.split(".")[0] in ("weights", "offsets") else name


def _compact(name: str, tensor: Tensor) -> Tensor:
    is_grid = tensor.is_floating_point() and any(part in name.split(".") for part in GRIDS)
    return tensor.to(torch.float16) if is_grid else tensor
