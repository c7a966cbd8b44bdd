"""Number the shots of a video: a cut changes the layout of the picture and its colours at once."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from data_prep.video.mediapipe_runtime import start_opencv

SIDE = 32
COLOURS = 12
FLAT = 3.0
"""A picture whose grey values vary less (standard deviation, of 255) tells nothing: black, white, covered lens."""
LAYOUT_CUT, COLOUR_CUT = 0.55, 0.1
"""Correlation of two thumbnails below which, with this share of pixels of another colour, there is a cut.

People who move, also at one frame a second, stay above 0.65 and below 0.08 in the videos tried.
"""
UNLIKE = 0.2
"""Correlation of two thumbnails below which there is a cut, whatever the colours."""
SAME_LAYOUT, SAME_COLOUR = 0.85, 0.15
"""How alike a picture must be to the last one of an earlier shot for the camera to have returned."""


@dataclass(frozen=True)
class Signature:
    """A picture's layout and colours, both indifferent to exposure."""

    layout: Float[np.ndarray, "pixel"]
    """Grey thumbnail of zero mean and unit length; zeros when the picture is flat."""
    colours: Float[np.ndarray, "colour"]
    """Histogram of chromaticity, sum one."""

    @property
    def tells(self) -> bool:
        """Whether there is anything in the picture."""
        return bool(self.layout.any())


def signature(rgb: UInt8[np.ndarray, "height width 3"]) -> Signature:
    """Layout and colours of a picture."""
    stride = max(1, min(rgb.shape[:2]) // (8 * SIDE))
    thinned = np.ascontiguousarray(rgb[::stride, ::stride])
    small = start_opencv().resize(thinned, (SIDE, SIDE), interpolation=start_opencv().INTER_AREA).astype(np.float32)
    grey = small.mean(axis=2)
    layout = (grey - grey.mean()).ravel()
    layout = layout / np.linalg.norm(layout) if grey.std() > FLAT else np.zeros_like(layout)
    share = (small + 4) / (small + 4).sum(axis=2, keepdims=True)  # dark pixels have no reliable colour: towards grey
    steps = np.clip(((share[..., :2] - 0.1) / 0.5 * COLOURS).astype(int), 0, COLOURS - 1)
    colours = np.bincount((steps[..., 0] * COLOURS + steps[..., 1]).ravel(), minlength=COLOURS**2) / SIDE**2
    return Signature(layout, _spread(colours))


def _spread(colours: np.ndarray) -> np.ndarray:
    """Share each bin with its neighbours, so that noise at a bin's border does not count as another colour."""
    table = np.pad(colours.reshape(COLOURS, COLOURS), 1)
    rows = table[:-2] * 0.25 + table[1:-1] * 0.5 + table[2:] * 0.25
    spread: np.ndarray = rows[:, :-2] * 0.25 + rows[:, 1:-1] * 0.5 + rows[:, 2:] * 0.25
    return spread.ravel()


def likeness(first: Signature, second: Signature) -> tuple[float, float]:
    """Correlation of the layouts (1 is equal) and share of pixels of another colour (0 is equal)."""
    return float(first.layout @ second.layout), float(np.abs(first.colours - second.colours).sum() / 2)


class ShotCounter:
    """Gives each frame its shot's number; a camera that returns gets its old number back."""

    def __init__(self) -> None:
        self.scene = self._highest = 0
        self.tells = False
        """Whether there was anything to see in the last frame."""
        self._last: dict[int, Signature] = {}

    def __call__(self, rgb: UInt8[np.ndarray, "height width 3"]) -> bool:
        """Look at the next frame; whether it begins another shot than the last one's. Flat frames never do."""
        now = signature(rgb)
        self.tells = now.tells
        if not now.tells:
            return False
        before = self._last.get(self.scene)
        cut = before is not None and is_cut(before, now)
        if cut:
            self.scene = self._returned(now)
        self._last[self.scene] = now
        return cut

    def resume(
        self, scenes: Int[np.ndarray, "frame"], pictures: Mapping[int, UInt8[np.ndarray, "height width 3"]]
    ) -> None:
        """Go on after the frames of these shots, given a late picture of each; a shot without is not found again."""
        self.scene, self._highest = int(scenes[-1]), int(scenes.max())
        seen = {scene: signature(rgb) for scene, rgb in pictures.items()}
        self._last = {scene: one for scene, one in seen.items() if one.tells}

    def _returned(self, now: Signature) -> int:
        """Number of the earlier shot that looks like this frame, or a new one."""
        for scene, seen in self._last.items():
            layout, colour = likeness(seen, now)
            if scene != self.scene and layout > SAME_LAYOUT and colour < SAME_COLOUR:
                return scene
        self._highest += 1
        return self._highest


def is_cut(before: Signature, now: Signature) -> bool:
    """Whether two frames in a row belong to different shots: another layout and other colours, or no likeness left."""
    layout, colour = likeness(before, now)
    return layout < UNLIKE or (layout < LAYOUT_CUT and colour > COLOUR_CUT)
