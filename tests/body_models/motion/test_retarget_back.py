from dataclasses import replace

import pytest
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models import load_anny
from body_models.body import Body
from body_models.errors import InputError
from body_models.motion.clips import load_motion
from body_models.motion.motion import Motion
from body_models.motion.rest_joints import smpl_rest_joints
from body_models.motion.retarget import retarget
from body_models.motion.rigs import match_joints
from body_models.motion.turns import turn_between
from body_models.names import HEAD_SKELETON, SMPL_SKELETON, SMPLH_SKELETON, SMPLX_SKELETON
from tests.body_models.motion.retarget_cases import (
    greatest_angle,
    smpl_motion,
    worst_shared_angle,
)
from tests.body_models.motion.rig_cases import bare_body, full_body, t_pose_body
from tests.shared_data import shared


@pytest.fixture(scope="module")
def body() -> Body:
    return load_anny().body()


@pytest.mark.parametrize("skeleton", [SMPL_SKELETON, SMPLH_SKELETON, SMPLX_SKELETON], ids=["24", "52", "55"])
def test_a_clip_comes_back_from_another_rest_pose(body, skeleton):
    """Poses of the free body, carried over to a T-pose and back, have their rotations again."""
    motion = retarget(smpl_motion(), body)
    moved = retarget(motion, t_pose_body(skeleton))
    assert worst_shared_angle(motion, retarget(moved, body), skeleton) < 0.1


def test_fingers_and_face_come_back_from_another_rest_pose():
    source = t_pose_body(SMPLX_SKELETON)
    bent = source.joints * torch.tensor([0.9, 1.1, 1.0]) + 0.02 * torch.randn(
        55, 3, generator=torch.Generator().manual_seed(3)
    )
    rotations = 0.4 * torch.randn(5, 55, 3, generator=torch.Generator().manual_seed(2))
    motion = Motion("x", SMPLX_SKELETON, source.joints, rotations, torch.zeros(5, 3), 30.0)
    moved = retarget(motion, bare_body(SMPLX_SKELETON, bent))
    assert worst_shared_angle(motion, retarget(moved, source), SMPLX_SKELETON) < 0.1
    assert not torch.allclose(moved.rotations, motion.rotations, atol=0.01)
    for a, b in (("left_index1", "left_index2"), ("right_thumb2", "right_thumb3")):
        pair = [SMPLX_SKELETON.index(name) for name in (a, b)]
        bones = [m.joint_positions()[:, pair].diff(dim=1)[:, 0] for m in (motion, moved)]
        assert torch.nn.functional.cosine_similarity(*bones, dim=-1).min() > 0.9999


def test_real_walk_comes_back_within_a_degree(body):
    walk = load_motion(shared("motion_cmu_bvh") / "02_01.bvh")
    for target in (body, t_pose_body(SMPL_SKELETON)):
        there = retarget(walk, target)
        assert worst_shared_angle(walk, retarget(there, walk), target.skeleton) < 1.0


def trunk_angles(a: Motion, b: Motion) -> Float[Tensor, "frame"]:
    """Degrees between the ways from pelvis to neck, seen from the pelvis, beyond the difference at rest."""
    seen = []
    for motion in (a, b):
        at = match_joints(motion.skeleton.joint_names)
        joints, turns = motion.joint_positions(), motion.posed_from_rest()[:, at["pelvis"], :3, :3]
        way = (turns.mT @ (joints[:, at["neck"]] - joints[:, at["pelvis"]])[..., None])[..., 0]
        seen.append((way, motion.rest_joints[at["neck"]] - motion.rest_joints[at["pelvis"]]))
    (theirs, their_rest), (ours, our_rest) = seen
    cosines = torch.nn.functional.cosine_similarity(theirs, ours @ turn_between(our_rest, their_rest).mT, dim=-1)
    return torch.rad2deg(torch.acos(cosines.clamp(-1, 1)))


def test_the_neck_leans_as_the_source_s_does(body):
    """Whatever the heights of the spine's joints and the number of bones between them; chest and limbs turn alike."""
    low = replace(smpl_motion(size=0.25), rest_joints=smpl_rest_joints().float())
    low.rest_joints[[3, 6, 9], 1] -= 0.06
    for target in (body, full_body(), t_pose_body(SMPLH_SKELETON)):
        moved = retarget(low, target)
        assert trunk_angles(low, moved).max() < 0.1
        at = match_joints(moved.skeleton.joint_names)
        for name in ("pelvis", "spine3", "neck"):
            turns = [m.posed_from_rest()[:, i, :3, :3] for m, i in ((low, low.skeleton.index(name)), (moved, at[name]))]
            torch.testing.assert_close(*turns, atol=1e-4, rtol=0)
        assert worst_shared_angle(low, retarget(moved, low), moved.skeleton) < 0.1


