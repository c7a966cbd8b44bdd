"""Options of training a prior of people, and the presets that set them."""

import dataclasses
import math
from dataclasses import dataclass, field

from avatars.fit.detail_options import DetailStage
from avatars.fit.options import check_range
from avatars.fit.presets import read_preset
from avatars.models.gdna_options import GdnaOptions
from body_models import InputError

PREFIX = "gdna_"


@dataclass(frozen=True)
class ShapeRates:
    """Adam's step sizes in the first stage."""

    base: float = 5e-4
    """The mean person's signed distances (metres)."""
    volumes: float = 4e-3
    """Feature volumes, or the generator that makes them."""
    features: float = 3e-3
    network: float = 2e-3
    codes: float = 0.02
    weights: float = 2e-4
    """Skinning weights of the mean person, or the MLP of all."""
    patterns: float = 1e-3
    """What the shape code changes of them (logarithms)."""
    offsets: float = 0.0
    """Displacements by body shape (metres); at 0 they stay the body model's own, and there is no warp loss."""
    final: float = 0.05
    """Share of every rate that is left at the end."""

    def __post_init__(self) -> None:
        for rate in dataclasses.fields(self):
            check_range(rate.name, getattr(self, rate.name), 0.0, 1.0 if rate.name == "final" else math.inf)


@dataclass(frozen=True)
class ShapeStage:
    """Stage 1: surfaces, skinning weights and shape codes from labelled points."""

    steps: int = 4000
    people: int = 16
    """People in a step, over all processes."""
    points: int = 1024
    """Points of each."""
    near_share: float = 0.75
    """Share of points near the surface; the rest is spread over the box."""
    code_weight: float = 1e-3
    """Factor of the mean square of the shape codes (gDNA, section 3.4)."""
    skinning_weight: float = 1e-3
    """Factor of the mean square of what the shape code changes of the logarithms of skinning weights; grids only."""
    warp_weight: float = 10.0
    """Factor of how far builds are off the body model's own (gDNA, equation 10)."""
    bootstrap: float = 0.02
    """Share of steps with bones held occupied and weights held at the body's; MLPs only."""
    clip: float = 0.0
    """Largest gradient norm; 0 leaves gradients alone."""
    rates: ShapeRates = field(default_factory=ShapeRates)

    def __post_init__(self) -> None:
        for name in ("people", "points"):
            check_range(name, getattr(self, name), 1)
        check_range("steps", self.steps, 0)
        for name in ("near_share", "bootstrap"):
            check_range(name, getattr(self, name), 0.0, 1.0)
        for name in ("code_weight", "skinning_weight", "warp_weight", "clip"):
            check_range(name, getattr(self, name), 0.0)


@dataclass(frozen=True)
class PriorOptions:
    """How a prior of people is trained."""

    model: GdnaOptions = field(default_factory=GdnaOptions)
    shape: ShapeStage = field(default_factory=ShapeStage)
    detail: DetailStage = field(default_factory=DetailStage)

    def __post_init__(self) -> None:
        if self.model.network not in ("grid", "mlp"):
            raise InputError(f"model: network must be grid or mlp, not '{self.model.network}'.")


def load_prior_preset(name: str) -> PriorOptions:
    """A preset by its name ("fast", "paper") or by the path of a YAML file with the same keys.

    Raises InputError for an unknown preset or key, and for values of another type or beyond what is possible.
    """
    options: PriorOptions = read_preset(PriorOptions, name, PREFIX)
    return options
