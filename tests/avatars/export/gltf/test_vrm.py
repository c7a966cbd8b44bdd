import numpy as np
import pytest
import torch

from avatars.export.gltf import write_glb
from avatars.export.gltf.names import REQUIRED
from avatars.export.gltf.t_pose import standing_in_t, t_pose
from avatars.export.gltf.vrm import PRESETS
from avatars.export.rig import Rig
from body_models import InputError
from body_models.gltf import Document
from body_models.motion.rigs import match_joints
from body_models.names import ARKIT_EXPRESSIONS
from body_models.skeleton import posed_from_rest, rotation_matrices, transform_points
from data_prep.gltf_skin import read_posed_meshes
from tests.avatars.export.gltf.small_rigs import body_rig, clip, head_rig

RIGS = ["compact", "hands", "full"]


def joints_in_t(rig: Rig) -> dict[str, torch.Tensor]:
    pose = t_pose(rig.skeleton, rig.joints)
    moved = posed_from_rest(rotation_matrices(pose), torch.zeros(3), rig.joints, rig.skeleton.parents)
    places = transform_points(moved, rig.joints)
    return {name: places[bone] for name, bone in match_joints(rig.skeleton.joint_names).items()}


@pytest.mark.parametrize("bones", RIGS)
def test_arms_are_level_and_legs_straight(bones):
    at = joints_in_t(body_rig(bones))
    for side, outward in (("left", 1.0), ("right", -1.0)):
        for start, end in (("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "hand")):
            limb = at[f"{side}_{end}"] - at[f"{side}_{start}"]
            assert outward * limb[0] / limb.norm() > 0.995
        for start, end in (("hip", "knee"), ("knee", "ankle")):
            limb = at[f"{side}_{end}"] - at[f"{side}_{start}"]
            assert -limb[1] / limb.norm() > 0.9999
        toes = at[f"{side}_foot"] - at[f"{side}_ankle"]
        assert toes[2] > 0.1


def test_palms_are_down():
    at = joints_in_t(body_rig("hands"))
    for side in ("left", "right"):
        across = at[f"{side}_index1"] - at[f"{side}_pinky1"]
        assert across[2] > 0.03
        assert abs(across[1]) < 1e-4


def test_a_t_pose_once_more_is_the_same():
    rig = standing_in_t(body_rig())
    assert (rig.bind_pose - t_pose(rig.skeleton, rig.joints)).abs().max() < 1e-4
    assert abs(float(rig.vertices[:, 1].min())) < 1e-6


@pytest.mark.parametrize("bones", RIGS)
def test_humanoid_bones_and_rights_are_named(tmp_path, bones):
    gltf = Document(write_glb(tmp_path / "a.glb", body_rig(bones), names="vrm", notes=["of scans"])).gltf
    vrm = gltf.extensions["VRMC_vrm"]
    humanoid = vrm["humanoid"]["humanBones"]
    assert set(REQUIRED) <= set(humanoid)
    assert all(gltf.nodes[bone["node"]].name == name for name, bone in humanoid.items())
    assert vrm["specVersion"] == "1.0"
    assert {"name", "authors", "licenseUrl"} <= set(vrm["meta"])
    assert vrm["meta"]["avatarPermission"] == "onlyAuthor"
    assert vrm["meta"]["references"] == ["of scans"]
    assert gltf.extensionsUsed == ["VRMC_vrm"]
    assert "expressions" not in vrm


def test_the_person_stands_on_the_ground_in_a_t(tmp_path):
    path = write_glb(tmp_path / "a.glb", body_rig(), names="vrm")
    vertices = read_posed_meshes(path)[0].vertices
    assert abs(vertices[:, 1].min()) < 1e-5
    assert np.ptp(vertices[:, 0]) > 0.9 * np.ptp(vertices[:, 1])


def test_clips_move_it_as_they_move_the_rig(tmp_path):
    rig = body_rig()
    moves = clip(rig, frames=5)
    read = read_posed_meshes(write_glb(tmp_path / "a.glb", rig, [moves], names="vrm"), len(moves) - 1)
    own = rig.rebound(t_pose(rig.skeleton, rig.joints)).pose(moves).numpy()[:-1]
    assert np.abs(np.stack([mesh.vertices for mesh in read]) - own).max() < 1e-4


def test_faces_have_expressions(tmp_path):
    body = body_rig()
    numbers = torch.Generator().manual_seed(0)
    morphs = torch.randn(52, len(body.vertices), 3, generator=numbers) * 0.001
    rig = Rig(**{**vars(body), "morphs": morphs, "morph_names": ARKIT_EXPRESSIONS})
    gltf = Document(write_glb(tmp_path / "a.glb", rig, names="vrm")).gltf
    expressions = gltf.extensions["VRMC_vrm"]["expressions"]
    assert set(expressions["preset"]) == set(PRESETS)
    assert set(expressions["custom"]) == set(ARKIT_EXPRESSIONS)
    (node,) = (index for index, node in enumerate(gltf.nodes) if node.mesh is not None)
    blink = expressions["preset"]["blinkLeft"]["morphTargetBinds"]
    assert blink == [{"node": node, "index": ARKIT_EXPRESSIONS.index("eyeBlinkLeft"), "weight": 1.0}]
    for one in (*expressions["preset"].values(), *expressions["custom"].values()):
        assert all(0 < bind["weight"] <= 1 for bind in one["morphTargetBinds"])


def test_expressions_that_cannot_be_shown_whole_are_left_out(tmp_path):
    body = body_rig()
    names = ("jawOpen", "eyeBlink_L", "own")
    rig = Rig(**{**vars(body), "morphs": torch.full((3, len(body.vertices), 3), 0.001), "morph_names": names})
    made = Document(write_glb(tmp_path / "a.glb", rig, names="vrm")).gltf.extensions["VRMC_vrm"]["expressions"]
    assert set(made["preset"]) == {"aa", "blinkLeft"}
    assert set(made["custom"]) == set(names)


def test_a_head_is_no_vrm(tmp_path):
    with pytest.raises(InputError, match="VRM is for whole bodies"):
        write_glb(tmp_path / "a.glb", head_rig(), names="vrm")
    assert list(tmp_path.iterdir()) == []
