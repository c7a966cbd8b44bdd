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
from body_models.names import SMPL_SKELETON, SMPLH_SKELETON, SMPLX_SKELETON
from body_models.skeleton import Skeleton
from tests.body_models.licensed.official_arrays import official_arrays
from tests.body_models.motion.test_bvh import ARM
from tests.body_models.motion.test_motion import random_motion

FRAMES = 5


@pytest.fixture(autouse=True)
def no_models(tmp_path, monkeypatch):
    """Whoever runs the tests may have models of their own."""
    monkeypatch.setenv("AVATARS_MODELS", str(tmp_path / "no models"))


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
def test_all_joints_are_taken(tmp_path, width, model):
    values = arrays(width)
    poses = load_poses(save(tmp_path, **values))
    expected = torch.from_numpy(values["poses"][:, 3:]).float().unflatten(1, (-1, 3))
    torch.testing.assert_close(poses.motion.rotations[:, 1:], expected)
    assert poses.motion.skeleton == SMPL_FAMILY[model]
    assert poses.body_model == model
    assert poses.gender == "female"
    assert poses.betas is not None
    assert len(poses.betas) == 16


@pytest.mark.parametrize(
    ("width", "column", "joint"),
    [
        (156, 66, "left_index1"),
        (156, 75, "left_middle1"),
        (156, 84, "left_pinky1"),
        (156, 93, "left_ring1"),
        (156, 102, "left_thumb1"),
        (156, 111, "right_index1"),
        (165, 66, "jaw"),
        (165, 69, "left_eye"),
        (165, 72, "right_eye"),
        (165, 75, "left_index1"),
        (165, 120, "right_index1"),
        (72, 66, "left_hand"),
        (72, 69, "right_hand"),
    ],
)
def test_columns_belong_to_their_joints(tmp_path, width, column, joint):
    turned = np.zeros((FRAMES, width))
    turned[:, column] = 0.5
    motion = load_motion(save(tmp_path, **arrays(poses=turned), up=np.array("y")))
    moved = motion.rotations.abs().amax((0, 2)) > 0
    assert [name for name, moves in zip(motion.skeleton.joint_names, moved, strict=True) if moves] == [joint]


@pytest.mark.parametrize("width", [63, 66])
def test_bodies_without_hands(tmp_path, width):
    values = arrays(width, up=np.array("y"))
    motion = load_motion(save(tmp_path, **values))
    assert motion.skeleton == SMPL_SKELETON
    flat = motion.rotations.flatten(1)
    torch.testing.assert_close(flat[:, 66 - width : 66], torch.from_numpy(values["poses"]).float())
    assert not flat[:, 66:].any()
    assert flat[:, :3].any() == (width == 66)


def parts_of(poses):
    """SMPL-X columns under AMASS's names of the parts."""
    cuts = {
        "root_orient": (0, 3),
        "pose_body": (3, 66),
        "pose_jaw": (66, 69),
        "pose_eye": (69, 75),
        "pose_hand": (75, 165),
    }
    return {key: poses[:, start:stop] for key, (start, stop) in cuts.items()}


def test_parts_are_put_together(tmp_path):
    whole = arrays(165)
    expected = load_motion(save(tmp_path, **whole))
    parts = {**whole, **parts_of(whole["poses"])}
    del parts["poses"]
    torch.testing.assert_close(load_motion(save(tmp_path, **parts)).rotations, expected.rotations)
    del parts["pose_jaw"], parts["pose_eye"]
    assert load_motion(save(tmp_path, **parts)).skeleton == SMPLH_SKELETON
    del parts["pose_hand"]
    assert load_motion(save(tmp_path, **parts)).skeleton == SMPL_SKELETON


