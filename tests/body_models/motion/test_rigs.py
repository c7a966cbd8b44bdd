import pytest

from body_models.motion.bvh import load_bvh
from body_models.motion.rig_names import RIGS
from body_models.motion.rigs import (
    REQUIRED_JOINTS,
    joint_of_bone,
    match_head_joints,
    match_joints,
    plain_name,
    rig_family,
)
from body_models.names import HEAD_SKELETON, SMPL_SKELETON, SMPLH_SKELETON, SMPLX_SKELETON
from tests.shared_data import shared

JOINTS = tuple(dict.fromkeys(SMPL_SKELETON.joint_names + SMPLX_SKELETON.joint_names))


def family_names(rig: str) -> dict[str, str]:
    """A family's first name for each of our joints."""
    names = {}
    for joint in JOINTS:
        side, _, part = joint.rpartition("_")
        pattern = RIGS[rig].get(joint) or RIGS[rig].get(part)
        if pattern is not None:
            names[joint] = pattern.format(Side=side.capitalize(), side=side, s=side[:1], S=side[:1].upper()).split()[0]
    return names


@pytest.mark.parametrize("rig", RIGS)
def test_each_family_is_recognised(rig):
    names = family_names(rig)
    listed = list(dict.fromkeys(names.values()))
    matched = match_joints(listed)
    assert set(REQUIRED_JOINTS) <= set(matched)
    assert rig_family(listed) == rig
    assert {joint: listed[matched[joint]] for joint in names if joint != "left_hand" and joint != "right_hand"} == {
        joint: name for joint, name in names.items() if joint != "left_hand" and joint != "right_hand"
    }


@pytest.mark.parametrize("prefix", ["mixamorig:", "mixamorig_", "Armature:", ""])
def test_prefixes_do_not_matter(prefix):
    names = [prefix + name for name in dict.fromkeys(family_names("Mixamo").values())]
    assert match_joints(names)["left_index2"] == [plain_name(n) for n in names].index("lefthandindex2")


def test_spaces_and_biped_prefix():
    names = ["Bip01 " + name.replace("_", " ") for name in dict.fromkeys(family_names("Biped").values())]
    assert names[match_joints(names)["right_knee"]] == "Bip01 r Calf"


@pytest.mark.parametrize("skeleton", [SMPL_SKELETON, SMPLH_SKELETON, SMPLX_SKELETON], ids=["24", "52", "55"])
def test_own_skeletons_match_themselves(skeleton):
    matched = match_joints(skeleton.joint_names)
    assert all(matched[name] == bone for bone, name in enumerate(skeleton.joint_names))
    assert "left_hand" in matched


def test_heads_are_told_from_bodies():
    assert set(match_head_joints(HEAD_SKELETON.joint_names)) == {"spine3", "head", "jaw", "left_eye", "right_eye"}
    assert match_head_joints(SMPLX_SKELETON.joint_names) == {}
    assert rig_family(HEAD_SKELETON.joint_names) is None
    assert rig_family([]) is None


def test_real_skeletons():
    cmu = load_bvh(shared("motion_cmu_bvh") / "02_01.bvh").skeleton.joint_names
    assert rig_family(cmu) == "CMU"
    assert cmu[match_joints(cmu)["spine1"]] == "LowerBack"
    makehuman = load_bvh(shared("motion_makehuman_cc0_poses") / "run01.bvh").skeleton.joint_names
    matched = match_joints(makehuman)
    assert rig_family(makehuman) == "MakeHuman"
    assert set(SMPLX_SKELETON.joint_names) <= set(matched)
    played = joint_of_bone(makehuman, matched)
    assert played[makehuman.index("toe5-1.R")] == "right_foot"
