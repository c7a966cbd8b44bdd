"""When the frames of a face capture were taken, and the way to a steady rate."""

import logging
import math
import re

import numpy as np
from jaxtyping import Float

from body_models.errors import InputError
from body_models.motion.arkit_table import Table, squashed
from body_models.motion.npz_files import SAY_RATE

_log = logging.getLogger(__name__)

_COLUMNS = ("timecode", "time", "timestamp", "timems", "timestampms", "times", "timestamps", "seconds", "t", "ms")
_TIMECODE = re.compile(r"(\d+)[:;](\d+)[:;](\d+)[:;](\d+(?:[.,]\d+)?)")
_TIMECODE_BASE = 60
_USUAL_RATE = 60.0
_LONGEST_GAP = 600.0
"""Seconds."""


def frame_times(table: Table) -> Float[np.ndarray, "row"] | None:
    """Seconds from the first frame; None for a file without times.

    Raises InputError, with the line, where the time runs backward or is none.
    """
    column = table.find(*_COLUMNS)
    if column is None:
        return None
    if _TIMECODE.fullmatch(table.rows[0][column].strip()):
        times = _timecode_seconds(table, column)
    else:
        times = table.numbers([column])[:, 0]
        name = squashed(table.columns[column])
        steps = np.diff(times)
        if name.endswith("ms") or "milli" in name or (len(steps) and np.median(steps) > 1.0):
            times = times / 1000
    backward = np.nonzero(np.diff(times) < 0)[0]
    if len(backward):
        line = table.lines[int(backward[0]) + 1]
        raise InputError(f"{table.path}, line {line}: the time runs backward. Sort the frames by time.")
    return times - times[0]


def at_steady_rate(
    table: Table, times: Float[np.ndarray, "row"], values: Float[np.ndarray, "row value"], frame_rate: float | None
) -> tuple[Float[np.ndarray, "frame value"], float]:
    """The values at a steady rate, which is the usual one between the rows unless given.

    Raises InputError for a long gap, with the line after it, and for a rate that no camera has.
    """
    times, first = np.unique(times, return_index=True)
    values = values[first]
    if len(times) == 1:
        return values, _USUAL_RATE if frame_rate is None else frame_rate
    gap = int(np.diff(times).argmax())
    if times[gap + 1] - times[gap] > _LONGEST_GAP:
        line = table.lines[first[gap + 1]]
        raise InputError(f"{table.path}, line {line}: no frame for over {_LONGEST_GAP:g} s before it. Split the file.")
    rate = 1 / float(np.median(np.diff(times)))
    rate = float(round(rate)) if abs(rate - round(rate)) < 0.01 * rate and round(rate) > 0 else rate
    rate = rate if frame_rate is None else frame_rate
    if rate > 1000:
        raise InputError(f"{table.path}: {rate:g} frames per second. Say the rate: {SAY_RATE}.")
    count = int(times[-1] * rate + 0.05) + 1
    steady = np.arange(count) / rate
    if count == len(times) and np.abs(steady - times).max() < 0.05 / rate:
        return values, rate
    _log.info("%s: %d uneven frames resampled to %d at %g a second.", table.path, len(times), count, rate)
    return np.stack([np.interp(steady, times, column) for column in values.T], axis=1), rate


def timecode(seconds: float) -> str:
    """`hours:minutes:seconds:frames.part` as "Live Link Face" counts, sixty frames a second."""
    ticks = round(seconds * _TIMECODE_BASE * 1000)
    frames, part = divmod(ticks, 1000)
    whole, frame = divmod(frames, _TIMECODE_BASE)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}:{frame:02d}.{part:03d}"


def _timecode_seconds(table: Table, column: int) -> Float[np.ndarray, "row"]:
    """Seconds of `hours:minutes:seconds:frames.part`, across midnight too."""
    parts = []
    for row, cells in enumerate(table.rows):
        match = _TIMECODE.fullmatch(cells[column].strip())
        if match is None:
            raise InputError(
                f"{table.path}, line {table.lines[row]}: '{cells[column][:40]}' is no timecode "
                f"(hours:minutes:seconds:frames). Correct or delete the line."
            )
        parts.append([float(part.replace(",", ".")) for part in match.groups()])
    hours, minutes, seconds, frames = np.array(parts).T
    whole = 3600 * hours + 60 * minutes + seconds
    highest = frames.max()
    base = 30.0 if highest < 30 and np.ptp(whole) >= 2 else _TIMECODE_BASE
    parts_per_second = base if highest < base else 10 ** math.ceil(math.log10(highest + 1))  # some write milliseconds
    times = whole + frames / parts_per_second
    return times + 86400 * np.concatenate([[0], np.cumsum(np.diff(times) < -43200)])
