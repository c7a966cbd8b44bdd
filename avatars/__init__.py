"""Animatable implicit human avatars from body scans: fit, animate, export.

    import avatars
    avatar = avatars.load("alice.avatar")
    avatars.animate(avatar, "walk.bvh", "walk.mp4")

The names below are imported when they are first used, so that `import avatars` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avatars.export import VideoOptions, animate, export
    from avatars.fit import evaluate, fit_scans
    from avatars.models import Avatar, PosedAvatar, load, save

__version__ = "0.1.0"

__all__ = [
    "Avatar",
    "PosedAvatar",
    "VideoOptions",
    "animate",
    "evaluate",
    "export",
    "fit_scans",
    "load",
    "save",
]

_HOMES = {
    "Avatar": "avatars.models",
    "PosedAvatar": "avatars.models",
    "VideoOptions": "avatars.export",
    "animate": "avatars.export",
    "evaluate": "avatars.fit",
    "fit_scans": "avatars.fit",
    "load": "avatars.models",
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
