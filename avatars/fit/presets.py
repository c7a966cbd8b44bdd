"""Presets: options dataclasses from the YAML files of `configs`, or from the user's own with the same keys."""

import dataclasses
import re
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from body_models import InputError

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
"""A number such as 1e-3, which YAML takes for text unless it has a point and a sign."""


def read_preset(kind: Any, name: str, prefix: str = "") -> Any:
    """Options of a kind from a preset's name, or from the path of a YAML file.

    `prefix` begins the names of the method's files in `configs`. Raises InputError for an unknown preset or key, and
    for values of another type or beyond what is possible.
    """
    try:
        stored = yaml.safe_load(_text(name, prefix))
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"Preset '{name}' is no valid YAML: {error}") from error
    return _build(kind, stored, f"Preset '{name}'")


def _text(name: str, prefix: str) -> str:
    path, known = Path(name), ", ".join(_known(prefix))
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise InputError(f"No preset file '{name}'. Check the path, or choose from: {known}.")
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"The preset file '{name}' cannot be read: {error}.") from error
    file = resources.files("configs") / f"{prefix}{name}.yaml"
    if not file.is_file():
        raise InputError(f"No preset '{name}'. Presets: {known}; or give the path of a YAML file.")
    return file.read_text(encoding="utf-8")


def _known(prefix: str) -> list[str]:
    """The method's presets by name; only the names of scans' presets have no method in front."""
    files = [Path(file.name) for file in resources.files("configs").iterdir()]
    names = [
        file.stem.removeprefix(prefix) for file in files if file.suffix == ".yaml" and file.name.startswith(prefix)
    ]
    return sorted(name for name in names if prefix or "_" not in name)


def _build(kind: Any, stored: object, where: str) -> Any:
    """An options dataclass from nested dictionaries, every key and value checked; nothing at all means the defaults."""
    stored = {} if stored is None else stored
    if not isinstance(stored, dict):
        raise InputError(f"{where}: expected keys with values, got {stored!r}.")
    hints = get_type_hints(kind)
    unknown = set(stored) - set(hints)
    if unknown:
        raise InputError(
            f"{where}: unknown option {', '.join(sorted(map(repr, unknown)))}. Options: {', '.join(hints)}."
        )
    values = {key: _value(hints[key], value, f"{where}: {key}") for key, value in stored.items()}
    try:
        return dataclasses.replace(kind(), **values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _value(hint: Any, value: object, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, where)
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_value(get_args(hint)[0], item, where) for item in value)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    accepted = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if type(value) not in accepted:
        kind = "a list of numbers" if get_origin(hint) is tuple else getattr(hint, "__name__", str(hint))
        raise InputError(f"{where}: expected {kind}, got {value!r}.")
    return value
