"""What a search is asked and what it answers."""

import math
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from body_models import InputError

MOST_STARTS = 24
"""No search starts from more bones than this; the kernel keeps them in registers."""


@dataclass(frozen=True)
class SearchOptions:
    """How hard to look for roots."""

    steps: int = 15
    """Root-finding iterations from each start; more is slower and rarely better."""
    tolerance: float = 1e-5
    """Accept a root when its posed residual is below this (metres)."""
    divergence: float = 1.0
    """Give up a start whose posed residual exceeds this (metres)."""
    start_bones: int = 8
    """Most bones that start a search for each point."""
    least_influence: int = 1
    """A bone starts a search where it weighs at least this many 255ths; 0 lets every bone start."""
    reach: float = 0.35
    """Starts farther than this from the field's box are outside the body without a search (metres)."""
    near: float = 5e-3
    """The fast search changes from its coarse table to the exact field below this residual (metres)."""
    separation: float = 2e-3
    """Roots nearer to each other than this are one (metres)."""

    def __post_init__(self) -> None:
        if not 1 <= self.start_bones <= MOST_STARTS:
            raise InputError(f"start_bones must be from 1 to {MOST_STARTS}, not {self.start_bones}.")
        for name in ("tolerance", "divergence", "near", "separation"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be a length above zero (metres), not {getattr(self, name)}.")
        if self.steps < 1:
            raise InputError(f"steps must be 1 or more, not {self.steps}.")
        if not 0 <= self.least_influence <= 255:
            raise InputError(f"least_influence is in 255ths, from 0 to 255, not {self.least_influence}.")
        if not 0 <= self.reach < math.inf:
            raise InputError(f"reach must be a length of zero or more (metres), not {self.reach}.")


@dataclass(frozen=True)
class Roots:
    """Distinct canonical roots of all points, flat; points may have none, one or several."""

    canonical: Float[Tensor, "root 3"]
    point: Int[Tensor, "root"]
    """Which posed point each root belongs to; ascending."""
    point_count: int
    inverse_jacobian: Float[Tensor, "root 3 3"] | None = None
    """Inverse of the deformation's Jacobian at each root, where the search has it at hand; zero where there is none."""


def distinct(roots: Float[Tensor, "point start 3"], separation: float = 2e-3) -> Bool[Tensor, "point start"]:
    """Marks the roots (NaN where a search failed) that repeat no earlier root of their point (metres)."""
    valid = ~roots[..., 0].isnan()
    keep = valid.clone()
    for later in range(1, roots.shape[1]):
        for earlier in range(later):
            close = (roots[:, later] - roots[:, earlier]).square().sum(-1) < separation**2
            keep[:, later] &= ~(close & valid[:, earlier])
    return keep
