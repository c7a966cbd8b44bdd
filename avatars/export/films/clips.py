"""How a motion is filmed, and which part of it."""

import math
from dataclasses import dataclass, field

from avatars.export.films.views import View
from body_models import InputError, Motion


@dataclass(frozen=True)
class VideoOptions:
    """How a motion is filmed."""

    fps: float | int = 30.0
    """Frames a second."""
    size: int = 512
    """Height and width of the picture (pixels); of a head's the longer side."""
    turntable: bool = False
    """The camera circles the person once; before a head it swings to both sides."""
    exact: bool = False
    """Each frame's surface by root finding: seconds a frame, free of skinning's flaws."""
    start: float | int = 0.0
    """Second of the motion at which the video starts."""
    end: float | int | None = None
    """Second at which it ends; the motion's own end if not given."""
    resolution: int = 192
    """Cells along the longest side when the surface is extracted."""
    supersampling: int = 2
    """Rays along each side of a pixel; 1 is faster, 2 has smooth edges."""
    view: View = field(default_factory=View)
    """From where the camera looks."""
    colours: bool = True
    """Show a body's colours where it has some; otherwise clay."""

    def __post_init__(self) -> None:
        if not 1 <= self.fps <= 240:
            raise InputError(f"{self.fps} frames a second is not usable; use 1 to 240.")
        check_size(self.size)
        check_span(self.start, self.end)
        if self.view.degrees is not None and not self.turntable:
            raise InputError("How many degrees the camera goes around is for a turntable: add --turntable.")


def check_size(size: int) -> None:
    """Raise InputError for a picture that is too small to see anything, or too large to make."""
    if not 32 <= size <= 4096:
        raise InputError(f"A picture of {size} pixels is not in 32 to 4096.")


def check_span(start: float | int, end: float | int | None) -> None:
    """Raise InputError for a part of a motion that ends before it starts, or whose seconds are no numbers."""
    if not 0 <= start < math.inf or (end is not None and not start < end):
        raise InputError(
            f"Nothing lies from second {start:g} to {end}; the end must come after the start, the start at 0 or later."
        )


def cut_clip(clip: Motion, start: float | int, end: float | int | None) -> Motion:
    """The part of a clip between two seconds; raises InputError when there is none."""
    check_span(start, end)
    first = round(start * clip.frame_rate)
    last = len(clip) if end is None or end > clip.duration else round(end * clip.frame_rate) + 1
    if first >= len(clip):
        raise InputError(f"Nothing is left from second {start:g} on: motion '{clip.name}' lasts {clip.duration:.2f} s.")
    return clip.cut(first, max(last, first + 1))
