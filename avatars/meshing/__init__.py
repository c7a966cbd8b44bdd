"""Field to triangles, and triangles to files."""

from avatars.meshing.adaptive import TriangleMesh, extract_surface
from avatars.meshing.files import write_mesh

__all__ = ["TriangleMesh", "extract_surface", "write_mesh"]
