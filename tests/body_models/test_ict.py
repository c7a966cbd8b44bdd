import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from body_models.errors import InputError
from body_models.ict import assemble_ict, convert_ict
from body_models.model import BodyModel
from body_models.motion.faces import transfer_expression
from body_models.motion.motion import Motion
from body_models.names import ARKIT_EXPRESSIONS, HEAD_SKELETON
from tests.shared_data import shared

LOWER_TEETH, UPPER_TEETH = slice(19247, 21451), slice(17039, 19247)
LEFT_BALL = slice(21451, 23021)
VERTICES = 26719


@cache
def model() -> BodyModel:
    return assemble_ict(convert_ict(shared("model_ict_facekit")))


def test_sizes_names_and_joints():
    ict = model()
    assert (ict.name, ict.skeleton, len(ict.template)) == ("ict", HEAD_SKELETON, VERTICES)
    assert (len(ict.shape_basis), len(ict.expression_basis), len(ict.expression_names)) == (100, 57, 57)
    known = set(ARKIT_EXPRESSIONS) & set(ict.expression_names)
    assert set(ARKIT_EXPRESSIONS) - known == {"browInnerUp", "cheekPuff", "tongueOut"}
    assert {"betas", "expression", "global_orient", "neck_pose", "jaw_pose", "leye_pose", "reye_pose"} <= set(
        ict.parameters
    )
    assert ict.landmarks.names == tuple(f"face_{place}" for place in range(68))


def test_a_grown_head_in_metres_faces_forward_and_outward():
    ict = model()
    height = ict.template.amax(0) - ict.template.amin(0)
    assert 0.25 < height[1] < 0.45
    points = ict.landmarks.on(ict.template)
    nose, chin, left_eye, right_eye = points[30], points[8], points[42], points[36]
    assert nose[2] > left_eye[2]
    assert left_eye[0] > 0 > right_eye[0]
    assert chin[1] < nose[1] < left_eye[1]
    skin = ict.faces[(ict.faces < 11248).all(1)]
    corners = ict.template[skin]
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outward = corners.mean(1) - ict.template[:11248].mean(0)
    assert (normals * outward).sum() > 0


def test_weights_are_shares_and_mirror():
    weights = model().skinning_weights
    assert weights.min() >= 0
    assert torch.allclose(weights.sum(1), torch.ones(VERTICES), atol=1e-6)
    assert (weights[LOWER_TEETH, HEAD_SKELETON.index("jaw")] == 1).all()
    assert (weights[UPPER_TEETH, HEAD_SKELETON.index("jaw")] < 1e-3).all()
    collar = model().template[:, 1] < -0.17
    assert (weights[collar, 0] > 0.9).all()
    assert torch.allclose(weights[:, 3].sum(), weights[:, 4].sum())
    joints = model().template_joints
    assert torch.allclose(joints[3] * torch.tensor([-1.0, 1.0, 1.0]), joints[4], atol=1e-4)


def test_neutral_parameters_give_the_template():
    ict = model()
    assert torch.allclose(ict.posed({"betas": torch.zeros(100)}).vertices, ict.template, atol=1e-6)


def test_the_jaw_joint_does_what_jaw_open_does_to_the_teeth():
    ict = model()
    action = ict.expression_basis[ict.expression_names.index("jawOpen")]
    before = ict.template[LOWER_TEETH]
    turn, _ = roma.rigid_points_registration(before, before + action[LOWER_TEETH])
    posed = ict.posed({"jaw_pose": roma.rotmat_to_rotvec(turn)}).vertices - ict.template
    assert torch.linalg.norm(posed[LOWER_TEETH] - action[LOWER_TEETH], dim=1).max() < 5e-4
    assert torch.linalg.norm(posed[UPPER_TEETH], dim=1).max() < 1e-4
    assert torch.linalg.norm(posed[:11248] - action[:11248], dim=1).mean() < 2e-3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_eyes_turn_in_place_for_every_identity(seed):
    ict = model()
    betas = torch.randn(100, generator=torch.Generator().manual_seed(seed))
    still = ict.posed({"betas": betas})
    turned = ict.posed({"betas": betas, "leye_pose": torch.tensor([0.1, 0.4, 0.0])})
    sclera = slice(21451, 22221)
    back = ict.template[sclera, 2] < 0.085
    radius = torch.linalg.norm(still.vertices[sclera][back] - still.joints[3], dim=1)
    assert radius.std() < 1e-3
    assert 0.012 < radius.mean() < 0.019
    others = torch.ones(VERTICES, dtype=torch.bool)
    others[LEFT_BALL] = False
    assert torch.equal(turned.vertices[others], still.vertices[others])


def test_canonical_pose_opens_the_mouth():
    body = model().body()
    lips = [model().landmarks.on(surface)[[62, 66], 1] for surface in (body.vertices, body.canonical())]
    assert (lips[1][0] - lips[1][1]) - (lips[0][0] - lips[0][1]) > 0.008


