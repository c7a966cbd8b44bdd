from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from avatars.export.gltf import write_glb
from avatars.export.gltf.glb import SYNTHETIC
from avatars.export.look import Look
from avatars.export.rig import Correctives, RigMotion
from body_models import InputError
from body_models.gltf import Document
from data_prep.gltf_skin import read_posed_meshes
from tests.avatars.export.gltf.small_rigs import body_rig, clip, head_rig, painted, picture

NEAR = 1e-4
"""Metres."""


def attributes(document: Document) -> dict:
    return vars(document.gltf.meshes[0].primitives[0].attributes)


@pytest.mark.parametrize(("make", "names"), [(body_rig, "model"), (head_rig, "model"), (head_rig, "mixamo")])
def test_other_programs_pose_the_rig_as_we_do(tmp_path, make, names):
    rig = make()
    motion = clip(rig, frames=9)
    path = write_glb(tmp_path / "a.glb", rig, [motion], names=names)
    read = np.stack([mesh.vertices for mesh in read_posed_meshes(path, len(motion) - 1)])
    assert np.abs(read - rig.pose(motion).numpy()[:-1]).max() < NEAR


def test_the_bind_pose_is_shown_without_a_clip(tmp_path):
    rig = body_rig()
    mesh = read_posed_meshes(write_glb(tmp_path / "a.glb", rig))[0]
    assert np.abs(mesh.vertices - rig.vertices.numpy()).max() < 1e-5
    assert np.array_equal(mesh.faces, rig.faces.numpy())


def test_weights_are_exact_and_unused_influences_empty(tmp_path):
    document = Document(write_glb(tmp_path / "a.glb", body_rig()))
    weights = document.accessor(attributes(document)["WEIGHTS_0"])
    bones = document.accessor(attributes(document)["JOINTS_0"])
    assert np.array_equal((weights * 65535).round().sum(1), np.full(len(weights), 65535))
    assert (bones[weights == 0] == 0).all()
    assert np.abs(weights - body_rig().weights.numpy()).max() < 1e-4


def test_fewer_influences_are_filled_up(tmp_path):
    rig = body_rig()
    one = replace(rig, bones=rig.bones[:, :1], weights=torch.ones_like(rig.weights[:, :1]))
    document = Document(write_glb(tmp_path / "a.glb", one))
    assert document.accessor(attributes(document)["WEIGHTS_0"]).tolist() == [[1, 0, 0, 0]] * len(rig.vertices)


def test_morph_targets_have_names_and_small_files(tmp_path):
    rig = head_rig()
    still = torch.zeros_like(rig.morphs)
    still[1] = 1e-5
    still[2, 7] = 0.01
    still[3] = rig.morphs.norm(dim=2).amax() + 0.001
    document = Document(write_glb(tmp_path / "a.glb", replace(rig, morphs=still)))
    mesh = document.gltf.meshes[0]
    accessors = [target["POSITION"] for target in mesh.primitives[0].targets]
    read = np.stack([document.accessor(index) for index in accessors])
    assert mesh.extras == {"targetNames": list(rig.morph_names)}
    assert mesh.weights == [0.0] * 53
    assert np.abs(read - still.numpy()).max() < 2.1e-5
    assert [document.gltf.accessors[index].sparse is None for index in accessors[:4]] == [False, False, False, True]
    assert document.gltf.accessors[accessors[2]].sparse.count == 1


def test_a_head_rests_where_no_clip_plays(tmp_path):
    rig = head_rig()
    path = write_glb(tmp_path / "a.glb", rig)
    still = torch.zeros_like(rig.bind_pose)[None]
    assert rig.bind_pose.abs().max() > 0.1
    resting = RigMotion("rest", still, still[:, 0], rig.morph_weights(still), 1.0)
    assert np.abs(read_posed_meshes(path)[0].vertices - rig.pose(resting)[0].numpy()).max() < 1e-5


def test_default_weights_are_those_of_the_pose_it_stands_in(tmp_path):
    rig = body_rig()
    moved = torch.zeros(1, len(rig.vertices), 3)
    moved[0, :9] = 0.01
    matrix = torch.zeros(9 * 23, 1)
    matrix[3] = 1.0
    follows = replace(
        rig, morphs=moved, morph_names=("corrective_000",), correctives=Correctives(matrix, torch.ones(1))
    )
    document = Document(write_glb(tmp_path / "a.glb", follows))
    expected = follows.morph_weights(rig.bind_pose[None])[0]
    assert abs(float(expected[0]) - 1) > 0.1
    assert np.allclose(document.gltf.meshes[0].weights, expected.numpy())


def test_a_skinned_mesh_and_its_skeleton_are_at_the_top(tmp_path):
    gltf = Document(write_glb(tmp_path / "a.glb", body_rig())).gltf
    tops = [gltf.nodes[index] for index in gltf.scenes[0].nodes]
    assert [node.name for node in tops] == ["pelvis", "person"]
    assert tops[1].skin == 0
    assert tops[0].mesh is None
    assert [gltf.nodes[joint].name for joint in gltf.skins[0].joints] == list(body_rig().skeleton.joint_names)


