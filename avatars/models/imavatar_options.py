"""Sizes of a head avatar's fields."""

from dataclasses import dataclass

from body_models import InputError
from body_models.parameters import unknown_name

DEFORMATIONS = ("learned", "skinning", "displacement", "nearest", "none")
"""Kinds of deformation, by their names in presets."""


@dataclass(frozen=True)
class ImavatarOptions:
    """Sizes of the fields; the defaults are the fast ones, `PUBLISHED` holds the publication's (lengths in metres)."""

    network: str = "grid"
    """"grid" (fast) or "mlp" (the publication's)."""
    deformation: str = "learned"
    """What carries canonical points into frames; all but the first are baselines, for grids only.

    "learned": blendshapes and skinning weights; "skinning": weights only (Fwd-Skin); "displacement": a network that is
    told expression and pose (D-Net); "nearest": blendshapes and weights of the head model's nearest vertex, fixed
    (B-Morph); "none": the root joint alone (C-Net).
    """
    conditioned: bool = False
    """Tell the geometry expression and pose too (C-Net, Fwd-Skin); for grids only."""
    ghost: bool = True
    """Give shoulders and clothes a bone of their own that does not turn with the head."""
    margin: float = 0.08
    """How far the canonical box reaches beyond the head, above, before and behind, for hair."""
    sideways: float = 0.16
    """The same to the sides, for hair and shoulders."""
    below: float = 0.10
    """The same below the neck's end, for the shoulders."""
    weight_spacing: float = 0.014
    """Spacing of the grid of weights and blendshapes; for an MLP, of the grid that samples it for the search."""
    part_weight_spacing: float = 0.0035
    """The same about eyes and mouth."""
    weight_width: int = 128
    """Hidden units of the MLPs of weights and blendshapes."""
    displacement_width: int = 32
    """Features at each node, and hidden units, of the network of displacements."""
    base_spacing: float = 0.006
    """Spacing of the base grid of signed distances."""
    part_base_spacing: float = 0.003
    """The same over the face, from the eyes to the mouth."""
    feature_spacings: tuple[float, ...] = (0.03, 0.012, 0.005)
    """Spacings of the geometry's feature grids."""
    feature_channels: int = 4
    """Channels of each of these grids."""
    geometry_width: int = 32
    """Hidden units of the geometry's decoder or MLP."""
    geometry_depth: int = 8
    """Hidden layers of the geometry's MLP."""
    geometry_octaves: int = 6
    """Octaves of positional encoding of the geometry's MLP."""
    feature_size: int = 16
    """Numbers that the geometry tells the colour at each point."""
    colour_spacings: tuple[float, ...] = (0.012, 0.005, 0.0025)
    """Spacings of the colour's own feature grids; none for an MLP."""
    colour_width: int = 64
    """Hidden units of the colour network."""
    colour_depth: int = 2
    """Hidden layers of the colour network."""
    colour_octaves: int = 0
    """Octaves of positional encoding of the colour network."""

    def __post_init__(self) -> None:
        if self.network not in ("grid", "mlp"):
            raise InputError(f"Unknown network '{self.network}'; use 'grid' (fast) or 'mlp' (the publication's).")
        if self.deformation not in DEFORMATIONS:
            raise InputError(unknown_name("Unknown deformation", self.deformation, DEFORMATIONS))
        if self.network != "grid" and (self.conditioned or self.deformation != "learned"):
            raise InputError(
                "The network 'mlp' has the deformation 'learned' only and no conditioned geometry; use network: grid."
            )
        for name, value in self.__dict__.items():
            least = 0 if name.endswith("_octaves") else 1
            if name.endswith(("_width", "_depth", "_size", "_channels", "_octaves")) and value < least:
                raise InputError(f"The option {name} must be {least} or more, not {value}.")
        for name in ("margin", "sideways", "below"):
            if not self.__dict__[name] > 0:
                raise InputError(f"The option {name} must be a length above zero (metres), not {self.__dict__[name]}.")


PUBLISHED = ImavatarOptions(
    network="mlp", geometry_width=512, feature_size=256, colour_width=512, colour_depth=4, colour_octaves=4
)
"""The publication's sizes."""


@dataclass(frozen=True)
class HeadSizes:
    """How many numbers drive a head."""

    expressions: int
    correctives: int = 0
    """Entries of the pose feature that blendshapes depend on; none for models without pose correctives."""
