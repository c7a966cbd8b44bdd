"""Meshes with a colour at each vertex, to files that other programs show in these colours."""

from pathlib import Path

import numpy as np
import pygltflib
import trimesh
from jaxtyping import Float
from torch import Tensor

from avatars.export.gltf.glb import Glb
from avatars.export.gltf.material import shown_as_is
from avatars.export.gltf.surface import add_mesh, add_vertices
from avatars.meshing import TriangleMesh, write_mesh
from avatars.meshing.files import SUFFIXES
from body_models import InputError
from data_prep.atomic import replacing
from data_prep.pictures.mesh import linear_to_srgb
from data_prep.surface import Surface


def write_coloured_mesh(mesh: TriangleMesh, colours: Float[Tensor, "vertex 3"] | None, path: Path | str) -> Path:
    """Write a mesh (metres, Y up) with normals and linear vertex colours, whole or not at all.

    PLY and OBJ get sRGB-coded bytes, as is usual there; GLB gets linear 16-bit colours, as glTF wants them, and a
    material that shows them as they are, since they hold the light of their video. STL has no colours. Raises
    InputError for another ending or a place that cannot be written.
    """
    path = check_mesh_path(path)
    suffix = path.suffix.lower()
    normals = None if suffix == ".stl" else Surface(mesh.vertices, mesh.faces).vertex_normals
    if colours is None or suffix == ".stl":
        return write_mesh(mesh, path, normals)
    assert normals is not None
    with replacing(path) as temporary:
        if suffix == ".glb":
            _write_glb(mesh, normals, colours, temporary)
        else:
            _write_bytes(mesh, normals, colours, temporary)
    return path


def check_mesh_path(path: Path | str) -> Path:
    """The path of a mesh to write; raises InputError for an ending that is not one of a mesh's."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"Cannot write a mesh as '{path.name}'; end the name in {', '.join(SUFFIXES)}.")
    return path


def _write_bytes(
    mesh: TriangleMesh, normals: Float[Tensor, "vertex 3"], colours: Float[Tensor, "vertex 3"], path: Path
) -> None:
    coded = (linear_to_srgb(colours.clamp(0, 1)) * 255).round().byte().cpu().numpy()
    plain = mesh.to_trimesh()
    exported = trimesh.Trimesh(
        plain.vertices, plain.faces, vertex_normals=normals.cpu().numpy(), vertex_colors=coded, process=False
    )
    exported.export(str(path), file_type=path.suffix.lower()[1:])


def _write_glb(
    mesh: TriangleMesh, normals: Float[Tensor, "vertex 3"], colours: Float[Tensor, "vertex 3"], path: Path
) -> None:
    glb = Glb()
    linear = np.ones((len(mesh.vertices), 4), np.float32)
    linear[:, :3] = colours.detach().clamp(0, 1).cpu().numpy()
    attributes = add_vertices(glb, mesh.vertices, normals)
    attributes["COLOR_0"] = glb.accessor(
        (linear * 65535).round().astype(np.uint16), pygltflib.ARRAY_BUFFER, normalized=True
    )
    material = pygltflib.Material(
        name="skin", pbrMetallicRoughness=pygltflib.PbrMetallicRoughness(metallicFactor=0.0, roughnessFactor=1.0)
    )
    shown_as_is(glb, material)
    glb.gltf.materials.append(material)
    glb.node(pygltflib.Node(name="head", mesh=add_mesh(glb, "head", attributes, mesh.faces, 0)))
    glb.write(path)
