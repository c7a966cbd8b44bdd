import pytest
import torch
import trimesh

import avatars
from avatars.export import export
from body_models import InputError, Motion
from data_prep.surface import Surface
from tests.avatars.small_avatar import small_avatar


@pytest.mark.parametrize("suffix", ["ply", "obj", "glb", "stl"])
def test_every_format_is_readable_and_of_human_size(tmp_path, suffix):
    path = export(small_avatar(), tmp_path / f"pose.{suffix}", pose=1, resolution=64, exact=False)
    mesh = trimesh.load(path, force="mesh")
    assert len(mesh.faces) > 500
    assert 1.2 < mesh.extents[1] < 2.1


def test_the_package_is_the_function(tmp_path):
    path = avatars.export(small_avatar(), tmp_path / "canonical.ply", resolution=48)
    assert path.is_file()
    assert avatars.export.animate is avatars.animate


def test_canonical_mesh_is_the_canonical_body(tmp_path):
    avatar = small_avatar()
    mesh = trimesh.load(export(avatar, tmp_path / "canonical.ply", resolution=64), process=False)
    assert torch.allclose(torch.from_numpy(mesh.vertices).float(), avatar.body(64).canonical(), atol=1e-5)


def test_exact_and_skinned_meshes_agree_in_a_mild_pose(tmp_path):
    surfaces = []
    for exact in (True, False):
        mesh = trimesh.load(export(small_avatar(), tmp_path / "a.ply", pose=1, resolution=80, exact=exact))
        surfaces.append(Surface(torch.from_numpy(mesh.vertices).float(), torch.from_numpy(mesh.faces)))
    assert float(surfaces[0].closest(surfaces[1].vertices).distance.mean()) < 0.01


def test_training_pose_stands_where_its_scan_stood(tmp_path):
    avatar = small_avatar()
    mesh = trimesh.load(export(avatar, tmp_path / "bent.ply", pose=1, resolution=64, exact=False))
    hips = avatar.model.joints[0] + avatar.translations[1]
    assert abs(torch.tensor(mesh.bounds).mean(0).float() - hips)[[0, 2]].max() < 0.3


def test_a_frame_of_a_motion_can_be_exported(tmp_path):
    avatar = small_avatar()
    joints = avatar.body(192).joints
    clip = Motion("two", avatar.skeleton, joints, avatar.poses, avatar.translations, 1.0)
    path = export(avatar, tmp_path / "frame.ply", motion=clip, frame=1, resolution=64, exact=False)
    assert path.is_file()
    with pytest.raises(InputError, match="No frame 2"):
        export(avatar, tmp_path / "frame.ply", motion=clip, frame=2)


def test_joint_angles_of_another_skeleton_are_refused(tmp_path):
    with pytest.raises(InputError, match="retarget"):
        export(small_avatar(), tmp_path / "a.ply", pose=torch.zeros(5, 3))


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("a.fbx", {"pose": 0}, r"\.glb"),
        ("a.ply", {"pose": 7}, "No training pose 7"),
        ("a.ply", {"pose": -1}, "No training pose -1"),
        ("a.ply", {"pose": 0, "resolution": 4}, "resolution"),
        ("a.ply", {"pose": 0, "motion": "walk.bvh"}, "not both"),
        ("a.ply", {"motion": "nowhere.bvh"}, "nowhere.bvh"),
    ],
)
def test_wrong_requests_are_told_and_leave_nothing(tmp_path, name, wrong, message):
    with pytest.raises(InputError, match=message):
        export(small_avatar(), tmp_path / name, **wrong)
    assert list(tmp_path.iterdir()) == []
