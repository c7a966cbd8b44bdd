from dataclasses import replace

import pytest
import roma
import torch

from body_models.errors import InputError
from body_models.motion.amass import smpl_rest_joints
from body_models.motion.clips import load_motion
from body_models.motion.motion import Motion
from body_models.names import SMPL_SKELETON


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


def test_unknown_suffix(tmp_path):
    with pytest.raises(InputError, match=r"\.fbx"):
        load_motion(tmp_path / "walk.fbx")
