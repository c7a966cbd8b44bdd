"""Motion that a browser plays by itself: what it is told once, and when that must be told anew."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.viewer.clips import Clip
from avatars.viewer.state import Stances

RATE = 30.0
"""Stances a second that are told at most; a browser draws between them as often as it can."""
WINDOW, SPARE = 30.0, 5.0
"""Seconds of a long motion that are told at once, and how much more for what comes late."""
STRAYED = 0.1
"""Seconds by which the clock may differ from what the browser plays."""
_JUMP = 1e-3
"""Seconds of motion that go from its end to its start."""


@dataclass(frozen=True)
class Reel:
    """A clip that plays from a moment on, as the clock does, and the same again in a loop (seconds)."""

    clip: Clip
    seconds: float
    """Where the clock was."""
    moment: float
    """When it was there (`time.monotonic`)."""
    length: float
    """Of the clock's round: that of the longest clip."""
    speed: float = 1.0
    loop: bool = True
    in_place: bool = False

    @property
    def whole(self) -> bool:
        """Whether all of the motion is told at once, so that a browser can go on for ever."""
        return self.loop and self.length / self.speed <= WINDOW

    def at(self, moment: float) -> float:
        """Where the clock is at a moment, if nobody touches it."""
        seconds = self.seconds + self.speed * (moment - self.moment)
        return seconds % self.length if self.loop else min(max(seconds, 0.0), self.length)

    def leads_to(self, other: "Reel") -> bool:
        """Whether a browser that plays this one shows what it should by the other, a later one."""
        if self.clip is not other.clip or _rule(self) != _rule(other):
            return False
        if not self.whole and other.moment - self.moment > WINDOW:
            return False
        apart = abs(self.at(other.moment) - other.seconds)
        return min(apart, self.length - apart if self.loop else apart) <= STRAYED * self.speed

    def keys(self, moment: float) -> tuple[Float[Tensor, "key"], Float[Tensor, "key"]]:
        """Times from a moment on, and where in the clip they are: a whole round, or as much as is told at once.

        Times rise strictly; before and after the jump from the motion's end to its start there is a key each.
        """
        begin = self.at(moment)
        begin = begin if begin > 3 * _JUMP else 0.0
        end = begin + (self.length if self.whole else self.speed * (WINDOW + SPARE))
        step = max(1 / self.clip.motion.frame_rate, self.speed / RATE)
        inner = torch.arange(0.0, max(self.length - _JUMP, 0.0), step, dtype=torch.float64)
        places = torch.cat([inner, _of(self.length)])
        rounds = math.ceil(end / self.length) if self.loop else 1
        times = places.clamp(min=_JUMP) + self.length * torch.arange(rounds, dtype=torch.float64)[:, None]
        inside = (times > begin + _JUMP) & (times < end - _JUMP)
        last = self.length - (-end) % self.length if self.loop else min(end, self.length)
        times = torch.cat([_of(0.0), times[inside] - begin, _of(end - begin)])
        return times / self.speed, torch.cat([_of(begin), places.expand(rounds, -1)[inside], _of(last)])

    def stances(self, moment: float) -> tuple[Float[Tensor, "key"], Stances]:
        """Times from a moment on, and how the avatar stands at each."""
        times, places = self.keys(moment)
        return times, self.clip.stances(places, self.in_place)


def _rule(reel: Reel) -> tuple[float, float, bool, bool]:
    return reel.length, reel.speed, reel.loop, reel.in_place


def _of(seconds: float) -> Float[Tensor, "1"]:
    return torch.tensor([seconds], dtype=torch.float64)
