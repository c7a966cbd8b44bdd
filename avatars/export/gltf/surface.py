"""The mesh of a rig in a GLB file: its triangles, vertex attributes and morph targets."""

from collections.abc import Mapping

import numpy as np
import pygltflib
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.export.gltf.glb import Glb
from avatars.export.gltf.skin import add_influences
from avatars.export.rig import Rig

UNMOVED = 2e-5
"""Displacements by morph targets below this are left out (metres)."""
_SHORT = np.iinfo(np.uint16).max
"""The last index that 16 bits hold is kept for engines, where it restarts a strip."""


def add_rigged_mesh(glb: Glb, rig: Rig, material: int, pose: Float[Tensor, "bone 3"]) -> int:
    """Index of a new mesh with all attributes of a rig's vertices, and its morph targets with their part in a pose."""
    attributes = add_vertices(glb, rig.vertices, rig.normals) | add_influences(glb, rig)
    if rig.tangents is not None:
        sides = torch.where(rig.tangents[:, 3:] < 0, -1.0, 1.0)
        tangents = torch.cat([_unit(rig.tangents[:, :3]), sides.to(rig.tangents)], 1)
        attributes["TANGENT"] = glb.accessor(_numbers(tangents), pygltflib.ARRAY_BUFFER)
    if rig.uv is not None:
        attributes["TEXCOORD_0"] = glb.accessor(_numbers(rig.uv), pygltflib.ARRAY_BUFFER)
    targets = [pygltflib.Attributes(POSITION=_add_morph(glb, _numbers(morph))) for morph in rig.morphs]
    mesh = add_mesh(glb, rig.name, attributes, rig.faces, material)
    if targets:
        glb.gltf.meshes[mesh].primitives[0].targets = targets
        glb.gltf.meshes[mesh].weights = rig.morph_weights(pose[None])[0].tolist()
        glb.gltf.meshes[mesh].extras = {"targetNames": list(rig.morph_names)}
    return mesh


def add_vertices(glb: Glb, vertices: Float[Tensor, "vertex 3"], normals: Float[Tensor, "vertex 3"]) -> dict[str, int]:
    """Accessors of the vertex attributes POSITION and NORMAL."""
    return {
        "POSITION": glb.accessor(_numbers(vertices), pygltflib.ARRAY_BUFFER, bounds=True),
        "NORMAL": glb.accessor(_numbers(_unit(normals)), pygltflib.ARRAY_BUFFER),
    }


def add_mesh(glb: Glb, name: str, attributes: Mapping[str, int], faces: Int[Tensor, "face 3"], material: int) -> int:
    """Index of a new mesh of one part, whose attributes have their accessors."""
    corners = faces.cpu().numpy().reshape(-1, 1)
    kind = np.uint16 if corners.max() < _SHORT else np.uint32
    indices = glb.accessor(corners.astype(kind), pygltflib.ELEMENT_ARRAY_BUFFER)
    part = pygltflib.Primitive(attributes=pygltflib.Attributes(**attributes), indices=indices, material=material)
    glb.gltf.meshes.append(pygltflib.Mesh(name=name, primitives=[part]))
    return len(glb.gltf.meshes) - 1


def _add_morph(glb: Glb, displacements: Float[np.ndarray, "vertex 3"]) -> int:
    """Accessor of a morph target in the form that takes less room; one that moves nothing keeps one empty row."""
    rows = np.flatnonzero(np.linalg.norm(displacements, axis=1) >= UNMOVED)
    index_bytes = 2 if len(displacements) <= _SHORT + 1 else 4
    if len(rows) * (index_bytes + 12) >= len(displacements) * 12:
        return glb.accessor(displacements, pygltflib.ARRAY_BUFFER, bounds=True)
    if len(rows) == 0:
        return glb.sparse_accessor(np.zeros_like(displacements), np.zeros(1, np.int64))
    return glb.sparse_accessor(displacements, rows)


def _unit(directions: Float[Tensor, "vertex 3"]) -> Float[Tensor, "vertex 3"]:
    """Directions of length one, upwards where there is none, as at vertices without triangles."""
    lengths = directions.norm(dim=1, keepdim=True)
    return torch.where(lengths > 1e-6, directions / lengths, directions.new_tensor([0.0, 1.0, 0.0]))


def _numbers(values: Float[Tensor, "item width"]) -> Float[np.ndarray, "item width"]:
    return values.detach().float().cpu().numpy()
