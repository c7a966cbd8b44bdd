from dataclasses import replace

import numpy as np
import pytest
import torch

from body_models.anny import load_anny
from body_models.errors import InputError
from body_models.licensed.library import add_models, load_licensed
from body_models.motion.amass import SMPL_FAMILY, load_poses
from body_models.motion.amass_writer import write_amass
from body_models.motion.bvh import load_bvh
from body_models.motion.clips import load_motion
from body_models.motion.motion import Motion
from body_models.motion.rest_joints import smpl_rest_joints
from body_models.skeleton import Skeleton
from tests.body_models.licensed.official_arrays import official_arrays
from tests.body_models.motion.amass_files import FRAMES, arrays, save
from tests.body_models.motion.test_bvh import ARM
from tests.body_models.motion.test_motion import random_motion


@pytest.fixture(autouse=True)
def no_models(tmp_path, monkeypatch):
    """Whoever runs the tests may have models of their own."""
    monkeypatch.setenv("AVATARS_MODELS", str(tmp_path / "no models"))


@pytest.mark.parametrize("model", ["smpl", "smplh", "smplx"])
def test_family_files_come_back_and_serve_other_tools(tmp_path, model):
    skeleton = SMPL_FAMILY[model]
    generator = torch.Generator().manual_seed(0)
    rest = smpl_rest_joints(skeleton).float()
    turns = 0.5 * torch.randn(FRAMES, len(skeleton), 3, generator=generator)
    face = torch.randn(FRAMES, 2, generator=generator)
    motion = Motion("clip", skeleton, rest, turns, torch.randn(FRAMES, 3, generator=generator), 60.0, face, ("a", "b"))
    write_amass(tmp_path / "clip.npz", motion, body_model=model, gender="male")
    poses = load_poses(tmp_path / "clip.npz")
    assert (poses.body_model, poses.gender) == (model, "male")
    torch.testing.assert_close(poses.motion.rotations, motion.rotations, atol=1e-6, rtol=0)
    torch.testing.assert_close(poses.motion.joint_positions(), motion.joint_positions(), atol=1e-6, rtol=0)
    torch.testing.assert_close(poses.motion.expression, face)
    assert poses.motion.expression_names == ("a", "b")
    stored = dict(np.load(tmp_path / "clip.npz"))
    assert stored["poses"].shape == (FRAMES, 3 * len(skeleton))
    assert stored["betas"].shape == (16,)
    assert float(stored["mocap_framerate"]) == float(stored["mocap_frame_rate"]) == 60.0
    plain = {key: stored[key] for key in ("poses", "trans", "betas", "gender", "mocap_framerate")}
    again = load_motion(save(tmp_path, **plain))  # as a tool sees it that knows none of our own keys
    torch.testing.assert_close(again.joint_positions(), motion.joint_positions(), atol=1e-6, rtol=0)


def test_a_full_rig_keeps_its_joints(tmp_path):
    names = ("root", "spine05", "upperleg01.L")
    motion = random_motion()
    motion = replace(
        motion,
        skeleton=Skeleton(names, (-1, 0, 0)),
        rest_joints=motion.rest_joints[:3],
        rotations=motion.rotations[:, :3],
    )
    write_amass(tmp_path / "clip.npz", motion)
    again = load_poses(tmp_path / "clip.npz")
    assert again.body_model == "anny-full"
    assert again.motion.skeleton == motion.skeleton
    torch.testing.assert_close(again.motion.joint_positions(), motion.joint_positions(), atol=0, rtol=0)


@pytest.mark.parametrize("rig", ["compact", "hands", "full"])
def test_every_rig_of_the_free_body_comes_back(tmp_path, rig):
    model, betas, path = load_anny(rig), torch.tensor([0.5, -1.0]), tmp_path / "clip.npz"
    turns = 0.3 * torch.randn(FRAMES, len(model.skeleton), 3, generator=torch.Generator().manual_seed(0))
    motion = Motion("clip", model.skeleton, model.body(betas).joints, turns, torch.rand(FRAMES, 3), 60.0)
    write_amass(path, motion, betas, model.name)
    poses = load_poses(path)
    assert poses.body_model == model.name
    assert poses.motion.skeleton == model.skeleton
    torch.testing.assert_close(poses.motion.joint_positions(), motion.joint_positions(), atol=0, rtol=0)
    stored = dict(np.load(path))
    assert str(stored["body_model"]) == model.name
    stored.pop("rest_joints")
    again = load_poses(save(tmp_path, **stored))  # its joints are then the model's own
    torch.testing.assert_close(again.motion.joint_positions(), motion.joint_positions(), atol=1e-5, rtol=0)
    for other in {"anny", "anny-hands", "anny-full"} - {model.name}:
        with pytest.raises(InputError, match=f"another skeleton than {other}"):
            write_amass(path, motion, body_model=other)
        if other != "anny":  # an older name for all three
            with pytest.raises(InputError, match="'joint_names'"):
                load_poses(save(tmp_path, **{**stored, "body_model": np.array(other)}))


def test_joints_of_the_user_s_own_model_are_taken(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", logger="body_models")
    values = arrays(72, betas=np.linspace(-1, 1, 16))
    rough = load_poses(save(tmp_path, **values)).motion.rest_joints
    assert "joints at rest are rough; there is no female smpl model" in caplog.text
    torch.testing.assert_close(rough, smpl_rest_joints().float())
    monkeypatch.setenv("AVATARS_MODELS", str(tmp_path / "models"))
    np.savez(tmp_path / "SMPL_FEMALE.npz", **official_arrays("smpl"))
    add_models(tmp_path / "SMPL_FEMALE.npz", "female")
    own = load_poses(save(tmp_path, **values)).motion
    model = load_licensed("smpl", "female")
    betas = torch.linspace(-1, 1, 16)[: len(model.shape_basis)]
    torch.testing.assert_close(own.rest_joints, model.body(betas).joints)
    assert "taken from your female smpl model" in caplog.text
    male = load_poses(save(tmp_path, **{**values, "gender": np.array("male")})).motion
    torch.testing.assert_close(male.rest_joints, rough)


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
    with pytest.raises(InputError, match=r"24 joints.*55 of smplx"):
        write_amass(tmp_path / "clip.npz", random_motion(), body_model="smplx")
    with pytest.raises(InputError, match="No body model"):
        write_amass(tmp_path / "clip.npz", random_motion(), body_model="dog")
    assert [p.name for p in tmp_path.iterdir()] == ["arm.bvh"]
