"""What a rigged file may weigh, and what it keeps of the avatar."""

from dataclasses import dataclass

from body_models import InputError

FEWEST_FACES = 200
"""Below as many triangles nobody is recognised."""
MOST_INFLUENCES = 4
"""What every engine takes; more need a second set of attributes, which few read."""


@dataclass(frozen=True)
class RigOptions:
    """How light the mesh of a rig is, and what it keeps of the avatar."""

    faces: int = 30_000
    """Triangles at most."""
    resolution: int | None = None
    """Cells along the longest side of the surface that is simplified and painted from; 512, and 256 for heads."""
    influences: int = MOST_INFLUENCES
    """Bones that move a vertex, at most 4."""
    correctives: int = 0
    """Morph targets that bring skinning nearer to the implicit body, driven by the pose; 0 to 64."""
    texture: int = 2048
    """Width and height of the textures (pixels); 0 leaves textures out."""

    def __post_init__(self) -> None:
        if self.faces < FEWEST_FACES:
            raise InputError(f"{self.faces} faces leave no person to see; give {FEWEST_FACES} or more, 30000 is usual.")
        if self.resolution is not None and not 32 <= self.resolution <= 1024:
            raise InputError(f"A resolution of {self.resolution} is not in 32 to 1024; 512 is usual.")
        if not 1 <= self.influences <= MOST_INFLUENCES:
            raise InputError(f"{self.influences} influences a vertex are not in 1 to {MOST_INFLUENCES}.")
        if not 0 <= self.correctives <= 64:
            raise InputError(f"{self.correctives} correctives are not in 0 to 64; 8 are many.")
        if self.texture != 0 and not 64 <= self.texture <= 8192:
            raise InputError(f"Textures of {self.texture} pixels are not in 64 to 8192; 0 leaves them out.")
