"""What every script that runs inside Blender begins with: its arguments, NumPy, and Blender's own module."""

import sys

packages, *arguments = sys.argv[sys.argv.index("--") + 1 :]
sys.path.append(packages)  # Debian's Blender comes without NumPy

import bpy  # noqa: E402
import numpy as np  # noqa: E402

if not hasattr(np, "bool"):
    np.bool = bool  # Blender 3.4's importer of glTF uses it; NumPy 1.24, which Debian pairs with it, dropped it

__all__ = ["arguments", "bpy", "np"]