def test_gaze_actions_turn_the_eyeballs_which_no_blendshape_moves():
    actions = torch.zeros(1, 52)
    actions[0, [ARKIT_EXPRESSIONS.index("eyeLookOutLeft"), ARKIT_EXPRESSIONS.index("jawOpen")]] = 1.0
    motion = Motion(
        name="gaze",
        skeleton=HEAD_SKELETON,
        rest_joints=torch.zeros(5, 3),
        rotations=torch.zeros(1, 5, 3),
        translations=torch.zeros(1, 3),
        frame_rate=30.0,
        expression=actions,
        expression_names=ARKIT_EXPRESSIONS,
    )
    moved = transfer_expression(motion, model().body())
    assert moved.rotations[0, 3, 1] > 0.3
    assert not moved.rotations[0, [1, 2, 4]].any()
    assert moved.expression is not None
    assert moved.expression[0, model().expression_names.index("jawOpen")] == 1


def write_obj(path: Path, points: np.ndarray, polygons: np.ndarray | None = None) -> None:
    lines = ["mtllib a.mtl", *("v " + " ".join(f"{x:.6f}" for x in point) for point in points)]
    for polygon in [] if polygons is None else polygons:
        lines.append("f " + " ".join(f"{corner + 1}/1/1" for corner in polygon if corner >= 0))
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A folder as ICT publishes it, cut down to two identities and two expressions."""
    source, folder = shared("model_ict_facekit"), tmp_path_factory.mktemp("FaceXModel")
    with np.load(source / "ict_facekit.npz") as packed:
        neutral, names = packed["neutral"], packed["expr_names"].tolist()
        write_obj(folder / "generic_neutral_mesh.obj", neutral, packed["faces"])
        for place in range(2):
            write_obj(folder / f"identity{place:03d}.obj", neutral + packed["id_delta"][place])
        for name in ("jawOpen", "mouthSmile_L"):
            write_obj(folder / f"{name}.obj", neutral + packed["expr_delta"][names.index(name)])
    (folder / "vertex_indices.json").write_text((source / "vertex_indices.json").read_text())
    return folder


def test_the_original_folder_gives_the_same_head(original):
    found, whole = assemble_ict(convert_ict(original)), model()
    assert found.expression_names == ("jawOpen", "mouthSmileLeft")
    assert torch.allclose(found.template, whole.template, atol=1e-7)
    assert torch.equal(found.faces, whole.faces)
    assert torch.allclose(found.shape_basis, whole.shape_basis[:2], atol=1e-7)
    assert torch.allclose(found.template_joints, whole.template_joints, atol=1e-5)
    assert torch.allclose(found.skinning_weights, whole.skinning_weights, atol=1e-3)


def test_a_damaged_folder_is_refused(original):
    smile = original / "mouthSmile_L.obj"
    kept = smile.read_text()
    try:
        smile.write_text(kept[: len(kept) // 2].rsplit("\n", 1)[0])
        with pytest.raises(InputError, match=r"mouthSmile_L.obj: \d+ vertices; .*26719"):
            convert_ict(original)
    finally:
        smile.write_text(kept)


def test_absent_or_foreign_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no generic_neutral_mesh\.obj"):
        convert_ict(tmp_path)
    with pytest.raises(InputError, match="no ICT-FaceKit model"):
        convert_ict(tmp_path / "face.fbx")
    np.savez(tmp_path / "ict_facekit.npz", neutral=np.zeros((3, 3)))
    with pytest.raises(InputError, match="no packed ICT-FaceKit model"):
        convert_ict(tmp_path)
    parts = {"faces": np.zeros((1, 4), int), "id_delta": np.zeros((1, 3, 3)), "expr_delta": np.zeros((1, 3, 3))}
    np.savez(tmp_path / "ict_facekit.npz", neutral=np.zeros((3, 3)), expr_names=np.array(["jawOpen"]), **parts)
    with pytest.raises(InputError, match=r"'neutral' has shape \(3, 3\)"):
        convert_ict(tmp_path)
    (tmp_path / "ict_facekit.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(InputError, match="no packed"):
        convert_ict(tmp_path)


@pytest.mark.parametrize("content", ["{", json.dumps({}), json.dumps({"idx_to_landmark_verts": [1, 2]})])
def test_landmarks_must_be_the_68(tmp_path, content):
    (tmp_path / "ict_facekit.npz").symlink_to(shared("model_ict_facekit") / "ict_facekit.npz")
    with pytest.raises(InputError, match=r"vertex_indices\.json: not found"):
        convert_ict(tmp_path)
    (tmp_path / "vertex_indices.json").write_text(content)
    with pytest.raises(InputError, match="idx_to_landmark_verts"):
        convert_ict(tmp_path / "ict_facekit.npz")
