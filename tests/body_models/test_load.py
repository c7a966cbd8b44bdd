import pytest

from body_models import InputError, load_body_model
from body_models.load import BUILT_IN, LICENSED


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_models_come_by_name(name):
    model = load_body_model(name)
    assert model.name == name
    assert {"betas", "expression", "global_orient", "transl"} <= set(model.parameters)
    assert len(model.body().joints) == len(model.skeleton)


@pytest.mark.parametrize("name", LICENSED)
def test_a_missing_model_says_where_to_obtain_it(name, tmp_path):
    with pytest.raises(InputError, match="avatars models add"):
        load_body_model(name, folder=tmp_path)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'smplx'"):
        load_body_model("smpl-x")
