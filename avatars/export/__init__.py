"""Avatars to files: rigged and animated, posed meshes, pictures and videos.

The package itself can be called: `avatars.export(avatar, "alice.glb", motion="walk.bvh")`.
"""

import sys
from types import ModuleType

from avatars.export.driving.head_motion import drive
from avatars.export.driving.head_neutral import resting_head
from avatars.export.driving.motions import motion_for, motion_on, training_motion
from avatars.export.films.animation import animate
from avatars.export.films.clips import VideoOptions
from avatars.export.films.head_cameras import head_camera
from avatars.export.films.views import View
from avatars.export.meshes import export, export_frames
from avatars.export.pictures.camera_files import read_cameras, write_cameras
from avatars.export.pictures.render_options import RenderOptions
from avatars.export.pictures.rendering import render
from avatars.export.rig.bake import bake
from avatars.export.rig.options import RigOptions
from avatars.export.rigged import export_rig

__all__ = [
    "RenderOptions",
    "RigOptions",
    "VideoOptions",
    "View",
    "animate",
    "bake",
    "drive",
    "export",
    "export_frames",
    "export_rig",
    "head_camera",
    "motion_for",
    "motion_on",
    "read_cameras",
    "render",
    "resting_head",
    "training_motion",
    "write_cameras",
]


class _CallablePackage(ModuleType):
    """Python binds a package's name in its parent on import; this keeps `avatars.export(...)` a function as well."""

    __call__ = staticmethod(export)


sys.modules[__name__].__class__ = _CallablePackage
