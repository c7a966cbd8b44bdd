"""Motion on the avatars of the page."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.viewer.models import Model
from avatars.viewer.state import Stance, Stances
from body_models import Motion


@dataclass(frozen=True)
class Clip:
    """A motion that was brought onto a model."""

    motion: Motion
    neutral: Stance
    """Where the model stands otherwise."""
    head: bool

    @property
    def seconds(self) -> float:
        """From the first frame to the last."""
        return self.motion.duration

    @property
    def travel(self) -> float:
        """The widest way over the ground, for bodies (metres)."""
        low, high = self.motion.translations[:, [0, 2]].aminmax(dim=0)
        return 0.0 if self.head else float((high - low).norm())

    @property
    def faceless(self) -> bool:
        """Whether it is played by a head whose face it leaves still."""
        face = self.motion.expression
        return self.head and len(self.motion) > 1 and (face is None or bool((face == face[:1]).all()))

    def stance(self, seconds: float, in_place: bool = False) -> Stance:
        """The model at a time of the clip; see `stances`."""
        return self.stances(torch.tensor([seconds], dtype=torch.float64), in_place)[0]

    def stances(self, seconds: Float[Tensor, "time"], in_place: bool = False) -> Stances:
        """The model at times of the clip, the nearest frames; times beyond its ends are those of the ends.

        The middle of its way is where the model stands otherwise; `in_place` it does not leave that place.
        """
        motion, neutral = self.motion, self.neutral
        frames = (seconds * motion.frame_rate).round().long().clamp(0, len(motion) - 1)
        places = neutral.translation + motion.translations[frames] - motion.translations.mean(0)
        if not self.head:  # feet stay on the ground that the motion walks on
            across = neutral.translation.expand_as(places) if in_place else places
            places = torch.stack([across[:, 0], motion.translations[frames, 1], across[:, 2]], dim=1)
        faces = neutral.expression.expand(len(frames), -1)
        if motion.expression is not None and self.head:
            faces = motion.expression[frames]
        return Stances(motion.rotations[frames], places, faces)


def clip_of(model: Model, source: Motion | Path | str) -> Clip:
    """A motion of anybody on a model; raises InputError as `avatars.export.motion_on` does."""
    return Clip(model.motion(source), model.build.neutral, model.head)


def own_clip(model: Model) -> Clip:
    """What the model was fitted to: its video, or its poses one after another."""
    return Clip(model.own_motion(), model.build.neutral, model.head)
