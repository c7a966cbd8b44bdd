"""Methods, one file each, and the avatar that they make."""

from avatars.models.avatar import Avatar, AvatarInfo, PosedAvatar
from avatars.models.file import load, load_head, save
from avatars.models.person import Person
from avatars.models.prior import Prior, PriorCard
from avatars.models.prior_file import load_prior, save_prior
from avatars.models.snarf import Snarf, SnarfOptions
from avatars.models.start import snarf_from_body

__all__ = [
    "Avatar",
    "AvatarInfo",
    "Person",
    "PosedAvatar",
    "Prior",
    "PriorCard",
    "Snarf",
    "SnarfOptions",
    "load",
    "load_head",
    "load_prior",
    "save",
    "save_prior",
    "snarf_from_body",
]
