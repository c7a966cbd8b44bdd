"""A clip as an engine plays it: turns of bones, the place of the first one, and weights of morph targets."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class RigMotion:
    """What an engine is told of a clip, on a rig's own bones (metres, radians, Y up)."""

    name: str
    rotations: Float[Tensor, "frame bone 3"]
    """Axis-angle of each bone relative to its parent, in axes parallel to the world's at rest."""
    translations: Float[Tensor, "frame 3"]
    """How far the first bone is from its place at rest."""
    morph_weights: Float[Tensor, "frame morph"]
    frame_rate: float
    """Frames a second."""

    def __len__(self) -> int:
        return len(self.rotations)

    def frame(self, index: int) -> RigMotion:
        """One frame, as a clip of its own."""
        one = slice(index, index + 1)
        return RigMotion(
            self.name, self.rotations[one], self.translations[one], self.morph_weights[one], self.frame_rate
        )
