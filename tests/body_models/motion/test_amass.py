import numpy as np
import pytest
import torch

from body_models.errors import InputError
from body_models.motion.amass import SMPL_FAMILY, load_poses
from body_models.motion.clips import load_motion
from body_models.motion.rest_joints import smpl_rest_joints
from body_models.names import SMPL_SKELETON, SMPLH_SKELETON, SMPLX_SKELETON
from tests.body_models.motion.amass_files import FRAMES, arrays, save


@pytest.fixture(autouse=True)
def no_models(tmp_path, monkeypatch):
    """Whoever runs the tests may have models of their own."""
    monkeypatch.setenv("AVATARS_MODELS", str(tmp_path / "no models"))


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
