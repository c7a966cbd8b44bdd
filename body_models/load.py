"""Any body or head model by its name."""

from pathlib import Path

from body_models.anny import load_anny, load_anny_head
from body_models.errors import InputError
from body_models.licensed.library import BUILT_IN, check_gender, load_licensed
from body_models.model import BodyModel
from body_models.parameters import unknown_name

LICENSED = ("smpl", "smplh", "smplx", "flame", "ict")
MODEL_NAMES = BUILT_IN + LICENSED


def load_body_model(name: str = "anny", gender: str = "neutral", folder: Path | str | None = None) -> BodyModel:
    """A model by name: the free ones are built in, the others come from files that `avatars models add` has kept.

    `gender` concerns SMPL's family and FLAME, `folder` is where the kept files are; Anny has one model for all, whose
    people are told by `anny_person({"gender": 1.0})`. Raises InputError for a name or gender that is not known (with
    the nearest), and for a model whose file is missing (with where to obtain it).
    """
    check_gender(gender)
    if name == "anny-head":
        return load_anny_head()
    if name == "anny":
        return load_anny()
    if name == "anny-hands":
        return load_anny("hands")
    if name == "anny-full":
        return load_anny("full")
    if name not in LICENSED:
        raise InputError(unknown_name("No body model", name, MODEL_NAMES))
    return load_licensed(name, gender, None if folder is None else Path(folder))
