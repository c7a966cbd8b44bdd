"""Say in plain English what is wrong with which frames, what was done about it and what the user can do."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool

from data_prep.video.face_points import LEFT_BROW, LEFT_EYE, LIPS, RIGHT_BROW, RIGHT_EYE
from data_prep.video.quality import FrameQuality

MERGE = 5
"""Ranges of frames that are no further apart are told as one."""
LINES = 10
"""Ranges told for one trouble; further ones are counted."""
REGIONS: dict[str, tuple[int, ...]] = {
    "mouth": LIPS,
    "nose": (1, 4, 5, 195, 2, 98, 327),
    "chin": (152, 148, 377, 176, 400, 175, 199, 171, 396),
    "left jaw": (288, 397, 365, 379, 378, 394, 364),
    "right jaw": (58, 172, 136, 150, 149, 169, 135),
    "left cheek": (425, 280, 330, 266, 411, 376, 352),
    "right cheek": (205, 50, 101, 36, 187, 147, 123),
    "left eye": LEFT_EYE + LEFT_BROW,
    "right eye": RIGHT_EYE + RIGHT_BROW,
    "forehead": (10, 151, 9, 108, 337, 67, 297, 69, 299),
}
"""Parts of the face, left and right as the person's."""
PART_COVERED = 0.3
"""Share of a part's points under a hand for the part to be named."""


def advice(quality: FrameQuality, sources: Sequence[int]) -> list[str]:
    """One line for each range of frames with the same trouble, in the video's order; `sources` are their numbers."""
    lines: list[tuple[int, str]] = []
    for name, tell in _TELL.items():
        found = ranges(quality.flags[name])
        for part in found[:LINES]:
            frames = part[quality.flags[name][part]]
            lines.append((int(part[0]), f"{_numbers(part, sources)}: {tell(quality, frames)}"))
        if len(found) > LINES:
            lines.append((int(found[LINES][0]), f"{_numbers(found[LINES], sources)} and {_later(found)}: the same"))
    return [line for _, line in sorted(lines, key=lambda line: line[0])]


def ranges(flagged: Bool[np.ndarray, "frame"]) -> list[np.ndarray]:
    """Ranges of frames that are flagged, short gaps among them."""
    frames = np.flatnonzero(flagged)
    if not len(frames):
        return []
    parts = np.split(frames, np.flatnonzero(np.diff(frames) > MERGE + 1) + 1)
    return [np.arange(part[0], part[-1] + 1) for part in parts]


def covered_parts(covered: Bool[np.ndarray, "frame 478"]) -> str:
    """The parts of the face that lie under a hand in one of the frames, in words."""
    named = [name for name, points in REGIONS.items() if (covered[:, list(points)].mean(axis=1) >= PART_COVERED).any()]
    for part in ("eye", "cheek", "jaw"):
        if {f"left {part}", f"right {part}"} <= set(named):
            named[named.index(f"left {part}")] = f"{part}s" if part != "jaw" else "jaw"
            named.remove(f"right {part}")
    if not named:
        return "edge of the face"
    return named[0] if len(named) == 1 else ", ".join(named[:-1]) + " and " + named[-1]


def _numbers(frames: np.ndarray, sources: Sequence[int]) -> str:
    first, last = sources[int(frames[0])], sources[int(frames[-1])]
    return f"frame {first}" if first == last else f"frames {first}-{last}"


def _later(found: list[np.ndarray]) -> str:
    count = len(found) - LINES - 1
    return f"{count} later range{'' if count == 1 else 's'}" if count else "none later"


def _outcome(quality: FrameQuality, frames: np.ndarray, kept: str) -> str:
    """What was done: left out, or `kept` for frames that are used."""
    out = int((~quality.use[frames]).sum())
    if out == len(frames):
        return "left out"
    return kept if out == 0 else f"{out} of {len(frames)} left out, in the others {kept}"


def _no_face(quality: FrameQuality, frames: np.ndarray) -> str:
    return "no face found; left out. If there is one: more light, nearer to the camera, hair and hands off the face"


def _hand(quality: FrameQuality, frames: np.ndarray) -> str:
    parts = covered_parts(quality.covered[frames])
    return f"a hand covers the {parts}; {_outcome(quality, frames, 'the covered points are not used')}"


def _blur(quality: FrameQuality, frames: np.ndarray) -> str:
    outcome = _outcome(quality, frames, "the points count half")
    return f"blurred; {outcome}. Slower movements or more light give sharper frames"


def _out_of_frame(quality: FrameQuality, frames: np.ndarray) -> str:
    return "the face reaches out of the picture; left out. Film from further away, or follow the head"


def _profile(quality: FrameQuality, frames: np.ndarray) -> str:
    outcome = _outcome(quality, frames, "the far half of the face counts little")
    return f"the head is turned far to the side; {outcome}"


def _dark(quality: FrameQuality, frames: np.ndarray) -> str:
    return f"the face is dark; {_outcome(quality, frames, 'used')}. Its colours will be noisy: film with more light"


def _other_shot(quality: FrameQuality, frames: np.ndarray) -> str:
    return "another shot than the main one; left out. To use this one, name its seconds with --start and --end"


def _small_face(quality: FrameQuality, frames: np.ndarray) -> str:
    outcome = _outcome(quality, frames, "used")
    return f"the face is very small; {outcome}. Little detail can be learned: film nearer or at a higher resolution"


def _two_faces(quality: FrameQuality, frames: np.ndarray) -> str:
    places = quality.face_places[frames]
    if not np.isfinite(places).any():
        return "another face than the one followed; left out. To follow it, name its seconds with --start and --end"
    place = float(np.nanmedian(places))
    side = "on the left" if place < 0.4 else "on the right" if place > 0.6 else "in the middle"
    return (
        f"more than one face; the one {side} of the picture is followed. "
        "If it is the wrong one, cut the picture or the time (--start, --end) to the right one"
    )


_TELL: dict[str, Callable[[FrameQuality, np.ndarray], str]] = {
    "no_face": _no_face,
    "hand": _hand,
    "blur": _blur,
    "out_of_frame": _out_of_frame,
    "profile": _profile,
    "dark": _dark,
    "other_shot": _other_shot,
    "small_face": _small_face,
    "two_faces": _two_faces,
}
