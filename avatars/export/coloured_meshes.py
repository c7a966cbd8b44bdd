"""Meshes with a colour at each vertex, to files that other programs show in these colours."""

from pathlib import Path

import numpy as np
import pygltflib
import trimesh
from jaxtyping import Float
from torch import Tensor

from avatars.meshing import TriangleMesh, write_mesh
from avatars.meshing.files import SUFFIXES
from body_models import InputError
from data_prep.atomic import replacing
from data_prep.pictures.mesh import linear_to_srgb
from data_prep.surface import Surface

UNLIT = "KHR_materials_unlit"


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
    vertices = mesh.vertices.detach().float().cpu().numpy()
    linear = np.ones((len(vertices), 4), np.uint16)
    linear[:, :3] = (colours.clamp(0, 1) * 65535).round().cpu().numpy().astype(np.uint16)
    linear[:, 3] = 65535
    arrays = {
        "POSITION": vertices,
        "NORMAL": normals.float().cpu().numpy(),
        "COLOR_0": linear,
        "indices": mesh.faces.cpu().numpy().astype(np.uint32).reshape(-1, 1),
    }
    blob, gltf = b"", _document(vertices)
    for place, (name, array) in enumerate(arrays.items()):
        view = pygltflib.BufferView(buffer=0, byteOffset=len(blob), byteLength=array.nbytes)
        view.target = pygltflib.ELEMENT_ARRAY_BUFFER if name == "indices" else pygltflib.ARRAY_BUFFER
        gltf.bufferViews.append(view)
        gltf.accessors[place].count = len(array)
        blob += np.ascontiguousarray(array).tobytes()
    gltf.buffers = [pygltflib.Buffer(byteLength=len(blob))]
    gltf.set_binary_blob(blob)
    gltf.save_binary(str(path))


def _document(vertices: Float[np.ndarray, "vertex 3"]) -> pygltflib.GLTF2:
    """A scene of one mesh whose accessors still lack their counts."""
    kinds = [
        (pygltflib.FLOAT, pygltflib.VEC3, False),
        (pygltflib.FLOAT, pygltflib.VEC3, False),
        (pygltflib.UNSIGNED_SHORT, pygltflib.VEC4, True),
        (pygltflib.UNSIGNED_INT, pygltflib.SCALAR, False),
    ]
    accessors = [
        pygltflib.Accessor(bufferView=place, componentType=kind, type=shape, normalized=normalized)
        for place, (kind, shape, normalized) in enumerate(kinds)
    ]
    accessors[0].min, accessors[0].max = vertices.min(0).tolist(), vertices.max(0).tolist()
    part = pygltflib.Primitive(attributes=pygltflib.Attributes(POSITION=0, NORMAL=1, COLOR_0=2), indices=3, material=0)
    plain = pygltflib.PbrMetallicRoughness(metallicFactor=0.0, roughnessFactor=1.0)
    return pygltflib.GLTF2(
        asset=pygltflib.Asset(version="2.0", generator="animatable-avatars"),
        scene=0,
        scenes=[pygltflib.Scene(nodes=[0])],
        nodes=[pygltflib.Node(mesh=0, name="head")],
        meshes=[pygltflib.Mesh(primitives=[part], name="head")],
        materials=[pygltflib.Material(name="skin", pbrMetallicRoughness=plain, extensions={UNLIT: {}})],
        accessors=accessors,
        extensionsUsed=[UNLIT],
    )
