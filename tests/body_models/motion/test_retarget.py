from dataclasses import replace

import pytest
import roma
import torch

from body_models import load_anny
from body_models.body import Body
from body_models.errors import InputError
from body_models.motion.clips import load_motion
from body_models.motion.retarget import retarget
from body_models.motion.rigs import RIGS, match_joints
from body_models.skeleton import Skeleton
from tests.body_models.motion.retarget_cases import (
    greatest_angle,
    smpl_motion,
)
from tests.shared_data import shared

CLIPS = ["motion_cmu_bvh/02_01.bvh", "motion_cmu_bvh/01_01.bvh"] + [
    f"motion_makehuman_cc0_poses/{name}.bvh" for name in ("fight01", "fly01", "gym01", "run01", "sit01", "standing05")
]


@pytest.fixture(scope="module")
def body() -> Body:
    return load_anny().body()


def test_limbs_keep_their_directions(body):
    motion = smpl_motion()
    assert greatest_angle(motion, retarget(motion, body)) < 0.1


@pytest.mark.parametrize("clip", CLIPS)
def test_limbs_of_real_clips_keep_their_directions(body, clip):
    motion = load_motion(shared(clip.split("/")[0]) / clip.split("/")[1])
    result = retarget(motion, body)
    assert len(result) == len(motion)
    assert greatest_angle(motion, result) < 0.1


def test_own_motion_is_copied(body):
    motion = replace(smpl_motion(), rest_joints=body.joints)
    result = retarget(motion, body)
    torch.testing.assert_close(result.rotations, motion.rotations, atol=0, rtol=0)
    torch.testing.assert_close(result.translations, motion.translations, atol=0, rtol=0)


def test_own_motion_is_copied_by_other_names_in_another_order_from_another_place(body):
    motion = replace(smpl_motion(), rest_joints=body.joints)
    children = [[b for b, p in enumerate(body.skeleton.parents) if p == bone] for bone in range(-1, len(body.joints))]

    def visit(bone):
        return [bone, *(below for child in children[bone + 1] for below in visit(child))]

    order, away = visit(0), torch.tensor([0.3, 1.0, -0.2])
    parents = tuple(-1 if bone == 0 else order.index(body.skeleton.parents[bone]) for bone in order)
    assert order != sorted(order)
    written = replace(
        motion,
        skeleton=Skeleton(tuple(f"bone {number}" for number in range(len(order))), parents),
        rest_joints=body.joints[order] + away,
        rotations=motion.rotations[:, order],
        translations=motion.translations - away,
    )
    result = retarget(written, body)
    torch.testing.assert_close(result.rotations, motion.rotations, atol=0, rtol=0)
    torch.testing.assert_close(result.translations, motion.translations)


def test_same_rest_pose_keeps_rotations(body):
    motion = replace(smpl_motion(), rest_joints=1.2 * body.joints)
    torch.testing.assert_close(retarget(motion, body).rotations, motion.rotations, atol=0, rtol=0)


def test_retargeting_twice_changes_nothing(body):
    once = retarget(smpl_motion(), body)
    torch.testing.assert_close(retarget(once, body).joint_positions(), once.joint_positions())


def test_turning_the_source_turns_the_result(body):
    motion = smpl_motion(frames=1)
    turn = roma.rotvec_to_rotmat(torch.tensor([0.0, 1.1, 0.0]))
    root = roma.rotmat_to_rotvec(turn @ roma.rotvec_to_rotmat(motion.rotations[:, 0]))
    turned = replace(motion, rotations=torch.cat([root[:, None], motion.rotations[:, 1:]], dim=1))
    straight, result = (retarget(m, body).joint_positions()[0] for m in (motion, turned))
    torch.testing.assert_close(result - result[0], (straight - straight[0]) @ turn.T, atol=1e-4, rtol=0)


def test_travel_is_scaled_and_starts_at_the_origin(body):
    motion = replace(
        smpl_motion(2), rotations=torch.zeros(2, 24, 3), translations=torch.tensor([[5.0, 1, 2], [6, 1, 2]])
    )
    joints = retarget(motion, body).joint_positions()
    assert joints[0, 0, [0, 2]].abs().max() < 1e-5
    step = joints[1, 0] - joints[0, 0]
    assert 0.6 < step[0] < 1.4
    assert step[1:].abs().max() < 1e-5


def test_a_lone_pose_touches_the_ground(body):
    result = retarget(smpl_motion(1), body)
    vertices = body.pose_vertices(result.rotations, result.translations)
    assert vertices[..., 1].min().abs() < 1e-5


def test_walk_stands_on_the_ground_and_bends_knees_backwards(body):
    result = retarget(load_motion(shared("motion_cmu_bvh") / "02_01.bvh"), body)
    frames = torch.arange(0, len(result), 12)
    lowest = body.pose_vertices(result.rotations[frames], result.translations[frames])[..., 1].amin(-1)
    assert lowest.abs().max() < 0.03
    at, joints = match_joints(result.skeleton.joint_names), result.joint_positions()
    hips = roma.rotvec_to_rotmat(result.rotations[:, 0])
    for side in ("left", "right"):
        hip, knee, ankle = (joints[:, at[f"{side}_{part}"]] for part in ("hip", "knee", "ankle"))
        bend = (hips.mT @ (knee - (hip + ankle) / 2)[..., None])[:, 2, 0]
        assert bend.max() > 0.1  # a lifted foot's knee goes forward
        assert bend.min() > -0.03


@pytest.mark.parametrize("rig", [rig for rig in RIGS if rig != "SMPL"])
def test_renamed_joints_give_the_same_result(body, rig):
    """Names of another family, prefix and all, do not change the result where that family has every joint."""
    motion = smpl_motion()
    names = []
    for joint in motion.skeleton.joint_names:
        side, _, part = joint.rpartition("_")
        pattern = RIGS[rig].get(joint) or RIGS[rig].get(part, joint)
        alternatives = pattern.format(Side=side.capitalize(), side=side, s=side[:1], S=side[:1].upper()).split()
        names.append("mixamorig:" + alternatives[0])
    renamed = replace(motion, skeleton=Skeleton(tuple(names), motion.skeleton.parents))
    assert greatest_angle(motion, retarget(renamed, body)) < 0.1
    if rig in ("Mixamo", "CMU", "MakeHuman", "Unreal", "Unity and VRM", "Rigify", "Biped"):
        torch.testing.assert_close(retarget(renamed, body).rotations, retarget(motion, body).rotations)


def test_unknown_skeleton_lists_what_is_missing(body):
    motion = smpl_motion()
    names = tuple(f"bone{i}" for i in range(24))
    stranger = replace(motion, skeleton=Skeleton(names, motion.skeleton.parents))
    with pytest.raises(InputError, match=r"left_knee.*bone0.*Mixamo"):
        retarget(stranger, body)


def test_a_limb_without_length_is_no_nan(body):
    motion = smpl_motion()
    flat = motion.rest_joints.clone()
    flat[18] = flat[16]
    result = retarget(replace(motion, rest_joints=flat), body)
    assert torch.isfinite(result.rotations).all()
