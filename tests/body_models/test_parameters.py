import pytest
import torch

from body_models import InputError, anny_person, load_anny, load_body_model
from body_models.parameters import unknown_name


def test_names_match_in_any_case_and_long_lists_are_cut():
    assert "Did you mean 'smpl'" in unknown_name("No body model", "SMPL", ("anny", "smpl"))
    assert "name109 and 90 more." in unknown_name("No", "x", [f"name{number}" for number in range(200)])


def test_batches_that_do_not_fit_are_told_with_their_shapes():
    values = {"body_pose": torch.zeros(3, 69), "transl": torch.zeros(2, 3)}
    with pytest.raises(InputError, match=r"do not fit together: body_pose \(3, 69\), transl \(2, 3\)"):
        load_anny().posed(values)


def test_an_unknown_gender_is_refused_for_every_model():
    with pytest.raises(InputError, match="Did you mean 'female'"):
        load_body_model("anny", gender="femal")


def test_a_phenotype_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match="'weight' is nan"):
        anny_person({"weight": float("nan")})
