import io
import json
import struct

import numpy as np
import pytest
import torch
import trimesh

from avatars.viewer.colouring import blended, dense_weights, heat, normal_colours, palette, vertex_normals
from avatars.viewer.glb import coloured_glb
from avatars.viewer.panels.parts import body_parts, face_parts, spaced
from avatars.viewer.panels.pose import own_turn
from avatars.viewer.stage import FIELD_OF_VIEW, framing
from body_models.names import ARKIT_EXPRESSIONS, SMPL_SKELETON, SMPLX_SKELETON
from data_prep.surface import Surface


def ball():
    mesh = trimesh.creation.icosphere(2, 0.7)
    mesh.apply_translation([0.3, 1.0, -0.2])
    return mesh


def test_a_small_glb_holds_the_mesh_and_its_colours():
    mesh = ball()
    colours = np.random.default_rng(0).random(mesh.vertices.shape)
    blob = coloured_glb(np.asarray(mesh.vertices), np.asarray(mesh.faces), colours, unlit=True)
    length, version = struct.unpack("<4sII", blob[:12])[2], struct.unpack("<4sII", blob[:12])[1]
    assert (version, length) == (2, len(blob))
    size = struct.unpack("<I", blob[12:16])[0]
    document = json.loads(blob[20 : 20 + size])
    assert "KHR_materials_unlit" in document["extensionsUsed"]
    data = blob[28 + size :]
    node = document["nodes"][0]
    places = np.frombuffer(data, np.int16, 4 * len(mesh.vertices)).reshape(-1, 4)[:, :3] / 32767
    assert np.abs(places * node["scale"] + node["translation"] - mesh.vertices).max() < 3e-5
    view = document["bufferViews"][1]
    stored = np.frombuffer(data, np.uint16, 4 * len(mesh.vertices), view["byteOffset"]).reshape(-1, 4)[:, :3] / 65535
    assert np.abs(stored - colours).max() < 1e-5
    view = document["bufferViews"][2]
    faces = np.frombuffer(data, np.uint16, mesh.faces.size, view["byteOffset"]).reshape(-1, 3)
    assert (faces == mesh.faces).all()


def test_other_readers_take_the_glb():
    mesh = ball()
    blob = coloured_glb(np.asarray(mesh.vertices), np.asarray(mesh.faces), np.ones_like(mesh.vertices))
    scene = trimesh.load(io.BytesIO(blob), file_type="glb")
    assert len(scene.geometry) == 1


def test_large_meshes_get_long_indices():
    vertices = np.random.default_rng(0).random((70_000, 3))
    blob = coloured_glb(vertices, np.array([[0, 1, 69_999]]), np.ones_like(vertices))
    document = json.loads(blob[20 : 20 + struct.unpack("<I", blob[12:16])[0]])
    assert document["accessors"][document["meshes"][0]["primitives"][0]["indices"]]["componentType"] == 5125


def test_normals_are_those_of_surfaces():
    mesh = ball()
    vertices, faces = torch.tensor(mesh.vertices).float(), torch.tensor(mesh.faces)
    assert torch.allclose(vertex_normals(vertices, faces), Surface(vertices, faces).vertex_normals, atol=1e-4)


def test_colours_tell_weights():
    weights = torch.tensor([[0.0, 1.0], [0.5, 0.5]])
    assert torch.allclose(blended(weights)[1], palette(2).mean(0))
    hot = heat(torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0]))
    assert torch.equal(hot[0], hot[1])
    assert torch.equal(hot[3], hot[4])
    assert dense_weights(torch.tensor([[1, 0]]), torch.tensor([[1.0, 0.0]]), 3).tolist() == [[0.0, 1.0, 0.0]]
    assert normal_colours(torch.eye(3)).argmax(1).tolist() == [0, 1, 2]


def test_bones_have_different_colours():
    colours = palette(55)
    distance = torch.cdist(colours, colours) + torch.eye(55)
    assert distance.min() > 0.005


@pytest.mark.parametrize("skeleton", [SMPL_SKELETON, SMPLX_SKELETON])
def test_every_joint_is_in_one_part(skeleton):
    parts = body_parts(skeleton.joint_names)
    listed = [joint for joints in parts.values() for joint in joints]
    assert sorted(listed) == sorted(skeleton.joint_names)
    assert "left_elbow" in parts["Left arm"]
    assert "right_knee" in parts["Right leg"]
    assert "Other" not in parts


def test_every_action_is_in_one_part():
    parts = face_parts(ARKIT_EXPRESSIONS)
    assert sorted(name for names in parts.values() for name in names) == sorted(ARKIT_EXPRESSIONS)
    assert "jawOpen" in parts["Jaw"]
    assert "Other" not in parts
    assert spaced("browInnerUp") == "brow inner up"
    assert spaced("left_elbow") == "left elbow"


def test_a_gizmo_turns_the_joint_as_it_stands():
    import roma

    turns = roma.rotvec_to_rotmat(torch.tensor([[0.3, 0.1, -0.2], [0.0, 0.8, 0.1]]))
    own = own_turn(turns, 0, turns[0] @ turns[1])
    assert torch.allclose(roma.rotvec_to_rotmat(own), turns[1], atol=1e-5)
    assert torch.allclose(roma.rotvec_to_rotmat(own_turn(turns, -1, turns[0])), turns[0], atol=1e-5)


@pytest.mark.parametrize("covered", [0.0, 0.22, 0.4])
@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.0])
def test_cameras_see_all(aspect, covered):
    boxes = torch.tensor([[[-0.5, 0.0, -0.2], [0.5, 1.8, 0.2]], [[2.5, 0.0, -1.2], [3.5, 1.7, -0.8]]])
    position, middle = framing(boxes, aspect, covered)
    back = (position - middle) / (position - middle).norm()
    right = torch.nn.functional.normalize(torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]), back), dim=0)
    up = torch.linalg.cross(back, right)
    corners = torch.cartesian_prod(*[boxes[..., axis].flatten() for axis in range(3)]) - position
    depth = -corners @ back
    half = torch.tan(torch.tensor(FIELD_OF_VIEW / 2))
    assert (depth > 0).all()
    assert ((corners @ up).abs() / depth).max() < half
    across = (corners @ right) / depth
    assert across.min() > -half * aspect
    assert across.max() < half * aspect * (1 - 2 * covered) + 1e-4  # left of the controls
