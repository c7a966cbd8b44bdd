"""Sizes of the generative prior's networks."""

import dataclasses
from dataclasses import dataclass

from avatars.deform.roots import SearchOptions


@dataclass(frozen=True)
class GdnaOptions:
    """Sizes of the networks, grids and codes, and how roots are searched."""

    network: str = "grid"
    """"grid" (fast) or "mlp" (the publication's)."""
    shape_code: int = 64
    """Numbers that tell one person's coarse shape and clothes from another's."""
    detail_code: int = 64
    """Numbers that tell the wrinkles."""
    betas: int = 24
    """Numbers of the body model's shape that the prior knows."""
    volume_spacing: float = 0.046
    """Spacing of the shape code's feature volume (metres)."""
    volume_channels: int = 6
    detail_spacing: float = 0.046
    """Spacing of the detail code's feature volume (metres)."""
    detail_channels: int = 4
    reach: float = 0.3
    """How far from the mean body clothes and hair may lie (metres)."""
    feature_spacings: tuple[float, ...] = (0.048, 0.018)
    """Spacings of the feature grids that all people share (metres)."""
    feature_channels: int = 4
    width: int = 64
    """Hidden units of the decoders."""
    feature_size: int = 16
    """Numbers that the coarse surface tells the details."""
    base_spacing: float = 0.012
    """Spacing of the mean person's signed distances (metres)."""
    part_base_spacing: float = 0.005
    """The same at head and hands (metres)."""
    weight_spacing: float = 0.035
    """Spacing of the skinning weights, and of the displacements by body shape (metres)."""
    weight_rank: int = 6
    """Patterns of change of the skinning weights that the shape code mixes."""
    pattern_spacing: float = 0.07
    """Spacing of these patterns (metres)."""
    edge: float = 0.006
    """Distance over which occupancy fades at the surface (metres a logit)."""
    margin: float = 0.2
    """How far the canonical box reaches beyond the mean body (metres)."""
    mlp_width: int = 256
    """Hidden units of the MLPs of network "mlp"; its other sizes are the publication's."""
    search: SearchOptions = dataclasses.field(default_factory=SearchOptions)
