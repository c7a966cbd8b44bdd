"""Animatable implicit human avatars from body scans, videos of heads or a prior of people: fit, animate, export.

    import avatars
    avatar = avatars.load("alice.avatar")
    avatars.animate(avatar, "walk.bvh", "walk.mp4")
    stranger = avatars.load_prior().sample(1, seed=3)[0].avatar()

The names below are imported when they are first used, so that `import avatars` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avatars.export import VideoOptions, View, animate, drive, export, head_camera
    from avatars.fit import evaluate, fit_scans, fit_video, train_prior
    from avatars.models import Avatar, Person, PosedAvatar, Prior, load, load_head, load_prior, save

__version__ = "0.1.0"

__all__ = [
    "Avatar",
    "Person",
    "PosedAvatar",
    "Prior",
    "VideoOptions",
    "View",
    "animate",
    "drive",
    "evaluate",
    "export",
    "fit_scans",
    "fit_video",
    "head_camera",
    "load",
    "load_head",
    "load_prior",
    "save",
    "train_prior",
]

_HOMES = {
    "Avatar": "avatars.models",
    "Person": "avatars.models",
    "PosedAvatar": "avatars.models",
    "Prior": "avatars.models",
    "VideoOptions": "avatars.export",
    "View": "avatars.export",
    "animate": "avatars.export",
    "drive": "avatars.export",
    "evaluate": "avatars.fit",
    "fit_scans": "avatars.fit",
    "fit_video": "avatars.fit",
    "head_camera": "avatars.export",
    "load": "avatars.models",
    "load_head": "avatars.models",
    "load_prior": "avatars.models",
    "save": "avatars.models",
    "train_prior": "avatars.fit",
}


def __getattr__(name: str) -> Any:
    if name == "export":  # a package that can be called: see avatars/export/__init__.py
        return import_module("avatars.export")
    if name not in _HOMES:
        raise AttributeError(f"module 'avatars' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