def test_smplx_names_are_y_up(tmp_path):
    whole = arrays(165, up=np.array("y"))
    expected = load_motion(save(tmp_path, **whole))
    parts, rng = parts_of(whole["poses"]), np.random.default_rng(1)
    values = {
        "global_orient": parts["root_orient"],
        "body_pose": parts["pose_body"].reshape(FRAMES, 21, 3),
        "jaw_pose": parts["pose_jaw"],
        "leye_pose": parts["pose_eye"][:, :3],
        "reye_pose": parts["pose_eye"][:, 3:],
        "left_hand_pose": parts["pose_hand"][:, :45],
        "right_hand_pose": parts["pose_hand"][:, 45:],
        "transl": whole["trans"],
        "expression": rng.standard_normal((FRAMES, 10)),
        "betas": np.ones((FRAMES, 300)),
        "fps": 30,
    }
    poses = load_poses(save(tmp_path, **values))
    torch.testing.assert_close(poses.motion.joint_positions(), expected.joint_positions())
    assert poses.motion.skeleton == SMPLX_SKELETON
    torch.testing.assert_close(poses.motion.expression, torch.from_numpy(values["expression"]).float())
    assert poses.betas is not None
    assert len(poses.betas) == 300
    with pytest.raises(InputError, match=r"'left_hand_pose'.*principal components"):
        load_poses(save(tmp_path, **{**values, "left_hand_pose": np.zeros((FRAMES, 12))}))
    with pytest.raises(InputError, match="'expression'"):
        load_poses(save(tmp_path, **{**values, "expression": np.zeros((FRAMES + 1, 10))}))
    without = {key: value for key, value in values.items() if key not in ("transl", "expression")}
    assert not load_motion(save(tmp_path, **without)).translations.any()


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
    rest = smpl_rest_joints(SMPLH_SKELETON).float()
    torch.testing.assert_close(offsets, rest - rest[:1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("key", ["mocap_framerate", "mocap_frame_rate"])
def test_both_spellings_of_the_rate(tmp_path, key):
    motion = load_motion(save(tmp_path, **arrays(**{"mocap_framerate": None, key: np.array(60)})))
    assert motion.frame_rate == 60.0


def test_a_missing_rate_may_be_given(tmp_path):
    path = save(tmp_path, **arrays(mocap_framerate=None))
    assert load_motion(path, frame_rate=50.0).frame_rate == 50.0
    with pytest.raises(InputError, match=r"mocap_frame_rate.*fps.*frame_rate="):
        load_motion(path)


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"poses": None}, "no key 'poses'"),
        ({"trans": None}, "no key 'trans'"),
        ({"mocap_framerate": None}, "mocap_frame_rate"),
        ({"mocap_framerate": np.array(0.0)}, "'mocap_framerate'"),
        ({"mocap_framerate": np.array(np.nan)}, "'mocap_framerate'"),
        ({"poses": np.zeros((FRAMES, 71))}, r"'poses' has shape \(5, 71\).*72"),
        ({"parents": np.array([-1, 0]), "joint_names": np.array(["a"] * 52)}, "'parents'"),
        ({"poses": np.zeros((0, 72))}, r"'poses' has shape \(0, 72\): no frames"),
        ({"poses": np.full((FRAMES, 72), np.nan)}, "'poses' holds a value that is not finite"),
        ({"poses": np.array(["a"] * FRAMES)}, "'poses' does not hold numbers"),
        ({"poses": np.array([{}], dtype=object)}, "no key 'poses'"),
        ({"trans": np.zeros((FRAMES + 1, 3))}, "'trans' has shape"),
        ({"betas": np.array([np.inf])}, "'betas'"),
        ({"up": np.array("x")}, "'up' is 'x'"),
        ({"body_model": np.array("anny")}, "joint_names"),
        ({"joint_names": np.array(["a", "b"])}, "'joint_names'"),
        ({"poses": None, "pose_body": np.zeros((FRAMES, 62))}, "'pose_body' has shape"),
        ({"rest_joints": np.zeros((3, 3))}, "'rest_joints'"),
    ],
)
def test_broken_files_name_file_and_key(tmp_path, changes, message):
    with pytest.raises(InputError, match=rf"clip\.npz.*{message}"):
        load_poses(save(tmp_path, **arrays(**changes)))


@pytest.mark.parametrize(("angle", "told"), [(40.0, True), (3.0, False)])
def test_degrees_are_told(tmp_path, caplog, angle, told):
    poses = np.zeros((FRAMES, 156))
    poses[:, 60] = angle
    poses[:, 0] = 50.0
    load_poses(save(tmp_path, **arrays(poses=poses)))
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert any("clip.npz" in text and "np.deg2rad" in text for text in warnings) == told


def test_a_picture_is_named(tmp_path):
    (tmp_path / "clip.npz").write_bytes(b"\x89PNG\r\n\x1a\n and more")
    with pytest.raises(InputError, match=r"clip\.npz: this is a PNG picture"):
        load_poses(tmp_path / "clip.npz")


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