def test_a_look_is_embedded(tmp_path):
    look = Look(picture(), np.full((64, 64, 3), (128, 128, 255), np.uint8), False)
    document = Document(write_glb(tmp_path / "a.glb", painted(body_rig()), look=look))
    gltf = document.gltf
    material = gltf.materials[0]
    assert (material.pbrMetallicRoughness.metallicFactor, material.pbrMetallicRoughness.roughnessFactor) == (0.0, 0.8)
    shown = {}
    for texture in (material.pbrMetallicRoughness.baseColorTexture, material.normalTexture):
        image = gltf.images[gltf.textures[texture.index].source]
        view = gltf.bufferViews[image.bufferView]
        data = document.buffers[0][view.byteOffset : view.byteOffset + view.byteLength]
        shown[image.mimeType] = np.asarray(Image.open(BytesIO(data))).astype(int)
    assert np.abs(shown["image/jpeg"] - picture()).mean() < 6
    assert np.array_equal(shown["image/png"], look.normal)
    assert np.allclose(document.accessor(attributes(document)["TEXCOORD_0"]), painted(body_rig()).uv.numpy())
    assert "KHR_materials_unlit" not in gltf.extensionsUsed


def test_colours_that_hold_their_light_are_unlit(tmp_path):
    gltf = Document(write_glb(tmp_path / "a.glb", painted(body_rig()), look=Look(picture(), None, True))).gltf
    assert gltf.materials[0].extensions == {"KHR_materials_unlit": {}}
    assert gltf.extensionsUsed == ["KHR_materials_unlit"]


def test_the_file_tells_that_it_is_synthetic(tmp_path):
    asset = Document(write_glb(tmp_path / "a.glb", body_rig(), notes=["fitted to five scans"])).gltf.asset
    assert asset.version == "2.0"
    assert asset.generator.startswith("animatable-avatars")
    assert asset.copyright == SYNTHETIC
    assert "consent" in asset.extras["statement"]
    assert asset.extras["notes"] == ["fitted to five scans"]


def test_small_meshes_have_short_indices(tmp_path):
    rig = body_rig()
    kinds = []
    for copies in (1, 5):
        index = torch.arange(len(rig.vertices)).repeat(copies)
        many = rig.taken(index, torch.cat([rig.faces + k * len(rig.vertices) for k in range(copies)]))
        document = Document(write_glb(tmp_path / "a.glb", many))
        kinds.append(document.gltf.accessors[document.gltf.meshes[0].primitives[0].indices].componentType)
    assert kinds == [5123, 5125]


def test_vertices_without_triangles_have_a_direction(tmp_path):
    rig = body_rig()
    normals = rig.normals.clone()
    normals[3] = 0.0
    document = Document(write_glb(tmp_path / "a.glb", replace(rig, normals=normals)))
    read = document.accessor(attributes(document)["NORMAL"])
    assert np.abs(np.linalg.norm(read, axis=1) - 1).max() < 1e-5


def test_a_file_already_there_is_replaced(tmp_path):
    (tmp_path / "a.glb").write_text("old")
    write_glb(tmp_path / "a.glb", body_rig())
    assert [path.name for path in tmp_path.iterdir()] == ["a.glb"]
    assert Document(tmp_path / "a.glb").gltf.animations == []


def wrong_motion(
    bones: int = 24, morphs: int = 0, frames: int = 2, rate: float = 30.0, value: float = 0.0
) -> RigMotion:
    turns = torch.full((frames, bones, 3), value)
    return RigMotion("wrong", turns, torch.zeros(frames, 3), torch.zeros(frames, morphs), rate)


@pytest.mark.parametrize(
    ("motion", "message"),
    [
        (wrong_motion(bones=22), r"'wrong' is of another rig: it moves 22 bones.*has 24 and 0.*motion_on"),
        (wrong_motion(morphs=52), "52 morph targets"),
        (wrong_motion(frames=0), "cannot be played"),
        (wrong_motion(rate=0.0), "cannot be played"),
        (wrong_motion(value=float("nan")), "rotations hold values that are not finite"),
    ],
)
def test_motions_that_do_not_fit_are_told(tmp_path, motion, message):
    with pytest.raises(InputError, match=message):
        write_glb(tmp_path / "a.glb", body_rig(), [clip(body_rig()), motion])
    assert list(tmp_path.iterdir()) == []


def test_rigs_that_cannot_be_written_are_told(tmp_path):
    rig = body_rig()
    wrong = {
        "no surface": replace(rig, faces=rig.faces[:0]),
        "vertices hold values that are not finite": replace(rig, vertices=rig.vertices * float("nan")),
        "no bone moves": replace(rig, weights=rig.weights * 0),
        "engines take 4": replace(rig, bones=rig.bones.repeat(1, 2), weights=rig.weights.repeat(1, 2) / 2),
    }
    for message, one in wrong.items():
        with pytest.raises(InputError, match=message):
            write_glb(tmp_path / "a.glb", one)
    with pytest.raises(InputError, match="texture coordinates"):
        write_glb(tmp_path / "a.glb", rig, look=Look(picture(), None, False))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "names", "message"),
    [
        ("a.fbx", "model", r"end the name in \.glb"),
        ("a.vrm", "mixamo", r"end the name in \.glb"),
        ("a.glb", "miximo", "Did you mean 'mixamo'"),
        ("file/a.glb", "model", "Cannot write"),
    ],
)
def test_wrong_requests_are_told_and_leave_nothing(tmp_path, name, names, message):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=message):
        write_glb(tmp_path / name, body_rig(), names=names)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
