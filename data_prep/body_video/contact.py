"""Feet that stand still in the picture stand still in the world: keeps them from sliding along the line of sight."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from data_prep.body_video.detections import KEYPOINTS

FEET = [KEYPOINTS.index(f"{side}_{part}") for part in ("ankle", "heel", "foot_index") for side in ("left", "right")]
STILL = 0.15
"""Speed in the picture up to which a point of a foot counts as standing (heights of the person a second)."""
SLIDE = 0.03
"""Usual way of a standing foot in a second (metres); grows with the root of the time."""


@dataclass(frozen=True)
class Contact:
    """How firmly each point of the feet stands from each frame to the next (per metre squared)."""

    weights: Float[Tensor, "step foot"]

    @staticmethod
    def of(
        times: Float[Tensor, "frame"],
        pixels: Float[Tensor, "frame 33 2"],
        visible: Float[Tensor, "frame 33"],
        heights: Float[Tensor, "frame"],
    ) -> "Contact":
        """From what is seen: points that hardly move in the picture."""
        steps = times[1:] - times[:-1]
        speed = (pixels[1:, FEET] - pixels[:-1, FEET]).norm(dim=-1) / (steps * heights[1:])[:, None]
        firm = (1 - (speed / STILL) ** 2).clamp_min(0) * visible[1:, FEET] * visible[:-1, FEET]
        return Contact(firm / (SLIDE**2 * steps[:, None]))

    def energy(self, points: Float[Tensor, "frame 33 3"]) -> Float[Tensor, ""]:
        """Half the weighted squared way of the standing points."""
        return 0.5 * (self.weights * (self._ways(points) ** 2).sum(-1)).sum()

    def terms(
        self,
        points: Float[Tensor, "frame 33 3"],
        by_own: Float[Tensor, "frame 33 3 parameter"],
        by_shared: Float[Tensor, "frame 33 3 shared"],
    ) -> "ContactTerms":
        """Its share of the normal equations, given the markers' derivatives."""
        roots = self.weights.sqrt()[..., None, None]
        before = -(by_own[:-1, FEET] * roots).flatten(1, 2)
        after = (by_own[1:, FEET] * roots).flatten(1, 2)
        shared = ((by_shared[1:, FEET] - by_shared[:-1, FEET]) * roots).flatten(1, 2)
        ways = (self._ways(points)[..., None] * roots).flatten(1, 2)
        return ContactTerms(before, after, shared, ways)

    def _ways(self, points: Float[Tensor, "frame 33 3"]) -> Float[Tensor, "step foot 3"]:
        return points[1:, FEET] - points[:-1, FEET]


@dataclass(frozen=True)
class ContactTerms:
    """Whitened derivatives of each step's ways by the frame before, the frame after and what is shared; the ways."""

    before: Float[Tensor, "step row parameter"]
    after: Float[Tensor, "step row parameter"]
    shared: Float[Tensor, "step row shared"]
    ways: Float[Tensor, "step row 1"]

    def add_to(
        self,
        blocks: Float[Tensor, "frame parameter parameter"],
        border: Float[Tensor, "frame parameter shared"],
        right: Float[Tensor, "frame parameter"],
    ) -> Float[Tensor, "step parameter parameter"]:
        """Add to the frames' own parts in place; returns the blocks that join each frame (row) to the one before."""
        for part, place in ((self.before, slice(None, -1)), (self.after, slice(1, None))):
            blocks[place] += part.mT @ part
            border[place] += part.mT @ self.shared
            right[place] -= (part.mT @ self.ways)[..., 0]
        return self.after.mT @ self.before