def test_joints_too_near_together_do_not_bend_the_spine(body):
    motion = smpl_motion()
    crowded = motion.rest_joints.clone()
    crowded[[3, 6], 1] = crowded[9, 1] - torch.tensor([0.02, 0.01])
    motion = replace(motion, rest_joints=crowded)
    turns = [m.posed_from_rest()[:, SMPL_SKELETON.index("spine1"), :3, :3] for m in (motion, retarget(motion, body))]
    torch.testing.assert_close(*turns, atol=1e-4, rtol=0)


def test_fingers_follow_a_hand_that_turns_as_one():
    motion = smpl_motion()
    result = retarget(motion, t_pose_body(SMPLH_SKELETON))
    turns = result.posed_from_rest()[..., :3, :3]
    index, pinky, thumb, wrist = (
        turns[:, SMPLH_SKELETON.index(f"left_{name}")] for name in ("index1", "pinky1", "thumb1", "wrist")
    )
    torch.testing.assert_close(index, pinky)
    torch.testing.assert_close(thumb, wrist)
    assert not torch.allclose(index, wrist, atol=0.1)


def test_several_bones_a_segment_keep_directions_and_come_back(body):
    motion, full = retarget(smpl_motion(), body), full_body()
    moved = retarget(motion, full)
    assert greatest_angle(motion, moved) < 0.1
    assert worst_shared_angle(motion, retarget(moved, body), full.skeleton) < 0.1
    turned = moved.rotations.norm(dim=-1)
    for straight in ("upperleg02.L", "lowerarm02.R"):
        assert turned[:, full.skeleton.index(straight)].max() < 1e-3
    spine = turned[:, [full.skeleton.index(f"spine0{k}") for k in (5, 4, 3)]]
    torch.testing.assert_close(spine, spine.mean(1, keepdim=True).expand(-1, 3), atol=1e-3, rtol=0)
    assert spine.min() > 0.01
    toes = moved.rotations[:, [full.skeleton.index(f"toe{k}-1.L") for k in (1, 2)]]
    torch.testing.assert_close(toes[:, 0], toes[:, 1])


def test_bent_twist_bones_are_straightened_on_a_plain_limb(body):
    full = full_body()
    rotations = 0.3 * torch.randn(4, len(full.skeleton), 3, generator=torch.Generator().manual_seed(5))
    motion = Motion("full", full.skeleton, full.joints, rotations, torch.zeros(4, 3), 30.0)
    assert greatest_angle(motion, retarget(motion, body)) < 0.1
    scaled = bare_body(full.skeleton, full.joints * torch.tensor([1.3, 1.0, 1.0]))
    again = retarget(retarget(motion, scaled), full)
    names = [full.skeleton.index(name) for name in ("upperleg02.L", "lowerarm02.R")]
    torch.testing.assert_close(again.rotations[:, names], rotations[:, names], atol=1e-3, rtol=0)


def test_feet_of_the_walk_stay_where_they_stand(body):
    """Heel and ball of the foot travel less than 2 cm while the source's ankle or toe is low and slow."""
    walk = load_motion(shared("motion_cmu_bvh") / "02_01.bvh")
    result, at, joints = retarget(walk, body), match_joints(walk.skeleton.joint_names), walk.joint_positions()
    stances = 0
    for name in ("left_ankle", "left_foot", "right_ankle", "right_foot"):
        joint = joints[:, at[name]]
        planted = (torch.gradient(joint, dim=0)[0].norm(dim=-1) * walk.frame_rate < 0.3) & (
            joint[:, 1] < joint[:, 1].quantile(0.1) + 0.06
        )
        own = (body.skinning_weights[:, body.skeleton.index(name)] > 0.5).nonzero()[:, 0]
        sole = body.subset(own[body.vertices[own, 1].argmin()][None])
        places = sole.pose_vertices(result.rotations, result.translations)[:, 0][:, [0, 2]]
        edges = torch.nn.functional.pad(planted.int(), (1, 1)).diff()
        for start, stop in zip((edges == 1).nonzero()[:, 0], (edges == -1).nonzero()[:, 0], strict=True):
            if stop - start >= 12:
                stances += 1
                assert torch.cdist(places[start:stop], places[start:stop]).max() < 0.02
    assert stances >= 8


