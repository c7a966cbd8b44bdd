"""Animatable implicit human avatars from body scans and videos of heads: fit, animate, export.

    import avatars
    avatar = avatars.load("alice.avatar")
    avatars.animate(avatar, "walk.bvh", "walk.mp4")

The names below are imported when they are first used, so that `import avatars` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avatars.export import VideoOptions, View, animate, drive, export, head_camera
    from avatars.fit import evaluate, fit_scans, fit_video
    from avatars.models import Avatar, PosedAvatar, load, load_head, save

__version__ = "0.1.0"

__all__ = [
    "Avatar",
    "PosedAvatar",
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
    "save",
]

_HOMES = {
    "Avatar": "avatars.models",
    "PosedAvatar": "avatars.models",
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
    "save": "avatars.models",
}


def __getattr__(name: str) -> Any:
    if name == "export":  # a package that can be called: see avatars/export/__init__.py
        return import_module("avatars.export")
    if name not in _HOMES:
        raise AttributeError(f"module 'avatars' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
