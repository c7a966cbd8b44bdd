import numpy as np
import pytest
import torch

from body_models.errors import InputError
from body_models.motion.amass import load_poses, smpl_rest_joints, write_amass
from body_models.motion.bvh import load_bvh
from body_models.motion.clips import load_motion
from tests.body_models.motion.test_bvh import ARM
from tests.body_models.motion.test_motion import random_motion

FRAMES = 5


def arrays(width=156, **changes):
    rng = np.random.default_rng(0)
    values = {
        "poses": 0.3 * rng.standard_normal((FRAMES, width)),
        "trans": rng.standard_normal((FRAMES, 3)),
        "betas": rng.standard_normal(16),
        "gender": np.array("female"),
        "mocap_framerate": np.array(120.0),
    }
    values.update(changes)
    return {key: value for key, value in values.items() if value is not None}


def save(tmp_path, **values):
    path = tmp_path / "clip.npz"
    np.savez(path, **values)
    return path


@pytest.mark.parametrize(("width", "model"), [(72, "smpl"), (156, "smplh"), (165, "smplx")])
def test_body_joints_are_taken(tmp_path, width, model):
    values = arrays(width)
    poses = load_poses(save(tmp_path, **values))
    expected = torch.from_numpy(values["poses"][:, 3:66]).float().unflatten(1, (-1, 3))
    torch.testing.assert_close(poses.motion.rotations[:, 1:22], expected)
    assert poses.body_model == model
    assert poses.gender == "female"
    assert poses.betas is not None
    assert len(poses.betas) == 16
    hands = poses.motion.rotations[:, 22:]
    assert hands.any() if width == 72 else not hands.any()


def test_z_up_becomes_y_up(tmp_path):
    """The posed joints are those of the file's own frame, turned by a quarter about X."""
    values = arrays(72)
    z_up = load_poses(save(tmp_path, **values, up=np.array("z"))).motion
    as_is = load_poses(save(tmp_path, **values, up=np.array("y"))).motion
    x, y, z = as_is.joint_positions().unbind(-1)
    torch.testing.assert_close(z_up.joint_positions(), torch.stack([x, z, -y], dim=-1), atol=1e-5, rtol=0)


def test_standing_amass_person_stands(tmp_path):
    upright = np.zeros((FRAMES, 156))
    upright[:, 0] = np.pi / 2  # SMPL's Y up rest pose, put upright in AMASS's Z up world
    joints = load_motion(save(tmp_path, **arrays(poses=upright, trans=np.zeros((FRAMES, 3))))).joint_positions()
    offsets = joints[0] - joints[0, :1]
    rest = smpl_rest_joints().float()
    torch.testing.assert_close(offsets, rest - rest[:1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("key", ["mocap_framerate", "mocap_frame_rate"])
def test_both_spellings_of_the_rate(tmp_path, key):
    motion = load_motion(save(tmp_path, **arrays(**{"mocap_framerate": None, key: np.array(60)})))
    assert motion.frame_rate == 60.0


@pytest.mark.parametrize("betas", [None, torch.tensor([0.5, -1.0])])
def test_written_files_come_back(tmp_path, betas):
    motion = random_motion()
    write_amass(tmp_path / "clip.npz", motion, betas)
    poses = load_poses(tmp_path / "clip.npz")
    assert poses.body_model == "anny"
    torch.testing.assert_close(poses.motion.rotations, motion.rotations, atol=0, rtol=0)
    torch.testing.assert_close(poses.motion.joint_positions(), motion.joint_positions(), atol=0, rtol=0)
    assert poses.motion.frame_rate == motion.frame_rate
    assert poses.betas is None if betas is None else torch.equal(poses.betas, betas)
    assert [p.name for p in tmp_path.iterdir()] == ["clip.npz"]


def test_writing_is_checked(tmp_path):
    path = tmp_path / "arm.bvh"
    path.write_text(ARM)
    with pytest.raises(InputError, match="retarget"):
        write_amass(tmp_path / "clip.npz", load_bvh(path))
    with pytest.raises(InputError, match="folder"):
        write_amass(tmp_path / "none" / "clip.npz", random_motion())
    with pytest.raises(InputError, match=r"\.npz"):
        write_amass(tmp_path / "clip.npy", random_motion())
    with pytest.raises(InputError, match="No body model"):
        write_amass(tmp_path / "clip.npz", random_motion(), body_model="dog")
    assert [p.name for p in tmp_path.iterdir()] == ["arm.bvh"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"poses": None}, "no key 'poses'"),
        ({"trans": None}, "no key 'trans'"),
        ({"mocap_framerate": None}, "mocap_frame_rate"),
        ({"mocap_framerate": np.array(0.0)}, "'mocap_framerate'"),
        ({"mocap_framerate": np.array(np.nan)}, "'mocap_framerate'"),
        ({"poses": np.zeros((FRAMES, 63))}, "'poses' has shape"),
        ({"poses": np.zeros((0, 72))}, "'poses' has shape"),
        ({"poses": np.full((FRAMES, 72), np.nan)}, "'poses' holds a value that is not finite"),
        ({"poses": np.array(["a"] * FRAMES)}, "'poses' does not hold numbers"),
        ({"poses": np.array([{}], dtype=object)}, "no key 'poses'"),
        ({"trans": np.zeros((FRAMES + 1, 3))}, "'trans' has shape"),
        ({"betas": np.array([np.inf])}, "'betas'"),
        ({"up": np.array("x")}, "'up' is 'x'"),
        ({"body_model": np.array("anny")}, "joint_names"),
        ({"joint_names": np.array(["a", "b"])}, "'joint_names'"),
        ({"rest_joints": np.zeros((3, 3))}, "'rest_joints'"),
    ],
)
def test_broken_files_name_file_and_key(tmp_path, changes, message):
    with pytest.raises(InputError, match=rf"clip\.npz.*{message}"):
        load_poses(save(tmp_path, **arrays(**changes)))


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 not a zip", b"\x80\x04\x95pickle"])
def test_damaged_files(tmp_path, content):
    path = tmp_path / "clip.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"clip\.npz"):
        load_poses(path)


def test_truncated_and_missing_files(tmp_path):
    path = save(tmp_path, **arrays())
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match="damaged"):
        load_poses(path)
    with pytest.raises(InputError, match="cannot be read"):
        load_poses(tmp_path / "none.npz")
