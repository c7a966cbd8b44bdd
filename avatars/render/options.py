"""How carefully rays are traced."""

from dataclasses import dataclass, field

from avatars.deform.roots import SearchOptions
from body_models import InputError


@dataclass(frozen=True)
class TraceOptions:
    """Steps and tolerances of tracing; lengths in metres."""

    everywhere: bool = False
    """March through the whole box instead of starting at the proxy mesh: slow, the meaning of the fast way."""
    samples: int = 64
    """Samples along each ray that is marched through a whole box."""
    short_samples: int = 24
    """Samples along the short stretches that are marched about the proxy mesh."""
    refinements: int = 4
    """How often a crossing between two samples is narrowed to an eighth, where Newton's method does not find it."""
    newton_steps: int = 7
    """Steps from the proxy mesh to the surface."""
    tolerance: float = 3e-6
    """A ray has met the surface when it passes the point, and the point the surface, by less than this."""
    reach: float = 0.02
    """The surface is looked for within this distance of the proxy mesh, along the ray."""
    misses: bool = True
    """Find the nearest approach of rays that pass far from the surface too; pictures do not need it."""
    points_at_once: int = 200_000
    """Samples searched at a time, to bound the memory."""
    search: SearchOptions = field(default_factory=SearchOptions)
    """How roots of samples are searched."""

    def __post_init__(self) -> None:
        for name in ("samples", "short_samples"):
            if getattr(self, name) < 2:
                raise InputError(f"{name} must be 2 or more, not {getattr(self, name)}: a crossing lies between two.")
        for name in ("refinements", "newton_steps", "points_at_once"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be 1 or more, not {getattr(self, name)}.")
        for name in ("tolerance", "reach"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be a length above zero (metres), not {getattr(self, name)}.")
