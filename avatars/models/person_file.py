"""The codes of a person as a small JSON file, from which a prior makes the same person again."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.models.person import Person
from avatars.models.prior import Prior
from body_models import InputError
from data_prep.atomic import replacing

VERSION = 1
CODES = ("shape", "detail", "betas")
MOST_BYTES = 10_000_000


def write_codes(person: Person, path: Path, mark: str = "") -> None:
    """Write a person's codes; `mark` tells of which prior they are, as `prior_mark` gives it.

    Raises InputError for a place that cannot be written.
    """
    codes = {name: [float(f"{value:.9g}") for value in getattr(person, name).tolist()] for name in CODES}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"kind": "person", "version": VERSION, "prior": mark, **codes}), "utf-8")


def read_person(path: Path | str, prior: Prior, mark: str = "") -> Person:
    """A person again, from the .json that was written with it and the prior that it was sampled from.

    Raises InputError for a file that is missing or no person's, and for one of another prior.
    """
    path = Path(path)
    stored = _read(path)
    if mark and stored.get("prior") and stored["prior"] != mark:
        raise InputError(
            f"{path} is a person of another prior, whose codes mean something else here. Give the prior that it was "
            "sampled from by --prior FILE."
        )
    shape, detail, betas = (_numbers(stored, name, path) for name in CODES)
    try:
        return prior.person(shape, detail, betas)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def prior_mark(prior: Prior) -> str:
    """A short mark of a prior's weights, by which people of another prior are told."""
    digest = hashlib.sha256()
    for name, value in sorted(prior.model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"No file '{path}'. `avatars sample` writes such a file beside each person's avatar.")
    try:
        text = path.read_text("utf-8") if path.stat().st_size < MOST_BYTES else ""
        stored = json.loads(text)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged or no .json of a sampled person; sample the person again.") from error
    if not isinstance(stored, dict) or stored.get("kind") != "person":
        raise InputError(f"{path} is no .json of a sampled person, which `avatars sample` writes.")
    if stored.get("version") != VERSION:
        raise InputError(f"{path} is of another version ({stored.get('version')!r}); sample the person again.")
    return stored


def _numbers(stored: dict[str, Any], name: str, path: Path) -> Float[Tensor, "code"]:
    values = stored.get(name)
    plain = isinstance(values, list) and all(isinstance(value, int | float) for value in values)
    if not plain or not values or not all(math.isfinite(value) for value in values):
        raise InputError(f"{path}: '{name}' is not a list of finite numbers; sample the person again.")
    return torch.tensor(values, dtype=torch.float32)
