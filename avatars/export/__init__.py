"""Avatars to files: posed meshes and videos. The package itself can be called: `avatars.export(avatar, "pose.ply")`."""

import sys
from types import ModuleType

from avatars.export.animation import VideoOptions, animate
from avatars.export.meshes import export
from avatars.export.motions import motion_for, training_motion

__all__ = ["VideoOptions", "animate", "export", "motion_for", "training_motion"]


class _CallablePackage(ModuleType):
    """Python binds a package's name in its parent on import; this keeps `avatars.export(...)` a function as well."""

    __call__ = staticmethod(export)


sys.modules[__name__].__class__ = _CallablePackage
