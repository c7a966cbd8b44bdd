"""The hierarchy of a BVH file: joints, offsets and channels, and errors that name the line."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from body_models.errors import InputError

_CHANNEL = re.compile(r"([xyz])(position|rotation)", re.IGNORECASE)


@dataclass
class Joint:
    """What the hierarchy says of a joint, in the file's frame and unit."""

    name: str
    parent: int
    offset: tuple[float, ...] | None = None
    channels: tuple[tuple[int, str], ...] = ()
    """Axis and kind of each channel, in the file's order."""
    end_sites: list[tuple[float, ...]] = field(default_factory=list)


def parse_hierarchy(path: Path, lines: list[str]) -> tuple[list[Joint], int]:
    """The joints, parents first, and the index of the line that says MOTION."""
    joints: list[Joint] = []
    stack: list[int] = []  # open joints; -1 stands for an end site
    opening: int | None = None
    statement = "HIERARCHY"
    for number, statement in _statements(lines):
        words = statement.split()
        keyword = words[0].upper()
        if opening is not None and keyword != "{":
            raise broken_line(path, number, f"expected '{{', found '{statement}'")
        if keyword == "HIERARCHY" and not joints:
            continue
        if keyword == "MOTION":
            _check_complete(path, number, joints, stack)
            return joints, number - 1
        if keyword in ("ROOT", "JOINT", "END"):
            opening = _open_joint(path, number, keyword, " ".join(words[1:]), joints, stack)
        elif keyword == "{" and opening is not None:
            stack.append(opening)
            opening = None
        elif keyword == "}" and stack:
            stack.pop()
        elif keyword == "OFFSET" and stack:
            _set_offset(joints, stack, parse_numbers(path, number, words[1:], 3))
        elif keyword == "CHANNELS" and stack and stack[-1] >= 0:
            joints[stack[-1]].channels = _channels(path, number, words[1:])
        else:
            raise broken_line(path, number, f"'{statement[:60]}' does not belong here")
    what = "is empty or no BVH file" if not joints else "ends before its MOTION part: it looks truncated"
    raise InputError(f"{path}: the file {what} (line {len(lines)}). A BVH file starts with HIERARCHY.")


def _statements(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Line number and text of each statement; braces stand alone even when written on a joint's line."""
    for number, line in enumerate(lines, start=1):
        for part in re.split(r"([{}])", line) if "{" in line or "}" in line else (line,):
            if part.strip():
                yield number, part.strip()


def _open_joint(path: Path, number: int, keyword: str, name: str, joints: list[Joint], stack: list[int]) -> int:
    if keyword == "END" and stack and stack[-1] >= 0:
        return -1
    if keyword == "ROOT" and joints:
        raise broken_line(path, number, f"a second root '{name}'; only one person a file can be read")
    if keyword == "ROOT" or (keyword == "JOINT" and stack and stack[-1] >= 0):
        if not name or any(joint.name == name for joint in joints):
            raise broken_line(path, number, f"joint name '{name}' is empty or used twice")
        joints.append(Joint(name, stack[-1] if stack else -1))
        return len(joints) - 1
    raise broken_line(path, number, f"'{keyword} {name}' stands outside of a joint")


def _set_offset(joints: list[Joint], stack: list[int], offset: tuple[float, ...]) -> None:
    if stack[-1] >= 0:
        joints[stack[-1]].offset = offset
    else:
        joints[stack[-2]].end_sites.append(offset)


def _channels(path: Path, number: int, words: list[str]) -> tuple[tuple[int, str], ...]:
    matches = [_CHANNEL.fullmatch(word) for word in words[1:]]
    if not words or not words[0].isdigit() or int(words[0]) != len(matches) or None in matches:
        raise broken_line(path, number, f"'CHANNELS {' '.join(words)}' is not a count and as many channel names")
    return tuple(("xyz".index(m[1].lower()), m[2].lower()) for m in matches if m is not None)


def _check_complete(path: Path, number: int, joints: list[Joint], stack: list[int]) -> None:
    if not joints or stack:
        raise broken_line(path, number, "the MOTION part starts before the hierarchy is closed by '}'")
    for joint in joints:
        if joint.offset is None:
            raise broken_line(path, number, f"joint '{joint.name}' has no OFFSET")
    if not any(joint.channels for joint in joints):
        raise broken_line(path, number, "no joint has any CHANNELS")


def parse_numbers(path: Path, number: int, words: list[str], count: int) -> tuple[float, ...]:
    """So many finite numbers; raises InputError that names the line."""
    try:
        values = tuple(float(word) for word in words)
    except ValueError:
        values = ()
    if len(values) != count or not all(math.isfinite(value) for value in values):
        raise broken_line(path, number, f"expected {count} finite number(s), found '{' '.join(words)[:60]}'")
    return values


def broken_line(path: Path, number: int, what: str) -> InputError:
    """The error for a line that is wrong."""
    return InputError(f"{path}, line {number}: {what}. Export the clip again, or correct that line.")
