import math

import pytest
import torch

from body_models.errors import InputError
from body_models.motion.bvh import load_bvh
from body_models.motion.clips import load_motion
from body_models.motion.rigs import match_joints
from tests.shared_data import shared

ARM = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Spine
  {
    OFFSET 0 80 0
    CHANNELS 3 Yrotation Xrotation Zrotation
    End Site
    {
      OFFSET 0 80 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.008333
1 2 3 0 0 0 0 0 0
10 20 30 90 0 90 30 0 0
"""
UPRIGHT = {
    "hips": (0, 0.9, 0),
    "LeftUpLeg": (0.1, 0, 0),
    "LeftLeg": (0, -0.4, 0),
    "LeftFoot": (0, -0.4, 0),
    "RightUpLeg": (-0.1, 0, 0),
    "RightLeg": (0, -0.4, 0),
    "RightFoot": (0, -0.4, 0),
    "LeftArm": (0.2, 0.5, 0),
    "LeftForeArm": (0.3, 0, 0),
    "LeftHand": (0.3, 0, 0.05),
    "RightArm": (-0.2, 0.5, 0),
    "RightForeArm": (-0.3, 0, 0),
    "RightHand": (-0.3, 0, 0.05),
}
PARENT_OF = {
    **{
        f"{side}{child}": f"{side}{joint}"
        for side in ("Left", "Right")
        for joint, child in (("UpLeg", "Leg"), ("Leg", "Foot"), ("Arm", "ForeArm"), ("ForeArm", "Hand"))
    },
    **{f"{side}{root}": "hips" for side in ("Left", "Right") for root in ("UpLeg", "Arm")},
}


def write(tmp_path, text):
    path = tmp_path / "clip.bvh"
    path.write_text(text)
    return path


def person(axes, scale):
    """A small person in other axes (three rows of a rotation) and units; the first leg chain comes first."""

    def offset(name):
        return " ".join(str(scale * sum(a * v for a, v in zip(row, UPRIGHT[name], strict=True))) for row in axes)

    def joint(name, keyword):
        children = [n for n in UPRIGHT if PARENT_OF.get(n) == name]
        inner = "".join(joint(child, "JOINT") for child in children) or "End Site\n{\nOFFSET 0 0 0\n}\n"
        return f"{keyword} {name} {{\nOFFSET {offset(name)}\nCHANNELS 3 Zrotation Yrotation Xrotation\n{inner}}}\n"

    values = " ".join(["0"] * 3 * len(UPRIGHT))
    return f"HIERARCHY\n{joint('hips', 'ROOT')}MOTION\nFrames: 1\nFrame Time: 0.04\n{values}\n"


def test_channels_apply_in_their_own_order(tmp_path):
    motion = load_bvh(write(tmp_path, ARM), metres_per_unit=0.01)
    assert motion.frame_rate == 120.0
    torch.testing.assert_close(motion.translations[1], torch.tensor([0.1, 0.2, 0.3]))
    # root: Rz(90) Ry(90) sends the spine's +Y to Rz(90) Y = -X
    place = motion.joint_positions()[1, 1]
    torch.testing.assert_close(place, torch.tensor([0.1 - 0.8, 0.2, 0.3]), atol=1e-6, rtol=0)
    torch.testing.assert_close(motion.rotations[1, 1], torch.tensor([0.0, math.pi / 6, 0.0]))


def test_zero_rotation_is_rest(tmp_path):
    motion = load_bvh(write(tmp_path, ARM))
    torch.testing.assert_close(motion.joint_positions()[0, 1] - motion.joint_positions()[0, 0], motion.rest_joints[1])


@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0, 1000.0, 1 / 0.0254, 0.45 / 0.0254])
@pytest.mark.parametrize(
    "axes",
    [
        ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
        ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
        ((-1, 0, 0), (0, 1, 0), (0, 0, -1)),
    ],
)
def test_units_and_axes_are_found(tmp_path, scale, axes):
    motion = load_bvh(write(tmp_path, person(axes, scale)))
    expected = load_bvh(write(tmp_path, person(((1, 0, 0), (0, 1, 0), (0, 0, 1)), 1.0)))
    torch.testing.assert_close(motion.rest_joints, expected.rest_joints, atol=1e-5, rtol=0)
    assert motion.rest_joints[match_joints(motion.skeleton.joint_names)["left_wrist"]][0] > 0.7


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("HIERARCHY", "nonsense", "line 1"),
        ("CHANNELS 3 Y", "CHANNELS 4 Y", "line 9"),
        ("Yrotation Xrotation Zrotation", "Yrotation Xrotation Wrotation", "line 9"),
        ("OFFSET 0 0 0", "OFFSET 0 nan 0", "line 4"),
        ("  OFFSET 0 0 0\n", "", "no OFFSET"),
        ("}\nMOTION", "MOTION", "line 15"),
        ("}\nMOTION", "}\n}\nMOTION", "line 16"),
        ("JOINT Spine", "JOINT Hips", "line 6.*twice"),
        ("Frames: 2", "Frames: 0", "line 17"),
        ("Frames: 2", "Frames: 3", "line 20.*truncated"),
        ("Frames: 2", "Frames: 1000000000000", "truncated"),
        ("Frames: 2", "Frames: inf", "line 17"),
        ("Frame Time: 0.008333", "Frame Time: 0", "line 18"),
        ("1 2 3 0", "1 nan 3 0", "line 19"),
        ("10 20 30 90", "10 x 30 90", "line 20"),
        ("90 30 0 0\n", "90 30\n", "line 20: 7 values"),
    ],
)
def test_broken_files_name_their_line(tmp_path, before, after, message):
    assert before in ARM
    with pytest.raises(InputError, match=rf"(?s)clip\.bvh.*{message}"):
        load_bvh(write(tmp_path, ARM.replace(before, after)))


@pytest.mark.parametrize("part", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98])
def test_truncated_files(tmp_path, part):
    with pytest.raises(InputError, match=r"clip\.bvh"):
        load_bvh(write(tmp_path, ARM[: int(part * len(ARM))]))


def test_no_file_and_no_person(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_bvh(tmp_path / "none.bvh")
    with pytest.raises(InputError, match="metres_per_unit"):
        load_bvh(write(tmp_path, ARM.replace("0 80 0", "0 1.25 0")))


def test_binary_file(tmp_path):
    path = tmp_path / "clip.bvh"
    path.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(InputError, match="line 1"):
        load_bvh(path)


@pytest.mark.parametrize(("name", "frames"), [("01_01", 2752), ("02_01", 343)])
def test_cmu_clips(name, frames):
    motion = load_motion(shared("motion_cmu_bvh") / f"{name}.bvh")
    at = match_joints(motion.skeleton.joint_names)
    joints = motion.joint_positions()
    assert len(motion) == frames
    assert motion.frame_rate == 120.0
    assert 1.2 < (joints[:, at["head"], 1] - joints[:, at["left_foot"], 1]).max() < 1.7
    assert motion.rest_joints[at["left_foot"], 2] > motion.rest_joints[at["left_ankle"], 2] + 0.1


@pytest.mark.parametrize("name", ["fly01", "sit01", "standing01", "gym01"])
def test_makehuman_poses_are_turned_upright(name):
    motion = load_motion(shared("motion_makehuman_cc0_poses") / f"{name}.bvh")
    at = match_joints(motion.skeleton.joint_names)
    rest = motion.rest_joints
    assert 1.2 < rest[at["head"], 1] - rest[at["left_ankle"], 1] < 1.8
    assert rest[at["left_foot"], 2] > rest[at["left_ankle"], 2] + 0.05
    assert rest[at["left_wrist"], 0] > 0.3
