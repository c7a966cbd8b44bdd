from dataclasses import replace

import pytest
import roma
import torch

from body_models.errors import InputError
from body_models.motion.motion import Motion
from body_models.motion.rest_joints import smpl_rest_joints
from body_models.names import HEAD_SKELETON, SMPL_SKELETON, SMPLH_SKELETON, SMPLX_SKELETON
from body_models.skeleton import Skeleton


def random_motion(frames: int = 12, seed: int = 0) -> Motion:
    generator = torch.Generator().manual_seed(seed)
    return Motion(
        name="random",
        skeleton=SMPL_SKELETON,
        rest_joints=smpl_rest_joints().float(),
        rotations=0.5 * torch.randn(frames, 24, 3, generator=generator),
        translations=torch.randn(frames, 3, generator=generator),
        frame_rate=30.0,
    )


def test_zero_pose_is_rest():
    motion = random_motion()
    still = replace(motion, rotations=torch.zeros_like(motion.rotations))
    expected = motion.rest_joints + motion.translations[:, None]
    torch.testing.assert_close(still.joint_positions(), expected)


def test_bones_keep_their_length():
    motion = random_motion()
    parents = torch.tensor(motion.skeleton.parents[1:])
    joints = motion.joint_positions()
    lengths = (joints[:, 1:] - joints[:, parents]).norm(dim=-1)
    at_rest = (motion.rest_joints[1:] - motion.rest_joints[parents]).norm(dim=-1)
    torch.testing.assert_close(lengths, at_rest.expand_as(lengths), atol=1e-5, rtol=0)


def test_cut_takes_frames():
    motion = random_motion()
    part = motion.cut(3, 7)
    assert len(part) == 4
    torch.testing.assert_close(part.joint_positions(), motion.joint_positions()[3:7])


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (3, 3), (0, 13), (5, 2)])
def test_cut_outside_is_an_error(start, stop):
    with pytest.raises(InputError, match="frames 0 to 11"):
        random_motion().cut(start, stop)


def test_resample_to_own_rate_is_identity():
    motion = random_motion()
    again = motion.resample(30.0)
    torch.testing.assert_close(again.rotations, motion.rotations)
    torch.testing.assert_close(again.translations, motion.translations)


def test_resample_up_and_down_returns():
    motion = random_motion()
    up = motion.resample(90.0)
    assert len(up) == 3 * (len(motion) - 1) + 1
    back = up.resample(30.0)
    angle = roma.rotmat_geodesic_distance(
        roma.rotvec_to_rotmat(back.rotations), roma.rotvec_to_rotmat(motion.rotations)
    )
    assert angle.max() < 1e-3
    torch.testing.assert_close(back.translations, motion.translations, atol=1e-5, rtol=0)


def test_resample_halves_a_turn():
    motion = random_motion(2)
    turned = torch.zeros(2, 24, 3)
    turned[1, 0, 1] = 1.0
    middle = replace(motion, rotations=turned).resample(60.0).rotations[1, 0]
    torch.testing.assert_close(middle, torch.tensor([0.0, 0.5, 0.0]))


def test_resample_one_frame():
    assert len(random_motion(1).resample(7.0)) == 1


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_rates(rate):
    with pytest.raises(InputError, match="frame"):
        random_motion().resample(rate)
    with pytest.raises(InputError, match="frame rate"):
        replace(random_motion(), frame_rate=rate)


def test_non_finite_or_empty_motion_is_an_error():
    motion = random_motion()
    broken = motion.rotations.clone()
    broken[2, 3, 1] = float("nan")
    with pytest.raises(InputError, match="not finite"):
        replace(motion, rotations=broken)
    with pytest.raises(InputError, match="no frames"):
        replace(motion, rotations=motion.rotations[:0], translations=motion.translations[:0])


def walking(frames: int = 41) -> Motion:
    """A steady walk of two steps, one frame of which comes twice, that smiles now and then."""
    motion = random_motion(frames)
    phase = torch.linspace(0, 2 * torch.pi, frames)[:, None, None]
    turns = 0.4 * torch.sin(phase + torch.arange(24.0)[:, None] + torch.arange(3.0))
    places = torch.linspace(0, 2, frames)[:, None] * torch.tensor([0.0, 0.0, 1.0])
    return replace(motion, rotations=turns, translations=places, expression=phase[:, 0].cos().repeat(1, 2))


