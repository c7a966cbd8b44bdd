"""Motion on the avatars of the page."""

from dataclasses import dataclass
from pathlib import Path

import torch

from avatars.viewer.models import Model
from avatars.viewer.state import Stance
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
        """The model at a time of the clip, the nearest frame; times beyond its ends are those of the ends.

        The middle of its way is where the model stands otherwise; `in_place` it does not leave that place.
        """
        motion = self.motion
        frame = min(max(round(seconds * motion.frame_rate), 0), len(motion) - 1)
        place = self.neutral.translation + motion.translations[frame] - motion.translations.mean(0)
        if not self.head:  # feet stay on the ground that the motion walks on
            across = self.neutral.translation if in_place else place
            place = torch.stack([across[0], motion.translations[frame, 1], across[2]])
        face = self.neutral.expression if motion.expression is None or not self.head else motion.expression[frame]
        return Stance(motion.rotations[frame], place, face)


def clip_of(model: Model, source: Motion | Path | str) -> Clip:
    """A motion of anybody on a model; raises InputError as `avatars.export.motion_on` does."""
    return Clip(model.motion(source), model.build.neutral, model.head)


def own_clip(model: Model) -> Clip:
    """What the model was fitted to: its video, or its poses one after another."""
    return Clip(model.own_motion(), model.build.neutral, model.head)
