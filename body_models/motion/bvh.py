"""Reader of BVH motion files: any channel order, any unit of length, any upright axis."""

import logging
import math
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.motion.bvh_hierarchy import Joint, broken_line, parse_hierarchy, parse_numbers
from body_models.motion.frames import upright_frame
from body_models.motion.motion import Motion
from body_models.skeleton import Skeleton

_log = logging.getLogger(__name__)

METRES_PER_UNIT = {
    "metres": 1.0,
    "decimetres": 0.1,
    "centimetres": 0.01,
    "millimetres": 0.001,
    "inches": 0.0254,
    "CMU units": 0.0254 / 0.45,
}
"""Units of length found in BVH files; those of the CMU data base are inches divided by 0.45."""
_TALLEST, _SMALLEST, _USUAL = 2.3, 0.8, 1.65


def load_bvh(path: str | Path, metres_per_unit: float | None = None) -> Motion:
    """Read a BVH file (result in metres, Y up, facing +Z at rest).

    The unit is guessed from the skeleton's height unless given, the frame from the places of feet, head and hips; both
    conversions are logged. Position channels below the root are left out: bones keep their length. Raises InputError,
    with the line where there is one.
    """
    path = Path(path)
    lines = _read_lines(path)
    joints, motion_line = parse_hierarchy(path, lines)
    values, frame_time = _parse_frames(path, lines, motion_line, sum(len(joint.channels) for joint in joints))
    skeleton = Skeleton(tuple(joint.name for joint in joints), tuple(joint.parent for joint in joints))
    rest = _rest_joints(joints)
    quaternions, translations = _apply_channels(joints, values)
    scale = _unit(path, joints, rest) if metres_per_unit is None else metres_per_unit
    ours_from_file = upright_frame(path, skeleton, rest)
    return Motion(
        name=path.stem,
        skeleton=skeleton,
        rest_joints=(scale * rest @ ours_from_file.T).float(),
        rotations=(roma.unitquat_to_rotvec(quaternions) @ ours_from_file.T).float(),
        translations=(scale * translations @ ours_from_file.T).float(),
        frame_rate=_frame_rate(frame_time),
    )


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error


def _parse_frames(
    path: Path, lines: list[str], motion_line: int, channel_count: int
) -> tuple[Float[np.ndarray, "frame channel"], float]:
    """All channel values and the seconds between frames."""
    heads = [i for i in range(motion_line + 1, len(lines)) if lines[i].strip()][:2]
    if len(heads) < 2:
        raise broken_line(path, len(lines), "the file ends before 'Frames:' and 'Frame Time:'; it looks truncated")
    frames = _field(path, heads[0] + 1, lines[heads[0]], "frames:")
    frame_time = _field(path, heads[1] + 1, lines[heads[1]], "frame time:")
    if frames < 1 or frames != int(frames):
        raise broken_line(path, heads[0] + 1, f"{frames:g} frames; a clip needs at least one")
    if frame_time <= 0:
        raise broken_line(path, heads[1] + 1, f"a frame time of {frame_time:g} s is not possible")
    body = lines[heads[1] + 1 :]
    try:
        values = np.array([float(word) for line in body for word in line.split()], dtype=np.float64)
    except ValueError:
        values = np.empty(0)
    if values.size != int(frames) * channel_count or not np.isfinite(values).all():
        raise _broken_frame(path, body, heads[1] + 2, int(frames), channel_count)
    return values.reshape(int(frames), channel_count), frame_time


def _frame_rate(frame_time: float) -> float:
    """Frames per second, whole when the file's rounded seconds allow it (0.008333 means 120)."""
    rate = 1.0 / frame_time
    whole = max(round(rate), 1)
    return float(whole) if abs(rate - whole) < 1e-4 * whole else rate


def _field(path: Path, number: int, line: str, label: str) -> float:
    text = " ".join(line.split())
    if not text.lower().startswith(label):
        raise broken_line(path, number, f"expected '{label}', found '{text[:60]}'")
    return parse_numbers(path, number, text[len(label) :].split(), 1)[0]


def _broken_frame(path: Path, body: list[str], first: int, frames: int, channel_count: int) -> InputError:
    """Find the first line of the motion part that is wrong, for the message."""
    count = 0
    for number, line in enumerate(body, start=first):
        words = line.split()
        try:
            finite = all(math.isfinite(float(word)) for word in words)
        except ValueError:
            return broken_line(path, number, "not all of the frame's values are numbers")
        if not finite:
            return broken_line(path, number, "a value of the frame is not finite")
        if words and len(words) != channel_count:
            return broken_line(path, number, f"{len(words)} values, but the hierarchy has {channel_count} channels")
        count += bool(words)
    last = first + len(body) - 1
    return broken_line(path, last, f"'Frames:' says {frames}, but the file holds {count}; it looks truncated")


def _rest_joints(joints: list[Joint]) -> Float[Tensor, "bone 3"]:
    places: list[np.ndarray] = []
    for joint in joints:
        places.append(np.array(joint.offset) + (places[joint.parent] if joint.parent >= 0 else 0.0))
    return torch.from_numpy(np.stack(places))


def _apply_channels(
    joints: list[Joint], values: Float[np.ndarray, "frame channel"]
) -> tuple[Float[Tensor, "frame bone 4"], Float[Tensor, "frame 3"]]:
    """Local rotations (XYZW) and the root's displacement, in the file's frame and unit."""
    table = torch.from_numpy(values)
    translation = torch.zeros(len(table), 3, dtype=torch.float64)
    turns: list[list[Tensor]] = []  # for each joint, the rotation vectors that follow one another
    column = 0
    for bone, joint in enumerate(joints):
        turns.append([])
        for axis, kind in joint.channels:
            if kind == "rotation":
                turn = torch.zeros(len(table), 3, dtype=torch.float64)
                turn[:, axis] = torch.deg2rad(table[:, column])
                turns[-1].append(turn)
            elif bone == 0:
                translation[:, axis] += table[:, column]
            column += 1
    still = torch.zeros(len(table), 3, dtype=torch.float64)
    depth = max(map(len, turns))
    steps = [torch.stack([t[k] if k < len(t) else still for t in turns], dim=1) for k in range(depth)]
    product = roma.rotvec_to_unitquat(torch.zeros(len(table), len(joints), 3, dtype=torch.float64))
    for step in steps:
        product = roma.quat_product(product, roma.rotvec_to_unitquat(step))
    return product, translation


def _unit(path: Path, joints: list[Joint], rest: Float[Tensor, "bone 3"]) -> float:
    """Metres per unit of the file, so that the skeleton is as tall as a person."""
    ends = [place + place.new_tensor(end) for place, joint in zip(rest, joints, strict=True) for end in joint.end_sites]
    points = torch.cat([rest, torch.stack(ends)]) if ends else rest
    height = float((points.amax(0) - points.amin(0)).max())
    fitting = {name: s for name, s in METRES_PER_UNIT.items() if _SMALLEST <= s * height <= _TALLEST}
    if not fitting:
        raise InputError(
            f"{path}: the skeleton is {height:g} units tall, no person ({_SMALLEST} to {_TALLEST} m) in any of "
            f"{', '.join(METRES_PER_UNIT)}. Say how long a unit is: load_bvh(path, metres_per_unit=...)."
        )
    name = min(fitting, key=lambda key: abs(math.log(fitting[key] * height / _USUAL)))
    _log.info("%s: unit taken as %s (rest pose measures %.2f m)", path, name, fitting[name] * height)
    return fitting[name]
