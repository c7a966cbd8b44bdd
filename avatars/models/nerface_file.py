"""What an avatar file holds of a NerFACE: its field, its motion, and the header that describes them."""

import json
from typing import Any

from torch import Tensor

from avatars.models.avatar import AvatarInfo
from avatars.models.head_file import head_header, head_tensors, head_tracks
from avatars.models.imavatar_options import HeadSizes
from avatars.models.nerface import Nerface, NerfaceOptions
from avatars.models.nerface_avatar import NerfaceAvatar
from body_models import Skeleton

METHOD = "nerface"


def nerface_tensors(avatar: NerfaceAvatar) -> dict[str, Tensor]:
    """The tensors of a NerFACE, grids as 16-bit floats."""
    tensors = head_tensors(avatar)
    return {**tensors, "model.expected": tensors["model.expected"].half()}


def nerface_header(avatar: NerfaceAvatar) -> dict[str, str]:
    """The configuration of a NerFACE, as JSON by name."""
    return {**head_header(avatar), "method": METHOD}


def assemble_nerface(header: dict[str, str], tensors: dict[str, Tensor]) -> NerfaceAvatar:
    """A NerFACE from its parts; raises KeyError, TypeError, ValueError or RuntimeError where they do not fit."""
    stored: dict[str, Any] = json.loads(header["options"])
    lists = {name: tuple(value) for name, value in stored.items() if isinstance(value, list)}
    options = NerfaceOptions(**{**stored, **lists})
    tree = json.loads(header["skeleton"])
    skeleton = Skeleton(tuple(tree["joint_names"]), tuple(tree["parents"]))
    state = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    model = Nerface(options, skeleton, HeadSizes(**json.loads(header["sizes"])), state["joints"], state["box"])
    model.load_state_dict(state)
    info = json.loads(header["info"])
    names = AvatarInfo(tuple(info["names"]), info["body_model"], tuple(info["notes"]))
    return NerfaceAvatar(model, head_tracks(json.loads(header["tracks"]), tensors), names)
