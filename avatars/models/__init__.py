"""Methods, one file each, and the avatar that they make."""

from avatars.models.avatar import Avatar, AvatarInfo, PosedAvatar
from avatars.models.file import load, load_head, save
from avatars.models.snarf import Snarf, SnarfOptions
from avatars.models.start import snarf_from_body

__all__ = [
    "Avatar",
    "AvatarInfo",
    "PosedAvatar",
    "Snarf",
    "SnarfOptions",
    "load",
    "load_head",
    "save",
    "snarf_from_body",
]