@pytest.mark.parametrize("blend", [1, 5])
def test_a_loop_goes_on_as_it_went(blend):
    motion = walking()
    if blend > 1:  # frames beyond the cycle, to be blended into its start
        motion = replace(
            motion,
            rotations=torch.cat([motion.rotations, motion.rotations[1:blend]]),
            translations=torch.cat([motion.translations, motion.translations[1:blend] + motion.translations[-1]]),
            expression=torch.cat([motion.expression, motion.expression[1:blend]]),
        )
    looped = motion.loop(3, blend)
    assert len(looped) == 120
    torch.testing.assert_close(looped.rotations, walking().rotations[:-1].repeat(3, 1, 1), atol=1e-5, rtol=0)
    steps = looped.translations.diff(dim=0)
    torch.testing.assert_close(steps, steps[:1].expand_as(steps), atol=1e-5, rtol=0)
    assert looped.expression is not None
    torch.testing.assert_close(looped.expression, walking().expression[:-1].repeat(3, 1))


def test_a_loop_of_anything_has_no_jump():
    motion = random_motion(60).resample(300.0).resample(30.0)
    slow = replace(motion, frame_rate=3.0).resample(30.0)
    once = slow.loop(1)
    twice = slow.loop(2)
    assert len(twice) == 2 * len(once)
    joints = twice.joint_positions()
    seam = (joints[len(once)] - joints[len(once) - 1]).norm(dim=-1).max()
    assert seam < 1.5 * slow.joint_positions().diff(dim=0).norm(dim=-1).max()
    torch.testing.assert_close(once.translations[0, 1], slow.translations[len(once), 1])  # height is not carried on


@pytest.mark.parametrize("blend", [1, 6])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_quarter_turns_close_a_circle(blend, side):
    """A walk of a quarter circle, four times over, comes back to where it starts, from wherever that is."""
    frames = 30
    angle = side * torch.arange(frames + blend) / frames * torch.pi / 2
    motion = random_motion(frames + blend)
    turns, places = torch.zeros_like(motion.rotations), torch.zeros_like(motion.translations)
    turns[:, 0, 1] = angle
    turns[:, 4, 0] = 0.3
    places[:, 0], places[:, 2] = side * (2 - 2 * angle.cos()) + 5.0, 2 * side * angle.sin() - 3.0
    looped = replace(motion, rotations=turns, translations=places).loop(5, blend)
    assert len(looped) == 5 * frames
    joints = looped.joint_positions()
    torch.testing.assert_close(joints[4 * frames :], joints[:frames], atol=1e-4, rtol=0)
    centre = joints[: 4 * frames, 0].mean(0)
    assert ((joints[:, 0] - centre).norm(dim=-1) - 2).abs().max() < 1e-3
    steps = joints[:, 0].diff(dim=0).norm(dim=-1)
    torch.testing.assert_close(steps, steps[:1].expand_as(steps), atol=1e-4, rtol=0)


def test_a_head_on_its_own_does_not_spin():
    turns = torch.zeros(20, 5, 3)
    turns[:, 0, 1] = torch.linspace(0, 1, 20)
    motion = Motion("look", HEAD_SKELETON, torch.rand(5, 3), turns, torch.zeros(20, 3), 30.0)
    assert motion.loop(6).rotations[:, 0, 1].max() <= 1.0


@pytest.mark.parametrize(("count", "blend"), [(0, 1), (2, 0), (2, 7)])
def test_impossible_loops(count, blend):
    with pytest.raises(InputError, match="half of its frames"):
        random_motion().loop(count, blend)
    with pytest.raises(InputError, match="looped"):
        random_motion(1).loop(2)


@pytest.mark.parametrize("whole", [SMPLH_SKELETON, SMPLX_SKELETON])
def test_a_smaller_skeleton_moves_the_same(whole):
    rotations = 0.5 * torch.randn(4, len(whole), 3, generator=torch.Generator().manual_seed(0))
    motion = replace(random_motion(4), skeleton=whole, rest_joints=smpl_rest_joints(whole).float(), rotations=rotations)
    part = motion.on_skeleton(SMPL_SKELETON)
    torch.testing.assert_close(part.joint_positions()[:, :22], motion.joint_positions()[:, :22])
    at = part.skeleton.index("left_hand")
    torch.testing.assert_close(part.joint_positions()[:, at], motion.joint_positions()[:, whole.index("left_middle1")])
    assert not part.rotations[:, 22:].any()
    assert part.on_skeleton(SMPL_SKELETON) is part
    with pytest.raises(InputError, match="no joint 'left_index1'"):
        part.on_skeleton(SMPLH_SKELETON)
    with pytest.raises(InputError, match="'head' hangs elsewhere"):
        part.on_skeleton(Skeleton(("pelvis", "head"), (-1, 0)))
