"""From paths to what can be shown: avatar files, and folders of sampled people."""

import logging
from dataclasses import dataclass
from pathlib import Path

from avatars.models.avatar import Avatar
from avatars.models.file import load_avatar
from avatars.models.head_avatar import HeadAvatar
from avatars.models.nerface_avatar import NO_SURFACE, NerfaceAvatar
from avatars.viewer.models import BodyModel, HeadModel, Model
from avatars.viewer.people import KnownPrior, PersonModel
from body_models import InputError

_log = logging.getLogger(__name__)

SUFFIX = ".avatar"


@dataclass(frozen=True)
class Place:
    """An avatar file and, beside it, the codes of the person that it shows."""

    path: Path
    codes: Path | None


def places(path: Path) -> list[Place]:
    """The avatars that a path means: a file, or all in a folder, by name.

    Raises InputError for a path that does not exist and for a folder without avatars.
    """
    if path.is_dir():
        found = sorted(path.glob(f"*{SUFFIX}"))
        if not found:
            raise InputError(
                f"The folder '{path}' holds no {SUFFIX} files. Make some: `avatars sample --out {path}`, "
                "or name an avatar file."
            )
        return [_place(one) for one in found if one.is_file()]
    if not path.exists():
        raise InputError(
            f"No file or folder '{path}'. Name an avatar file, such as `avatars fit-scans` writes, or a folder of "
            "people from `avatars sample`."
        )
    return [_place(path)]


def opened(place: Place, known: KnownPrior | None) -> Model:
    """What a place holds; somebody with codes is made from these where they are of the prior that is known.

    Raises InputError for files that are no avatars, and for heads without a surface.
    """
    if place.codes is not None and known is not None:
        try:
            return PersonModel(place.path.stem, known.read(place.codes))
        except InputError as error:
            _log.info("%s is shown without its codes. %s", place.path.name, error)
    return model_of(load_avatar(place.path), place.path.stem)


def model_of(avatar: Avatar | HeadAvatar, name: str) -> Model:
    """What to show of an avatar; raises InputError for heads without a surface."""
    if isinstance(avatar, NerfaceAvatar):
        raise InputError(f"{name}: {NO_SURFACE}")
    return HeadModel(name, avatar) if isinstance(avatar, HeadAvatar) else BodyModel(name, avatar)


def _place(path: Path) -> Place:
    codes = path.with_suffix(".json")
    return Place(path, codes if codes.is_file() else None)
