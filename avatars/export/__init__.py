"""Avatars to files: posed meshes and videos. The package itself can be called: `avatars.export(avatar, "pose.ply")`."""

import sys
from types import ModuleType

from avatars.export.animation import animate
from avatars.export.clips import VideoOptions
from avatars.export.head_cameras import head_camera
from avatars.export.head_motion import drive
from avatars.export.head_neutral import resting_head
from avatars.export.meshes import export, export_frames
from avatars.export.motions import motion_for, motion_on, training_motion
from avatars.export.views import View

__all__ = [
    "VideoOptions",
    "View",
    "animate",
    "drive",
    "export",
    "export_frames",
    "head_camera",
    "motion_for",
    "motion_on",
    "resting_head",
    "training_motion",
]


class _CallablePackage(ModuleType):
    """Python binds a package's name in its parent on import; this keeps `avatars.export(...)` a function as well."""

    __call__ = staticmethod(export)


sys.modules[__name__].__class__ = _CallablePackage
