"""Options of fitting, and the presets that set them."""

import dataclasses
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from avatars.models.snarf import SnarfOptions
from body_models import InputError


@dataclass(frozen=True)
class LearningRates:
    """Adam's step sizes, by what they move."""

    base: float = 0.02
    """Base occupancy grid (logits)."""
    features: float = 5e-3
    """Feature grids."""
    network: float = 2e-3
    """Decoder and pose code, or the MLPs of the paper preset."""
    weights: float = 1e-3
    """Skinning-weight logits."""
    pose: float = 2e-3
    """Joint angles (radians) and translations (metres)."""
    joints: float = 3e-4
    """Joint centres (metres)."""
    final: float = 0.05
    """Share of every rate that is left at the end of the cosine schedule; 1 keeps them constant."""


@dataclass(frozen=True)
class FitOptions:
    """How an avatar is fitted to scans."""

    steps: int = 700
    """Optimiser steps."""
    points: int = 1000
    """Points of each scan in a step."""
    scans_per_step: int = 12
    """Scans in a step; all of them when there are no more."""
    near_share: float = 0.8
    """Share of points near the surface; the rest is uniform in the box."""
    near_sigma: float = 0.01
    """Spread of the points near the surface (metres)."""
    pool: int = 60_000
    """Points prepared for each scan."""
    soft_labels: bool = True
    """Labels fade over the avatar's `edge` with the distance to the scan; otherwise they are 0 or 1."""
    pose_dropout: float = 0.3
    """Share of steps in which a scan's pose code is hidden, so that the neutral shape stays sound."""
    refine_poses: bool = True
    """Improve the registered poses and joint centres together with the avatar (never poses that were given)."""
    bootstrap: float = 0.02
    """Share of steps with SNARF's bootstrapping losses: bones are occupied, weights the body's (MLP fields only)."""
    clip: float = 0.0
    """Largest gradient norm; 0 leaves gradients alone."""
    rates: LearningRates = field(default_factory=LearningRates)
    snarf: SnarfOptions = field(default_factory=SnarfOptions)


def load_preset(name: str) -> FitOptions:
    """A preset by its name ("fast", "paper") or by the path of a YAML file with the same keys.

    Raises InputError for an unknown preset, key or type of value.
    """
    text = _preset_text(name)
    try:
        stored = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise InputError(f"Preset '{name}' is no valid YAML: {error}") from error
    return _build(FitOptions, stored, name)


def _preset_text(name: str) -> str:
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise InputError(f"No preset file '{name}'.")
        return path.read_text(encoding="utf-8")
    file = resources.files("configs") / f"{name}.yaml"
    if not file.is_file():
        known = sorted(
            p.name.removesuffix(".yaml") for p in resources.files("configs").iterdir() if p.name.endswith(".yaml")
        )
        raise InputError(f"No preset '{name}'. Presets: {', '.join(known)}; or give the path of a YAML file.")
    return file.read_text(encoding="utf-8")


def _build(kind: Any, stored: object, where: str) -> Any:
    """An options dataclass from nested dictionaries, every key and value checked."""
    if not isinstance(stored, dict):
        raise InputError(f"{where}: expected keys with values, got {stored!r}.")
    hints = get_type_hints(kind)
    unknown = set(stored) - set(hints)
    if unknown:
        raise InputError(
            f"{where}: unknown option {', '.join(map(repr, sorted(unknown)))}. Options: {', '.join(hints)}."
        )
    values = {key: _value(hints[key], value, f"{where}: {key}") for key, value in stored.items()}
    return dataclasses.replace(kind(), **values)


def _value(hint: Any, value: object, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, where)
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_value(get_args(hint)[0], item, where) for item in value)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    accepted = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if type(value) not in accepted:
        raise InputError(f"{where}: expected {hint}, got {value!r}.")
    return value
