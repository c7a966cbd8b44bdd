"""The user's own models: official files converted once to safe files in a folder of the user's, and found there."""

import hashlib
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from body_models.errors import InputError
from body_models.licensed.assemble import assemble, to_tensors
from body_models.licensed.recognise import GENDERS, Found, Skipped, recognise
from body_models.model import BodyModel
from body_models.parameters import unknown_name

FORMAT, FORMAT_VERSION = "body-model", 1
SITES = {
    "smpl": "https://smpl.is.tue.mpg.de",
    "smplh": "https://mano.is.tue.mpg.de",
    "smplx": "https://smpl-x.is.tue.mpg.de",
    "flame": "https://flame.is.tue.mpg.de",
    "ict": "https://github.com/ICT-VGL/ICT-FaceKit",
}
"""Where each family's files are obtained; the first four ask to register and to accept a licence."""
BUILT_IN = ("anny", "anny-hands", "anny-full", "anny-head")


@dataclass(frozen=True)
class Added:
    """A model that was converted and stored."""

    family: str
    gender: str
    path: Path
    """Our file."""
    source: str
    """The official file, or archive!member."""


@dataclass(frozen=True)
class Entry:
    """A line of the list of models: one that is there, or one that could be."""

    family: str
    gender: str
    path: Path | None
    """Our file; None for one that is built in or missing."""
    there: bool
    obtained: str
    """Where the official file is obtained, or that nothing is needed."""


def models_folder() -> Path:
    """Where models are kept: $AVATARS_MODELS, or avatars/models in the platform's folder of user data."""
    if os.environ.get("AVATARS_MODELS"):
        return Path(os.environ["AVATARS_MODELS"]).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or home / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "avatars" / "models"


def add_models(path: Path | str, gender: str | None = None, folder: Path | None = None) -> list[Added]:
    """Convert every official model at a path (file, archive or folder) and store it among the user's models.

    Of several files of one family and gender, the last by name stays. Raises InputError for damaged, malicious or
    unfitting files and when there is no model at all; models converted before the error stay.
    """
    return add_and_report(path, gender, folder)[0]


def add_and_report(
    path: Path | str, gender: str | None = None, folder: Path | None = None
) -> tuple[list[Added], list[Skipped]]:
    """Do as `add_models` does, and tell what was left aside."""
    if gender is not None:
        check_gender(gender)
    added: dict[Path, Added] = {}
    skipped: list[Skipped] = []
    for found in recognise(Path(path), gender):
        if isinstance(found, Skipped):
            skipped.append(found)
            continue
        stored = store(found, folder)
        if stored.path in added:
            skipped.append(Skipped(added.pop(stored.path).source, f"the same model is in {stored.source}"))
        added[stored.path] = stored
    if not added:
        reasons = "".join(f"\n  {entry.source}: {entry.reason}" for entry in skipped[:5])
        raise InputError(
            f"No body or head model in {path}. Give an official download (pkl, npz, zip, tar or a folder of them); "
            f"landmark files are taken from beside a model. `avatars models list` names the sites.{reasons}"
        )
    return list(added.values()), skipped


def store(found: Found, folder: Path | None = None) -> Added:
    """Write a recognised model as <family>_<gender>.safetensors; the file is whole or not there."""
    if found.family == "ict":
        from body_models.ict import convert_ict

        tensors, digest = convert_ict(found.path), _digest(found.path)
    else:
        tensors = to_tensors(found.file.arrays, found.family, found.file.source)
        digest = found.file.sha256
    target = _file(found.family, found.gender, folder)
    header = {
        "format": FORMAT,
        "version": str(FORMAT_VERSION),
        "family": found.family,
        "gender": found.gender,
        "source": Path(found.file.source).name,
        "sha256": digest,
    }
    _write({name: value.contiguous() for name, value in tensors.items()}, header, target)
    return Added(found.family, found.gender, target, found.file.source)


def load_licensed(family: str, gender: str = "neutral", folder: Path | None = None) -> BodyModel:
    """A model that was added before: smpl, smplh, smplx, flame or ict.

    Raises InputError for unknown names, and for a model that is not there, with where it is obtained and what to type.
    """
    if family not in SITES:
        raise InputError(unknown_name("There is no licensed model", family, SITES))
    check_gender(gender)
    path = _file(family, gender, folder)
    if not path.is_file():
        raise InputError(_missing(family, gender, folder))
    tensors = _read(path, family)
    if family == "ict":
        from body_models.ict import assemble_ict

        return assemble_ict(tensors)
    return assemble(tensors, family, gender)


def check_gender(gender: str) -> None:
    """Raise InputError for a word that is none of neutral, female and male."""
    if gender not in GENDERS:
        raise InputError(unknown_name("There is no model of gender", gender, GENDERS))


def list_models(folder: Path | None = None) -> list[Entry]:
    """All models that exist, with the file of each that is there and the place where each other is obtained."""
    entries = [Entry(name, "", None, True, "built in") for name in BUILT_IN]
    for family, site in SITES.items():
        for gender in ("neutral",) if family == "ict" else GENDERS:
            path = _file(family, gender, folder)
            there = path.is_file()
            entries.append(Entry(family, gender, path if there else None, there, site))
    return entries


def _file(family: str, gender: str, folder: Path | None) -> Path:
    return (folder or models_folder()) / f"{family}_{gender}.safetensors"


def _missing(family: str, gender: str, folder: Path | None) -> str:
    there = [other for other in GENDERS if _file(family, other, folder).is_file()]
    instead = f" There is a {' and a '.join(there)} one: name that gender, or" if there else ""
    verb = "get" if there else "Get"
    return (
        f"No {gender} {family} model in {folder or models_folder()}.{instead} {verb} it from {SITES[family]} and type "
        "`avatars models add PATH` with the download. The built-in models anny and anny-head need no file."
    )


def _write(tensors: dict[str, torch.Tensor], header: dict[str, str], path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, temporary, metadata=header)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{path} cannot be written ({reason}). Make room there, or name another folder in AVATARS_MODELS."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _read(path: Path, family: str) -> dict[str, torch.Tensor]:
    again = "Add the official file again with `avatars models add PATH`."
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterable)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is truncated or damaged ({error}). {again}") from error
    if header.get("format") != FORMAT or header.get("family") != family:
        raise InputError(f"{path} holds no {family} model. {again}")
    if header.get("version") != str(FORMAT_VERSION):
        raise InputError(f"{path} was written by another version (format {header.get('version')}). {again}")
    return tensors


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's meshes one after the other."""
    digest = hashlib.sha256()
    for file in sorted(path.glob("*.obj")) if path.is_dir() else [path]:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
