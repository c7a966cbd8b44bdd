"""Rigged GLB files: skin, morph targets, material and animation clips, as glTF 2.0 and VRM 1.0 have them."""

from avatars.export.gltf.names import STANDARDS, bone_names
from avatars.export.gltf.writer import write_glb

__all__ = ["STANDARDS", "bone_names", "write_glb"]
