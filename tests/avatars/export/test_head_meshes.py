from dataclasses import replace

import pygltflib
import pytest
import torch
import trimesh

from avatars.export import drive, export, export_frames
from avatars.export.coloured_meshes import write_coloured_mesh
from avatars.meshing import TriangleMesh
from avatars.models.head_avatar import HeadAvatar
from body_models import InputError
from data_prep.pictures.mesh import linear_to_srgb
from tests.avatars.head_drivers import acting_head, talker
from tests.avatars.small_avatar import small_avatar
from tests.avatars.small_head import COARSE, small_head, small_model


@pytest.fixture(scope="module")
def head() -> HeadAvatar:
    return acting_head()


def triangle() -> tuple[TriangleMesh, torch.Tensor]:
    mesh = TriangleMesh(torch.eye(3), torch.tensor([[0, 1, 2]]))
    return mesh, torch.tensor([[0.0, 0.5, 1.0], [0.01, 0.2, 0.3], [1.0, 1.0, 0.002]])


@pytest.mark.parametrize("suffix", ["ply", "obj"])
def test_colours_are_srgb_bytes_in_plain_files(tmp_path, suffix):
    mesh, colours = triangle()
    again = trimesh.load(write_coloured_mesh(mesh, colours, tmp_path / f"a.{suffix}"), process=False)
    expected = (linear_to_srgb(colours) * 255).round()
    assert torch.equal(torch.from_numpy(again.visual.vertex_colors[:, :3].copy()).float(), expected)
    assert torch.allclose(torch.from_numpy(again.vertices).float(), mesh.vertices)


def test_colours_are_linear_and_fine_in_glb(tmp_path):
    mesh, colours = triangle()
    path = write_coloured_mesh(mesh, colours, tmp_path / "a.glb")
    gltf = pygltflib.GLTF2().load(str(path))
    assert gltf.materials[0].extensions == {"KHR_materials_unlit": {}}
    view = gltf.bufferViews[2]
    stored = torch.frombuffer(bytearray(gltf.binary_blob()), dtype=torch.uint16, offset=view.byteOffset, count=12)
    assert torch.allclose(stored.float().reshape(3, 4)[:, :3] / 65535, colours, atol=1e-5)
    assert torch.allclose(torch.from_numpy(trimesh.load(path, force="mesh").vertices).float(), mesh.vertices)


@pytest.mark.parametrize("suffix", ["ply", "obj", "glb", "stl"])
def test_a_head_is_written_in_every_format(head, tmp_path, suffix):
    path = export(head, tmp_path / f"head.{suffix}", pose=30, resolution=48)
    mesh = trimesh.load(path, force="mesh")
    assert len(mesh.faces) > 500
    assert 0.2 < mesh.extents[1] < 0.6


def test_a_frame_of_a_driver_is_written(head, tmp_path):
    mesh = trimesh.load(export(head, tmp_path / "a.ply", motion=talker(), frame=30, resolution=48), process=False)
    clip = drive(head, talker())
    expected = head.pose(clip.expression[30], clip.rotations[30], clip.translations[30]).mesh(48)
    assert torch.allclose(torch.from_numpy(mesh.vertices).float(), expected.vertices, atol=1e-5)


def test_the_canonical_head_is_the_stored_surface(head, tmp_path):
    mesh = trimesh.load(export(head, tmp_path / "a.ply", resolution=48), process=False)
    assert torch.allclose(torch.from_numpy(mesh.vertices).float(), head.proxy(48).vertices, atol=2e-3)


def test_a_head_stored_in_no_pose_is_meshed_in_a_frame(tmp_path):
    model = small_model(replace(COARSE, deformation="none", conditioned=True))
    head = HeadAvatar(model, small_head().tracks, small_head().info)
    with pytest.raises(InputError, match=r"stored in none.*--pose 0"):
        export(head, tmp_path / "a.ply", resolution=32)
    assert len(trimesh.load(export(head, tmp_path / "a.ply", pose=0, resolution=32)).faces) > 100


def test_all_frames_have_the_same_triangles(head, tmp_path):
    folder = export_frames(head, tmp_path / "talk", talker().cut(29, 32), ".ply", 48, quiet=True)
    meshes = [trimesh.load(path, process=False) for path in sorted(folder.iterdir())]
    assert [path.name for path in sorted(folder.iterdir())] == [f"frame_0000{number}.ply" for number in range(3)]
    assert (meshes[0].faces == meshes[1].faces).all()
    assert abs(meshes[0].vertices - meshes[1].vertices).max() > 0.005
    export_frames(head, folder, talker().cut(29, 31), ".ply", 48, quiet=True)
    assert len(list(folder.iterdir())) == 2


def test_bodies_have_frames_too(tmp_path):
    avatar = small_avatar()
    body = avatar.body(192)
    from body_models import Motion

    clip = Motion("two", avatar.skeleton, body.joints, avatar.poses, avatar.translations, 1.0)
    folder = export_frames(avatar, tmp_path / "walk", clip, ".obj", 48, quiet=True)
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("a.fbx", {"pose": 0}, r"\.glb"),
        ("a.ply", {"pose": 60}, "No frame 60"),
        ("a.ply", {"pose": 0, "resolution": 4}, "resolution"),
        ("a.ply", {"motion": "nowhere.csv"}, "nowhere.csv"),
        ("a.ply", {"pose": torch.zeros(7, 3)}, "takes"),
    ],
)
def test_wrong_requests_are_told_and_leave_nothing(head, tmp_path, name, wrong, message):
    with pytest.raises(InputError, match=message):
        export(head, tmp_path / name, **wrong)
    assert list(tmp_path.iterdir()) == []


def test_folders_of_other_things_are_kept(head, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="other files"):
        export_frames(head, tmp_path, talker())
    with pytest.raises(InputError, match=r"\.glb"):
        export_frames(head, tmp_path / "new", talker(), ".fbx")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
