"""Options of fitting, and the presets that set them."""

import dataclasses
import math
import re
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from avatars.deform.roots import MOST_STARTS
from avatars.deform.starts import LEVELS
from avatars.models.snarf import SnarfOptions
from body_models import InputError

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
"""A number such as 1e-3, which YAML takes for text unless it has a point and a sign."""
_SHALLOWEST = 4
"""The MLP's input and pose code join again at this layer, which must be there."""


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

    def __post_init__(self) -> None:
        for rate in dataclasses.fields(self):
            check_range(rate.name, getattr(self, rate.name), 0.0, 1.0 if rate.name == "final" else math.inf)


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

    def __post_init__(self) -> None:
        for name in ("steps", "points", "scans_per_step", "pool"):
            check_range(name, getattr(self, name), 1)
        for name in ("near_share", "pose_dropout", "bootstrap"):
            check_range(name, getattr(self, name), 0.0, 1.0)
        for name in ("near_sigma", "clip"):
            check_range(name, getattr(self, name), 0.0)
        _check_snarf(self.snarf)


def check_range(
    name: str, value: int | float, low: int | float, high: int | float = math.inf, above: bool = False
) -> None:
    """Raise InputError for a value that is not finite, below `low` (or at it, where it must be `above`) or over `high`.

    A missing `high` allows any finite value.
    """
    if not math.isfinite(value) or value < low or value > high or (above and value == low):
        least = f"greater than {low}" if above else f"{low} or more"
        allowed = least if high == math.inf else f"from {low} to {high}"
        raise InputError(f"{name} must be {allowed}, not {value}.")


def check_seed(seed: int) -> None:
    """Raise InputError for a seed that the random generators do not take."""
    check_range("The seed", seed, 0, 2**31 - 1)


def _check_snarf(snarf: SnarfOptions) -> None:
    """Raise InputError for sizes of which no model can be made."""
    if snarf.network not in ("grid", "mlp"):
        raise InputError(f"snarf: network must be grid or mlp, not '{snarf.network}'.")
    if not snarf.feature_spacings:
        raise InputError("snarf: feature_spacings needs one spacing or more, in metres.")
    for name in ("width", "depth", "weight_width", "feature_channels"):
        check_range(f"snarf: {name}", getattr(snarf, name), 1)
    for name in ("octaves", "pose_code", "margin"):
        check_range(f"snarf: {name}", getattr(snarf, name), 0)
    for name in ("weight_spacing", "part_spacing", "base_spacing", "part_base_spacing", "edge"):
        check_range(f"snarf: {name}", getattr(snarf, name), 0, above=True)
    for spacing in snarf.feature_spacings:
        check_range("snarf: feature_spacings", spacing, 0, above=True)
    check_range("snarf: search: steps", snarf.search.steps, 1)
    check_range("snarf: search: start_bones", snarf.search.start_bones, 1, MOST_STARTS)
    check_range("snarf: search: least_influence", snarf.search.least_influence, 0, LEVELS)
    for name in ("tolerance", "divergence", "near", "separation", "reach"):
        check_range(f"snarf: search: {name}", getattr(snarf.search, name), 0, above=True)
    if snarf.network == "mlp":
        check_range("snarf: depth (of network mlp)", snarf.depth, _SHALLOWEST)
        check_range("snarf: width (of network mlp)", snarf.width, 4 + 6 * snarf.octaves)


def load_preset(name: str) -> FitOptions:
    """A preset by its name ("fast", "paper") or by the path of a YAML file with the same keys.

    Raises InputError for an unknown preset or key, and for values of another type or beyond what is possible.
    """
    try:
        stored = yaml.safe_load(_preset_text(name))
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"Preset '{name}' is no valid YAML: {error}") from error
    return _build(FitOptions, stored, f"Preset '{name}'")


def _preset_text(name: str) -> str:
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise InputError(f"No preset file '{name}'. Check the path, or choose from: {', '.join(_known())}.")
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"The preset file '{name}' cannot be read: {error}.") from error
    file = resources.files("configs") / f"{name}.yaml"
    if not file.is_file():
        raise InputError(f"No preset '{name}'. Presets: {', '.join(_known())}; or give the path of a YAML file.")
    return file.read_text(encoding="utf-8")


def _known() -> list[str]:
    """The presets for scans by name; those of other methods bear the method's name in front."""
    names = (file.name for file in resources.files("configs").iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml") and "_" not in name)


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
