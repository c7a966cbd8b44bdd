"""Khronos' validator on everything that is written."""

import numpy as np
import pytest
import torch

from avatars.export.coloured_meshes import write_coloured_mesh
from avatars.export.gltf import write_glb
from avatars.export.look import Look
from avatars.export.rig import Rig
from avatars.meshing import TriangleMesh
from tests.avatars.export.gltf.small_rigs import body_rig, clip, head_rig, painted, picture
from tests.tools import validator_messages

FLAT = np.full((64, 64, 3), (128, 128, 255), np.uint8)


def is_clean(path) -> bool:
    found = validator_messages(path)
    told = [f"{one['code']}: {one['message']}" for one in found["messages"] if one["severity"] < 2]
    assert (found["numErrors"], found["numWarnings"]) == (0, 0), told[:10]
    return True


@pytest.mark.parametrize(("bones", "names"), [("compact", "model"), ("hands", "mixamo"), ("full", "vrm")])
def test_bodies_are_valid(tmp_path, bones, names):
    rig = painted(body_rig(bones))
    motions = [clip(rig), clip(rig)]  # of one name
    look = Look(picture(), FLAT, False)
    assert is_clean(write_glb(tmp_path / "a.glb", rig, motions, look, names, ["a note"]))


@pytest.mark.parametrize("look", [None, Look(None, None, True), Look(picture(), None, True), Look(None, FLAT, False)])
def test_heads_are_valid(tmp_path, look):
    rig = painted(head_rig())
    assert is_clean(write_glb(tmp_path / "a.glb", rig, [clip(rig), clip(rig, "one frame", 1)], look, "mixamo"))


def test_the_barest_rig_is_valid(tmp_path):
    assert is_clean(write_glb(tmp_path / "a.glb", body_rig()))
    assert is_clean(write_glb(tmp_path / "a.vrm", body_rig(), names="vrm"))


def test_morphs_that_move_nothing_are_valid(tmp_path):
    rig = Rig(**{**vars(body_rig()), "morphs": torch.zeros(2, len(body_rig().vertices), 3), "morph_names": ("a", "b")})
    assert is_clean(write_glb(tmp_path / "a.glb", rig, [clip(rig)]))


def test_vertices_without_triangles_are_valid(tmp_path):
    rig = painted(body_rig())
    bare = Rig(**{**vars(rig), "normals": rig.normals * 0, "tangents": rig.tangents * 0})
    assert is_clean(write_glb(tmp_path / "a.glb", bare, look=Look(picture(), FLAT, False)))


def test_coloured_meshes_are_valid(tmp_path):
    rig = body_rig()
    mesh = TriangleMesh(rig.vertices, rig.faces)
    assert is_clean(write_coloured_mesh(mesh, rig.vertices.sigmoid(), tmp_path / "a.glb"))
