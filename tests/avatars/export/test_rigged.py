"""Avatars to rigged files from Python: what is in them, where they stand, and what is refused."""

from pathlib import Path

import pytest
import torch

import avatars
from avatars.export import export, training_motion
from avatars.export.rig import RigMotion, rig_motion
from avatars.export.rig.bake import bake
from avatars.export.rig.options import RigOptions
from avatars.export.rigged import export_rig
from body_models import InputError
from body_models.gltf import Document
from data_prep.gltf_skin import read_posed_meshes
from tests.avatars.head_drivers import acting_head, talker
from tests.avatars.small_avatar import small_avatar
from tests.avatars.small_nerface import small_nerface
from tests.avatars.tiny_bvh import write_bvh

LIGHT = RigOptions(faces=2000, resolution=48, texture=128)


def test_a_glb_without_a_pose_is_rigged_and_animated(tmp_path: Path) -> None:
    walk = write_bvh(tmp_path / "walk.bvh")
    path = avatars.export(small_avatar(), tmp_path / "a.glb", motion=walk, options=LIGHT)
    document = Document(path).gltf
    assert len(document.skins[0].joints) == len(small_avatar().skeleton)
    assert [animation.name for animation in document.animations] == ["walk"]
    assert len(document.images) == 1  # a normal map: the avatar has no colours


def test_several_motions_are_several_clips(tmp_path: Path) -> None:
    avatar = small_avatar()
    motions = [training_motion(avatar), write_bvh(tmp_path / "walk.bvh")]
    path = export(avatar, tmp_path / "a.glb", motion=motions, options=LIGHT)
    assert len(Document(path).gltf.animations) == 2


def test_a_head_has_its_expressions_as_morph_targets(tmp_path: Path) -> None:
    head = acting_head()
    path = export(head, tmp_path / "a.glb", motion=talker(), options=LIGHT)
    document = Document(path).gltf
    assert document.meshes[0].extras["targetNames"][:52] == list(head.expression_names)
    assert {channel.target.path for channel in document.animations[0].channels} >= {"weights", "rotation"}
    assert [image.name for image in document.images] == ["colour"]  # unlit: it needs no normal map


def test_the_file_moves_as_the_avatar_does(tmp_path: Path) -> None:
    avatar = small_avatar()
    clip = training_motion(avatar)
    baked = bake(avatar, RigOptions(faces=100_000, resolution=48, texture=0))
    path = export_rig(avatar, tmp_path / "a.glb", [clip], baked=baked)
    read = torch.from_numpy(read_posed_meshes(path, frames=1)[0].vertices).float()
    expected = baked.rig.pose(rig_motion(avatar, baked.rig, clip).frame(0))[0]
    torch.testing.assert_close(read, expected, atol=2e-4, rtol=0)


def test_a_budget_is_kept_and_weights_stay_whole() -> None:
    rig = bake(small_avatar(), RigOptions(faces=1500, resolution=64, texture=0, influences=2)).rig
    assert len(rig.faces) <= 1500
    assert rig.bones.shape[1] <= 2
    torch.testing.assert_close(rig.weights.sum(1), torch.ones(len(rig.vertices)))


def test_a_rig_without_textures_has_no_look() -> None:
    baked = bake(small_avatar(), RigOptions(faces=1500, resolution=48, texture=0))
    assert baked.look is None
    assert baked.rig.uv is None


def test_meshes_are_written_as_before(tmp_path: Path) -> None:
    avatar = small_avatar()
    for pose in ("canonical", 1):
        path = export(avatar, tmp_path / "a.glb", pose=pose, resolution=48, exact=False)
        assert not Document(path).gltf.skins


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("a.glb", {"rig": "biped2"}, "mixamo"),
        ("a.glb", {"motion": "nowhere.bvh"}, "nowhere.bvh"),
        ("a.ply", {"pose": "sitting"}, "canonical"),
        ("a.ply", {"motion": ["a.bvh", "b.bvh"]}, "Several motions"),
        ("a.usdz", {"pose": 0}, r"\.ply"),
    ],
)
def test_wrong_requests_are_told_and_leave_nothing(tmp_path: Path, name: str, wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        export(small_avatar(), tmp_path / name, options=LIGHT, **wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match="file"):
        export(small_avatar(), tmp_path / "file" / "a.glb", options=LIGHT)


def test_a_motion_of_unknown_joints_is_refused(tmp_path: Path) -> None:
    strange = write_bvh(tmp_path / "strange.bvh", prefix="X")
    with pytest.raises(InputError, match="joints are not known"):
        export(small_avatar(), tmp_path / "a.glb", motion=strange, options=LIGHT)


def test_a_head_is_no_humanoid(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"vrm|VRM"):
        export(acting_head(), tmp_path / "a.glb", rig="vrm", options=LIGHT)


def test_a_vrm_has_no_other_bones_than_vrms(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.vrm.*not Mixamo's"):
        export(small_avatar(), tmp_path / "a.vrm", rig="mixamo", options=LIGHT)
    assert list(tmp_path.iterdir()) == []


def test_a_head_learns_no_correctives() -> None:
    with pytest.raises(InputError, match="for bodies"):
        bake(acting_head(), RigOptions(faces=1500, resolution=48, texture=0, correctives=2))


def test_a_volume_has_no_rig(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no single mesh"):
        export(small_nerface(), tmp_path / "a.glb", options=LIGHT)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"influences": 5}, "influences"),
        ({"texture": 7}, "Textures"),
        ({"resolution": 8}, "resolution"),
        ({"correctives": -1}, "correctives"),
        ({"faces": 3}, r"faces|triangles"),
    ],
)
def test_wrong_options_are_told(wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        bake(small_avatar(), RigOptions(**({"resolution": 48} | wrong)))


def test_correctives_of_a_body_are_driven_by_its_pose() -> None:
    avatar = small_avatar()
    rig = bake(avatar, RigOptions(faces=1500, resolution=48, texture=0, correctives=2)).rig
    assert len(rig.morphs) <= 2
    clip = training_motion(avatar)
    assert isinstance(rig_motion(avatar, rig, clip), RigMotion)
