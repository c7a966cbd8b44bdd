from dataclasses import replace

import pytest
import roma
import torch

from body_models.errors import InputError
from body_models.motion.bvh import load_bvh
from body_models.motion.bvh_writer import write_bvh
from body_models.motion.clips import load_motion
from body_models.motion.motion import Motion
from body_models.skeleton import Skeleton
from tests.body_models.motion.test_motion import random_motion
from tests.shared_data import shared


def assert_same(motion: Motion, again: Motion) -> None:
    order = [again.skeleton.joint_names.index(name) for name in motion.skeleton.joint_names]
    first, second = (roma.rotvec_to_rotmat(r.double()) for r in (motion.rotations, again.rotations[:, order]))
    assert torch.rad2deg(2 * torch.asin(((first - second).norm(dim=(-2, -1)) / 8**0.5).clamp(max=1))).max() < 0.01
    assert (motion.joint_positions() - again.joint_positions()[:, order]).abs().max() < 1e-4
    assert again.frame_rate == pytest.approx(motion.frame_rate, rel=1e-4)
    assert len(again) == len(motion)


@pytest.mark.parametrize("euler", ["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"])
@pytest.mark.parametrize("unit", ["m", "dm", "cm", "mm"])
def test_what_is_written_comes_back(tmp_path, euler, unit):
    motion = random_motion()
    write_bvh(tmp_path / "clip.bvh", motion, euler, unit)
    assert_same(motion, load_bvh(tmp_path / "clip.bvh"))
    assert [p.name for p in tmp_path.iterdir()] == ["clip.bvh"]


@pytest.mark.parametrize("angle", [torch.pi / 2, -torch.pi / 2, torch.pi, 3.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_gimbal_lock(tmp_path, angle, axis):
    motion = random_motion()
    rotations = torch.zeros_like(motion.rotations)
    rotations[:, 3, axis] = angle
    motion = replace(motion, rotations=rotations)
    write_bvh(tmp_path / "clip.bvh", motion)
    assert_same(motion, load_bvh(tmp_path / "clip.bvh"))


@pytest.mark.parametrize("clip", ["motion_cmu_bvh/02_01.bvh", "motion_makehuman_cc0_poses/run01.bvh"])
def test_real_clips(tmp_path, clip):
    motion = load_motion(shared(clip.split("/")[0]) / clip.split("/")[1])
    write_bvh(tmp_path / "clip.bvh", motion)
    assert_same(motion, load_bvh(tmp_path / "clip.bvh"))


def test_angles_do_not_jump(tmp_path):
    motion = random_motion(60)
    rotations = torch.zeros_like(motion.rotations)
    rotations[:, 0, 1] = torch.linspace(0, 12, 60)
    write_bvh(tmp_path / "clip.bvh", replace(motion, rotations=rotations))
    lines = (tmp_path / "clip.bvh").read_text().split("Frame Time")[1].splitlines()[1:]
    yaw = torch.tensor([[float(word) for word in line.split()[3:6]] for line in lines])
    assert yaw.diff(dim=0).abs().max() < 15


def test_bad_requests(tmp_path):
    motion = random_motion()
    with pytest.raises(InputError, match=r"\.bvh"):
        write_bvh(tmp_path / "clip.txt", motion)
    with pytest.raises(InputError, match="'XYX'"):
        write_bvh(tmp_path / "clip.bvh", motion, "XYX")
    with pytest.raises(InputError, match="'feet'"):
        write_bvh(tmp_path / "clip.bvh", motion, unit="feet")
    with pytest.raises(InputError, match="folder"):
        write_bvh(tmp_path / "none" / "clip.bvh", motion)
    names = ("a b", "a_b", *motion.skeleton.joint_names[2:])
    with pytest.raises(InputError, match="'a_b'"):
        write_bvh(tmp_path / "clip.bvh", replace(motion, skeleton=Skeleton(names, motion.skeleton.parents)))
    assert not list(tmp_path.iterdir())
