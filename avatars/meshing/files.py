"""Write meshes to files: PLY, OBJ, GLB or STL by the name's ending."""

from pathlib import Path

import trimesh
from jaxtyping import Float
from torch import Tensor

from avatars.meshing.adaptive import TriangleMesh
from body_models.errors import InputError
from data_prep.atomic import replacing

SUFFIXES = (".ply", ".obj", ".glb", ".stl")


def write_mesh(
    mesh: TriangleMesh,
    path: Path | str,
    vertex_normals: Float[Tensor, "vertex 3"] | None = None,
) -> Path:
    """Write a mesh (metres, Y up), whole or not at all; STL has no place for vertex normals.

    Raises InputError for another ending or a place that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"Cannot write a mesh as '{path.name}'; end the name in {', '.join(SUFFIXES)}.")
    if len(mesh.faces) == 0:
        raise InputError(f"There is no mesh to write to {path}: it has no faces.")
    normals = None if vertex_normals is None else vertex_normals.detach().cpu().numpy()
    plain = mesh.to_trimesh()
    exported = trimesh.Trimesh(plain.vertices, plain.faces, vertex_normals=normals, process=False)
    with replacing(path) as temporary:
        exported.export(str(temporary), file_type=path.suffix.lower()[1:])
    return path