def test_holding_feet_changes_travel_little_and_does_not_shake_the_body(body):
    walk = load_motion(shared("motion_cmu_bvh") / "02_01.bvh")
    result = retarget(walk, body)
    travelled, expected = (m.translations[-1, [0, 2]] - m.translations[0, [0, 2]] for m in (result, walk))
    assert 0.85 < travelled.norm() / expected.norm() < 1.1
    shaken = (m.translations.diff(dim=0).diff(dim=0).norm(dim=-1).quantile(0.95) for m in (result, walk))
    assert next(shaken) < 2 * next(shaken)


def test_a_body_without_surface_stands_on_its_lowest_joint():
    body = t_pose_body(SMPL_SKELETON)
    result = retarget(smpl_motion(1), replace(body, joints=1.1 * body.joints))
    assert result.joint_positions()[..., 1].min().abs() < 1e-5


def test_expression_is_carried_where_the_body_has_it(body):
    face = torch.rand(6, 2)
    motion = replace(smpl_motion(), expression=face, expression_names=("jawOpen", "mouthPucker"))
    without = retarget(motion, bare_body(SMPL_SKELETON, body.joints))
    assert without.expression is None
    basis = torch.zeros(2, len(body.vertices), 3)
    named = replace(
        body,
        expression_basis=basis,
        expression_basis_joints=torch.zeros(2, len(body.joints), 3),
        expression_names=motion.expression_names,
    )
    result = retarget(motion, named)
    assert result.expression is not None
    torch.testing.assert_close(result.expression, face)


def test_a_body_moves_a_head_on_its_own():
    head = bare_body(
        HEAD_SKELETON, torch.tensor([[0.0, 0, 0], [0, 0.1, 0], [0, 0.12, 0], [0.03, 0.2, 0.1], [-0.03, 0.2, 0.1]])
    )
    motion = smpl_motion()
    result = retarget(motion, head)
    turns = motion.posed_from_rest()[:, SMPL_SKELETON.index("head"), :3, :3]
    torch.testing.assert_close(result.posed_from_rest()[:, 1, :3, :3], turns, atol=1e-4, rtol=0)
    assert torch.equal(result.translations, torch.zeros(len(motion), 3))


@pytest.mark.parametrize("name", ["fight01", "gym01"])
def test_every_bone_of_a_rig_comes_back_through_the_whole_rig(name):
    motion = load_motion(shared("motion_makehuman_cc0_poses") / f"{name}.bvh")
    full = load_anny("full").body()
    back = retarget(retarget(motion, full), motion)
    both = [i for i, joint in enumerate(motion.skeleton.joint_names) if joint in full.skeleton.joint_names]
    turns = [roma.rotvec_to_rotmat(one.rotations[:, both].double()) for one in (motion, back)]
    assert len(both) > 90
    assert torch.rad2deg(roma.rotmat_geodesic_distance(*turns)).max() < 0.01


def test_the_motion_of_a_head_goes_to_the_head_of_a_body(body):
    turns = torch.zeros(12, 5, 3)
    turns[:, 1, 1] = torch.linspace(0, 0.5, 12)
    joints = torch.tensor([[0.0, 0, 0], [0, 0.1, 0], [0, 0.12, 0], [0.03, 0.2, 0.1], [-0.03, 0.2, 0.1]])
    result = retarget(Motion("nod", HEAD_SKELETON, joints, turns, torch.zeros(12, 3), 30.0), body)
    torch.testing.assert_close(result.rotations[:, body.skeleton.index("head")], turns[:, 1])
    assert result.rotations[:, body.skeleton.index("left_knee")].abs().max() == 0


def test_a_misspelled_joint_names_the_nearest():
    names = ["Hips", "Spine", "Spine1", "Spine2", "Neck", "Head"]
    names += [side + part for side in ("Left", "Right") for part in ("UpLeg", "Leg", "Foot", "Arm", "ForeArm", "Hand")]
    names[names.index("LeftForeArm")] = "LeftForeArmm"
    with pytest.raises(InputError, match=r"left_elbow \('LeftForeArm'; is 'LeftForeArmm' meant\?\)"):
        match_joints(names)
