"""What makes synthetic people again: names, seeds and the recipe of their folder."""

import pytest

from body_models import InputError
from data_prep.people.synthetic.recipe import (
    RECIPE,
    Recipe,
    keep_recipe,
    member_name,
    member_number,
    member_seed,
    read_recipe,
)

MADE = {"seed": 3, "betas": 5, "assets": None, "poses": 1}


def test_names_hold_numbers():
    assert [member_number(member_name(number)) for number in (0, 12, 123_456)] == [0, 12, 123_456]
    with pytest.raises(InputError, match="'anna' is no name"):
        member_number("anna")


def test_seeds_stay_those_of_datasets_made_before():
    assert member_seed(3, 1) == 11425928242767342472
    assert len({member_seed(seed, number) for seed in range(3) for number in range(3)}) == 9


def test_a_kept_recipe_is_read(tmp_path):
    keep_recipe(tmp_path / "new", MADE)
    assert read_recipe(tmp_path / "new") == Recipe(3, 5, "")
    keep_recipe(tmp_path / "new", MADE)
    with pytest.raises(InputError, match="other values of betas, seed"):
        keep_recipe(tmp_path / "new", MADE | {"seed": 4, "betas": 6})
    keep_recipe(tmp_path / "clothed", MADE | {"assets": "shirts"})
    assert read_recipe(tmp_path / "clothed").clothes == "shirts"


@pytest.mark.parametrize("text", [None, "{", "[]", '{"seed": 3}', '{"seed": null, "betas": 5, "assets": null}'])
def test_recipes_that_are_missing_or_damaged(tmp_path, text):
    if text is not None:
        (tmp_path / RECIPE).write_text(text)
    with pytest.raises(InputError, match="missing or damaged"):
        read_recipe(tmp_path)


def test_a_damaged_recipe_is_not_gone_on_with(tmp_path):
    (tmp_path / RECIPE).write_text("{")
    with pytest.raises(InputError, match="delete the folder to start over"):
        keep_recipe(tmp_path, MADE)
    (tmp_path / RECIPE).write_text("[]")
    with pytest.raises(InputError, match="other values"):
        keep_recipe(tmp_path, MADE)
