"""Options of fitting, and the presets that set them."""

import dataclasses
import math
from dataclasses import dataclass, field

from avatars.deform.roots import MOST_STARTS
from avatars.deform.starts import LEVELS
from avatars.fit.presets import read_preset
from avatars.models.snarf import SnarfOptions
from body_models import InputError

_SHALLOWEST = 4
"""The MLP's input and pose code join again at this layer, which must be there."""

FINEST_COLOURS, COARSEST_COLOURS = 0.0005, 0.05
"""Spacings at which colours can be kept (metres)."""


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
class ColourOptions:
    """How finely the colours of scans are kept (bodies)."""

    samples: int = 1_800_000
    """Coloured points of all scans together; 0 leaves colours alone."""
    spacing: float = 0.003
    """Spacing of the nodes that hold colours (metres)."""
    part_spacing: float = 0.0015
    """The same in head and hands."""

    def __post_init__(self) -> None:
        check_range("samples", self.samples, 0)
        for name in ("spacing", "part_spacing"):
            check_range(name, getattr(self, name), FINEST_COLOURS, COARSEST_COLOURS)


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
    colours: ColourOptions = field(default_factory=ColourOptions)

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
    options: FitOptions = read_preset(FitOptions, name)
    return options
