import math

import numpy as np
import pytest
import torch

from body_models import InputError
from body_models.licensed.assemble import FAMILIES, assemble, check_layout, to_tensors
from tests.body_models.licensed.official_arrays import official_arrays

SMALL = ["smpl", "flame"]


def model_of(family, **options):
    arrays = official_arrays(family, **options)
    return assemble(to_tensors(arrays, family, "file"), family, "female")


@pytest.mark.parametrize("family", list(FAMILIES))
def test_families_are_told_apart(family):
    assert check_layout(official_arrays(family, components=20), "file.npz") == family


def test_model_has_the_family_s_sizes():
    model = model_of("smplx", components=20)
    sizes = {name: parameter.size for name, parameter in model.parameters.items()}
    assert model.name == "smplx_female"
    assert (len(model.template), len(model.skeleton), len(model.pose_basis)) == (10475, 55, 486)
    assert (sizes["betas"], sizes["expression"], sizes["left_hand_pose"], sizes["jaw_pose"]) == (10, 10, 45, 3)
    assert len(model.landmarks) == 21 + 51
    assert "face_17" in model.landmarks.names
    assert "left_thumb" in model.landmarks.names


@pytest.mark.parametrize("family", SMALL)
def test_tensors_are_ready_for_a_file(family):
    tensors = to_tensors(official_arrays(family), family, "file")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32, torch.int32}
    assert all(tensor.is_contiguous() for tensor in tensors.values())


def test_legs_part_and_the_mouth_opens():
    body, head = model_of("smpl"), model_of("flame")
    down = torch.tensor([0.0, -1.0, 0.0])
    left = body.skeleton.index("left_hip")
    turned = body.body().canonical_from_rest()[:, :3, :3] @ down
    assert math.degrees(math.atan2(turned[left, 0], -turned[left, 1])) == pytest.approx(30.0, abs=1e-3)
    assert turned[body.skeleton.index("right_hip"), 0] == pytest.approx(-0.5, abs=1e-5)
    chin = head.body().canonical_from_rest()[head.skeleton.index("jaw"), :3, :3] @ torch.tensor([0.0, 0.0, 1.0])
    assert chin[1] < -0.1  # what points forward from the jaw's hinge goes down


@pytest.mark.parametrize("family", SMALL)
def test_joints_follow_the_regressor(family):
    arrays = official_arrays(family)
    model = model_of(family)
    betas = torch.linspace(-1, 1, len(model.shape_basis))
    rest = model.body(betas)
    regressed = torch.from_numpy(arrays["J_regressor"]).float() @ rest.vertices
    assert torch.allclose(rest.joints, regressed, atol=1e-5)


@pytest.mark.parametrize("key", ["v_template", "f", "weights", "J_regressor", "kintree_table", "shapedirs", "posedirs"])
def test_a_missing_array_is_named(key):
    arrays = official_arrays("flame")
    del arrays[key]
    with pytest.raises(InputError, match=f"head.pkl has no '{key}'.*avatars models list"):
        check_layout(arrays, "head.pkl")


@pytest.mark.parametrize(
    ("key", "change", "words"),
    [
        ("v_template", lambda a: a[:-1], "'v_template' is 5022 x 3, but FLAME has 5023 x 3"),
        ("posedirs", lambda a: a[..., :-9], "'posedirs' is 5023 x 3 x 27, but FLAME has 5023 x 3 x 36"),
        ("weights", lambda a: a[:, :4], "fits no model"),
        ("weights", lambda a: np.full_like(a, np.nan), "'weights' holds values that are not finite"),
        ("shapedirs", lambda a: a[..., :50], "50 components, but FLAME has 400"),
        ("f", lambda a: a + 1000, "'f' names vertices"),
        ("kintree_table", lambda a: a[:, ::-1], "joint tree"),
        ("lmk_bary_coords", lambda a: a[:-1], "'lmk_bary_coords' is 50 x 3"),
        ("v_template", lambda a: a.astype(str), "not numbers"),
    ],
)
def test_odd_arrays_are_named(key, change, words):
    arrays = official_arrays("flame")
    arrays[key] = change(arrays[key])
    with pytest.raises(InputError, match=words) as error:
        check_layout(arrays, "head.pkl")
    assert "head.pkl" in str(error.value)


def test_face_points_off_the_surface_are_refused():
    arrays = official_arrays("flame")
    arrays["lmk_faces_idx"] = arrays["lmk_faces_idx"] + 9976
    with pytest.raises(InputError, match="lmk_faces_idx"):
        to_tensors(arrays, "flame", "head.pkl")


def test_files_without_hands_or_face_points_load():
    body, head = official_arrays("smplh"), official_arrays("flame")
    del body["hands_meanl"], head["lmk_faces_idx"]
    assert check_layout(body, "body.npz") == "smplh"
    assert assemble(to_tensors(body, "smplh", "body.npz"), "smplh", "male").hands is None
    assert assemble(to_tensors(head, "flame", "head.pkl"), "flame", "male").landmarks is None
