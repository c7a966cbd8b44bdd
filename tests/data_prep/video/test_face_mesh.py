from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from body_models.anny import anny_head_parts, load_anny_head
from body_models.errors import InputError
from body_models.ict import load_ict
from data_prep.video.face_mesh import face_mesh_landmarks, read_face_mesh, write_face_mesh
from data_prep.video.face_points import (
    BROWS,
    FACE_OVAL,
    IRISES,
    LANDMARKS_68,
    LEFT_EYE,
    LEFT_IRIS,
    LIPS,
    LOWER_LIP,
    NOSE,
    RIGHT_EYE,
    RIGHT_IRIS,
    UPPER_LIP,
    mirror_points,
)
from tests.shared_data import shared

MODEL = load_anny_head()
POINTS = face_mesh_landmarks(MODEL)
REST = POINTS.on(MODEL.template)


def moved_by(action):
    return POINTS.on(MODEL.expression_basis[MODEL.expression_names.index(action)])


@pytest.mark.parametrize("group", [FACE_OVAL, LIPS, BROWS, NOSE, IRISES, LANDMARKS_68])
def test_groups_hold_no_point_twice_and_mirror_onto_themselves(group):
    mirror = mirror_points()
    assert len(set(group)) == len(group)
    assert {mirror[point] for point in group} == set(group)


def test_mirroring_swaps_the_eyes_and_is_its_own_inverse():
    mirror = mirror_points()
    assert [mirror[point] for point in mirror] == list(range(478))
    assert tuple(mirror[point] for point in RIGHT_EYE) == LEFT_EYE
    assert {mirror[point] for point in RIGHT_IRIS} == set(LEFT_IRIS)
    assert len(LANDMARKS_68) == 68


def test_the_points_are_the_mirror_image_of_themselves():
    mirrored = REST[list(mirror_points())] * torch.tensor([-1.0, 1.0, 1.0])
    assert (mirrored - REST).norm(dim=1).max() < 3e-3


def test_skin_points_lie_on_skin_and_irises_on_eyes():
    parts = anny_head_parts()
    skin = set(MODEL.faces[parts["skin"]].unique().tolist())
    assert set(POINTS.corners[:468].flatten().tolist()) <= skin
    weights = MODEL.skinning_weights[POINTS.corners]
    assert (weights[list(RIGHT_IRIS)][..., MODEL.skeleton.index("right_eye")] == 1).all()
    assert (weights[list(LEFT_IRIS)][..., MODEL.skeleton.index("left_eye")] == 1).all()


def test_irises_are_rings_of_a_persons_size_about_the_front_of_the_eye():
    for ring, joint in ((RIGHT_IRIS, "right_eye"), (LEFT_IRIS, "left_eye")):
        center, rim = REST[ring[0]], REST[list(ring[1:])]
        torch.testing.assert_close((rim - center)[:, :2].norm(dim=1), torch.full((4,), 5.85e-3), atol=2e-4, rtol=0)
        torch.testing.assert_close(
            center[:2], MODEL.template_joints[MODEL.skeleton.index(joint)][:2], atol=2e-4, rtol=0
        )
        assert (rim - center)[0, 0] > 0
        assert (rim - center)[1, 1] > 0


def test_the_jaw_moves_the_lower_lip_and_not_the_upper():
    jaw = MODEL.skinning_weights[POINTS.corners][..., MODEL.skeleton.index("jaw")].mean(1)
    assert (jaw[list(LOWER_LIP)] > 0.5).all()
    assert (jaw[list(UPPER_LIP)] < 0.5).all()
    opened = moved_by("jawOpen")
    assert opened[14, 1] < -5e-3
    assert opened[13, 1] > -2e-3
    assert opened[152, 1] < -5e-3


def test_blinking_moves_the_upper_lids_only():
    for action, upper, lower in (("eyeBlinkRight", 159, 145), ("eyeBlinkLeft", 386, 374)):
        moved = moved_by(action)
        assert moved[upper, 1] < -5e-3
        assert moved[lower, 1].abs() < 2e-3


def test_the_oval_runs_round_the_face_before_the_ears():
    oval = REST[list(FACE_OVAL)]
    ear = MODEL.landmarks.on(MODEL.template)[MODEL.landmarks.names.index("left_ear")]
    assert oval[:, 0].abs().max() < ear[0].abs() - 5e-3
    angles = torch.atan2(oval[:, 0] - oval[:, 0].mean(), oval[:, 1] - oval[:, 1].mean())
    assert ((angles.roll(-1) - angles) % (2 * torch.pi) < 1).all()


def test_left_is_the_persons_left():
    assert REST[263, 0] > REST[33, 0]
    assert REST[LEFT_IRIS[0], 0] > 0
    assert REST[234, 0] < 0


def test_ict_has_its_own_points():
    model = load_ict(shared("model_ict_facekit"))
    places = face_mesh_landmarks(model).on(model.template)
    jaw_open = face_mesh_landmarks(model).on(model.expression_basis[model.expression_names.index("jawOpen")])
    assert places[4, 2] == places.amax(0)[2]
    assert jaw_open[14, 1] < -5e-3
    assert jaw_open[13, 1] > -4e-3


def test_a_written_file_is_read_back_and_small(tmp_path):
    write_face_mesh(POINTS, MODEL, tmp_path / "head.safetensors")
    again = read_face_mesh(tmp_path / "head.safetensors", MODEL)
    assert (again.corners == POINTS.corners).all()
    assert (again.weights == POINTS.weights).all()
    assert (tmp_path / "head.safetensors").stat().st_size < 50_000


def test_points_follow_the_models_precision():
    assert face_mesh_landmarks(MODEL.to(torch.float64)).weights.dtype == torch.float64


def test_a_changed_model_is_refused_with_the_command_to_type():
    with pytest.raises(InputError, match=r"embed_face_mesh\.py --model anny-head"):
        face_mesh_landmarks(replace(MODEL, faces=MODEL.faces.flip(0)))


@pytest.mark.parametrize("content", [b"", b"not a file of tensors", None])
def test_a_damaged_file_is_refused(tmp_path, content):
    path = tmp_path / "head.safetensors"
    if content is None:
        save_file({"corners": torch.zeros(3, 3)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match="no face mesh embedding"):
        read_face_mesh(path, MODEL)


def test_points_of_another_head_are_computed_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("AVATARS_CACHE", str(tmp_path))
    calls = []
    monkeypatch.setattr("data_prep.video.embed.embed_face_mesh", lambda model: calls.append(model) or POINTS)
    other = replace(MODEL, name="flame")
    first, second = face_mesh_landmarks(other), face_mesh_landmarks(other)
    assert len(calls) == 1
    assert (first.on(MODEL.template) == second.on(MODEL.template)).all()
    assert len(list(tmp_path.iterdir())) == 1
