"""Frames of a video file or of a folder of pictures, one at a time, as a viewer would see them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from body_models.errors import InputError

MOST_NOTES = 20
Rgb = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class FrameOptions:
    """Which frames are delivered."""

    start: float = 0.0
    """Leave out what comes before this time (seconds from the first frame)."""
    end: float | None = None
    """Leave out what comes from this time on (seconds from the first frame); None: go on to the last frame."""
    fps: float | None = None
    """Frames delivered for each second of video, each the nearest one in time; None: every frame."""
    picture_rate: float = 25.0
    """Frames a second of a folder of pictures, which does not say so itself."""

    def __post_init__(self) -> None:
        for name, value in (("fps", self.fps), ("picture-rate", self.picture_rate)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"--{name} {value:g} is not a number of frames a second; use for instance 25.")
        if not (math.isfinite(self.start) and self.start >= 0):
            raise InputError(f"--start {self.start:g} is not a time in the video; give seconds from 0 on.")
        if self.end is not None and not self.end > self.start:
            raise InputError(f"--end {self.end:g} is not after --start {self.start:g}; give seconds, the end later.")


@dataclass(frozen=True)
class VideoInfo:
    """What is delivered: size of the displayed picture (pixels), frames a second, and how many frames to expect."""

    path: Path
    width: int
    height: int
    frame_rate: float
    frame_count: int


@dataclass(frozen=True)
class Frame:
    """One picture: its place among those delivered and in the file, and its time (seconds from the first frame)."""

    index: int
    source: int
    time: float
    rgb: Rgb


Picture = tuple[int, Callable[[], Rgb]]
"""Place in the file, and what turns that picture into pixels when it is wanted."""


class FrameSource(ABC):
    """Pictures with their times; `frames` may be called again and gives the same each time.

    `notes` gathers, while frames are read, what the user should hear of: damaged frames, an early end.
    """

    def __init__(self, path: Path, width: int, height: int, times: Float[np.ndarray, "picture"], options: FrameOptions):
        """Plan which of the pictures at `times` (seconds, rising) are delivered; raises InputError when none is."""
        self.notes: list[str] = []
        self._times = times
        self._plan = _choose(path, times, options)
        chosen = times[self._plan]
        rate = _mean_rate(chosen, _mean_rate(times, options.picture_rate))
        if options.fps is not None and options.fps > 1.01 * rate:
            self._note(f"--fps {options.fps:g} is more than the video has; its own {rate:.4g} a second are used.")
        if options.fps is not None and abs(rate / options.fps - 1) < 0.02:  # the rest is rounding to whole frames
            rate = options.fps
        self.info = VideoInfo(path, width, height, rate, len(self._plan))

    @abstractmethod
    def _pictures(self, first: int) -> Iterator[Picture]:
        """Pictures in order of time that can be read, from place `first` in the file on (earlier ones may come too)."""

    def frames(self, first: int = 0) -> Iterator[Frame]:
        """Deliver the planned frames from number `first` on, holding one at a time.

        Where pictures are damaged, the next good one stands in for each, so numbers and times stay what was planned.
        """
        position = first
        if position >= len(self._plan):
            return
        for source, to_rgb in self._pictures(int(self._plan[position])):
            waiting = int(np.searchsorted(self._plan, source, side="right"))
            if waiting <= position:
                continue
            missing = self._plan[position:waiting]
            missing = missing[missing < source]
            if len(missing):
                self._note(f"{_range(missing)} cannot be decoded; the next frame that can stands in.")
            rgb = to_rgb()
            for index in range(position, waiting):
                yield Frame(index, int(self._plan[index]), float(self._times[self._plan[index]]), rgb)
            position = waiting
            if position == len(self._plan):
                return
        self._note(f"{self.info.path.name} ends early: {_range(self._plan[position:])} cannot be decoded.")

    def _note(self, text: str) -> None:
        if text not in self.notes and len(self.notes) < MOST_NOTES:
            self.notes.append(text)


def _choose(path: Path, times: Float[np.ndarray, "picture"], options: FrameOptions) -> Int[np.ndarray, "frame"]:
    """Places of the pictures that are delivered, rising; none twice."""
    length = float(times[-1] + 1.0 / _mean_rate(times, options.picture_rate))
    for name, value in (("start", options.start), ("end", options.end)):
        beyond = 0.0 if name == "start" else 0.5  # players round the length that they show
        if value is not None and value >= length + beyond + 1e-6:
            raise InputError(f"--{name} {value:g} s is beyond the end of {path}, which is {length:.2f} s long.")
    end = min(length, math.inf if options.end is None else options.end)
    inside = np.flatnonzero((times >= options.start - 1e-6) & (times < end - 1e-6))
    if not len(inside):
        raise InputError(f"{path} has no frame between {options.start:g} s and {end:g} s; widen --start and --end.")
    if options.fps is None:
        return inside
    wanted = options.start + np.arange(math.ceil((end - options.start) * options.fps - 1e-6)) / options.fps
    middles = (times[inside][1:] + times[inside][:-1]) / 2
    return np.unique(inside[np.searchsorted(middles, wanted - 1e-9)])


def _mean_rate(times: Float[np.ndarray, "picture"], otherwise: float) -> float:
    """Frames a second over all of `times`."""
    return otherwise if len(times) < 2 else round(float((len(times) - 1) / (times[-1] - times[0])), 6)


def _range(places: Int[np.ndarray, "picture"]) -> str:
    return f"frame {places[0]}" if len(places) == 1 else f"frames {places[0]}-{places[-1]}"
