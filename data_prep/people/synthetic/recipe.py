"""What makes the members of a folder of synthetic people again: its recipe, their numbers and their seeds."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from body_models.errors import InputError
from data_prep.atomic import replacing

RECIPE = "synthetic_people.json"
"""File of the folder that says how its members were made."""


@dataclass(frozen=True)
class Recipe:
    """What of a folder's recipe decides who its members are."""

    seed: int
    betas: int
    clothes: str
    """Name of the folder of clothes that some members wear; empty if there was none."""


def member_name(number: int) -> str:
    """The name of a member by its number."""
    return f"person_{number:05d}"


def member_number(name: str) -> int:
    """The number of a member by its name; raises InputError for names that synthetic people do not have."""
    found = re.fullmatch(r"person_(\d+)", name)
    if found is None:
        raise InputError(f"'{name}' is no name that synthetic people have, as in person_00012.")
    return int(found[1])


def member_seed(seed: int, number: int) -> int:
    """What decides who a member is, by the dataset's seed and its number."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0])


def read_recipe(folder: Path) -> Recipe:
    """How the members of a folder were made; raises InputError when nobody knows."""
    path = folder / RECIPE
    try:
        recipe = json.loads(path.read_text(encoding="utf-8"))
        return Recipe(int(recipe["seed"]), int(recipe["betas"]), str(recipe["assets"] or ""))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is missing or damaged ({error}), so nobody knows how these people were made; compare with people "
            "that `avatars dataset make-people` made."
        ) from error


def keep_recipe(folder: Path, recipe: dict[str, Any]) -> None:
    """Say how members are made, or find that those which are there were made the same way.

    Raises InputError when they were not, and when the folder cannot be written.
    """
    path = folder / RECIPE
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); delete the folder to start over.") from error
    if known is not None and known != recipe:
        changed = sorted(key for key in recipe if not isinstance(known, dict) or known.get(key) != recipe[key])
        raise InputError(
            f"{folder} holds people that were made with other values of {', '.join(changed)}; choose another folder, "
            "or delete this one to start over."
        )
    if known is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(recipe, indent=1), encoding="utf-8")
        except OSError as error:
            raise InputError(f"Cannot write to {folder}: {error}; choose another folder.") from error
