"""Options of the second stage of a prior: wrinkles."""

import dataclasses
import math
from dataclasses import dataclass, field

from avatars.fit.adversarial import AdversarialOptions
from avatars.fit.discriminator import DiscriminatorOptions
from avatars.fit.options import check_range


@dataclass(frozen=True)
class DetailRates:
    """Adam's step sizes in the second stage."""

    volumes: float = 5e-3
    """Feature volumes of the detail code."""
    features: float = 3e-3
    """Feature grids that all people share."""
    network: float = 2e-3
    """Decoder of the normals, or their MLP."""
    codes: float = 0.02
    discriminator: float = 5e-3
    final: float = 0.05
    """Share of every rate that is left at the end."""

    def __post_init__(self) -> None:
        for rate in dataclasses.fields(self):
            check_range(rate.name, getattr(self, rate.name), 0.0, 1.0 if rate.name == "final" else math.inf)


@dataclass(frozen=True)
class DetailStage:
    """Stage 2: detailed normals and detail codes, from surface points and pictures of normals."""

    steps: int = 2000
    people: int = 32
    """People in a step, over all processes."""
    points: int = 256
    """Surface points of each."""
    pictures: int = 8
    """How many of them the discriminator sees; at most all."""
    cached_points: int = 4096
    """Surface points of a scan to draw from; their canonical places are found once."""
    mesh_cells: int = 192
    """Cells along the edge of the cube in which the coarse surfaces are meshed to see where views meet them."""
    widths: tuple[int, ...] = (16, 32, 64, 64, 64)
    """Channels of the discriminator at full size and after each halving."""
    crop: int = 64
    """Pixels along a side of the part of a view that the discriminator is shown, somewhere on the person; 0: all."""
    same_outline: bool = True
    """Show the discriminator only what scan and coarse surface both cover, so that it judges normals, not outlines."""
    code_weight: float = 1e-3
    """Factor of the mean square of the detail codes (gDNA, section 3.4)."""
    normal_weight: float = 1.0
    """Factor of the normals' error at surface points."""
    clip: float = 0.0
    """Largest gradient norm; 0 leaves gradients alone."""
    adversarial: AdversarialOptions = field(
        default_factory=lambda: AdversarialOptions(0.1, gamma=0.1, betas=(0.9, 0.99))
    )
    """By default for small pictures and some thousand steps, in which the publication's would learn nothing."""
    rates: DetailRates = field(default_factory=DetailRates)

    def discriminator(self, size: int) -> DiscriminatorOptions:
        """Sizes of the discriminator for views of a size (pixels); raises InputError where they cannot be."""
        return DiscriminatorOptions(min(self.crop, size) if self.crop else size, self.widths)

    def __post_init__(self) -> None:
        for name in ("people", "points", "pictures", "cached_points"):
            check_range(name, getattr(self, name), 1)
        check_range("mesh_cells", self.mesh_cells, 4, 1024)
        for name in ("steps", "crop", "code_weight", "normal_weight", "clip"):
            check_range(name, getattr(self, name), 0)
