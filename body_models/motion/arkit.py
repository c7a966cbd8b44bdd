"""ARKit facial actions as CSV, the format of the phone capture apps.

Angles of head and eyes come as yaw, pitch and roll. Signs follow from ARKit's face frame, which is ours (x to the
person's left, y up, z ahead), by way of Unreal's, for a capture that is not mirrored: yaw turns about +y (to the
person's left), pitch about +x (down), roll about +z, roll first. The unit is documented nowhere: importers in use take
radians, and so do we, or degrees where a number exceeds a full turn. An early Unreal plugin wrote half turns (-1 to 1);
such files look like small radians and turn the head too little.
"""

import csv
import difflib
import logging
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.motion.faces import head_joints, match_expressions, unmatched_expressions
from body_models.motion.motion import Motion
from body_models.names import ARKIT_EXPRESSIONS, HEAD_SKELETON

_log = logging.getLogger(__name__)

_USUAL_RATE = 60.0
_ANGLES = tuple(f"{part}{turn}" for part in ("Head", "LeftEye", "RightEye") for turn in ("Yaw", "Pitch", "Roll"))
_JOINT_OF_PART = ("neck", "left_eye", "right_eye")
_TIME_COLUMNS = ("timecode", "time", "timestamp", "timems", "timestampms", "times", "timestamps", "seconds", "t", "ms")
_TIMECODE = re.compile(r"(\d+)[:;](\d+)[:;](\d+)[:;](\d+(?:[.,]\d+)?)")
_OPTIONAL = ("tongueOut",)
"""Left out by older phones."""
_LONGEST_GAP = 600.0
_TIMECODE_BASE = 60


@dataclass(frozen=True)
class _Table:
    """A CSV file's cells, with the line that each row stands on."""

    path: Path
    columns: list[str]
    rows: list[list[str]]
    lines: list[int]

    def find(self, *keys: str) -> int | None:
        """The column of one of these names, whatever their spelling."""
        squashed = [_squash(column) for column in self.columns]
        return next((squashed.index(key) for key in keys if key in squashed), None)

    def numbers(self, columns: list[int]) -> Float[np.ndarray, "row column"]:
        """The numbers in some columns; raises InputError that names line and column."""
        return np.array([[self._number(row, column) for column in columns] for row in range(len(self.rows))])

    def _number(self, row: int, column: int) -> float:
        text = self.rows[row][column].strip().replace(",", ".")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(
                f"{self.path}, line {self.lines[row]}: '{text[:40]}' under '{self.columns[column]}' is no finite "
                f"number. Correct or delete the line."
            )
        return value


def load_arkit(path: str | Path, frame_rate: float | None = None) -> Motion:
    """Read the 52 facial actions and the turns of head and eyes as a head's motion at a steady rate.

    Understands the CSV of "Live Link Face", the text of "Face Cap" (actions only) and any table (comma, semicolon,
    tab) with ARKit's names in any order and spelling. Times are timecodes, seconds or milliseconds; `frame_rate`
    replaces the rate found in them, and a file without times is taken at it. Frames where the face was lost are filled
    in between. Raises InputError with the line or column.
    """
    path = Path(path)
    if frame_rate is not None and not 0 < frame_rate < math.inf:
        raise InputError(f"{path}: a frame rate of {frame_rate} is not possible; give a number above zero.")
    table = _without_lost_frames(_read_table(path))
    actions = _action_values(table)
    angles = np.unwrap(_angle_values(table), axis=0)
    values = np.concatenate([actions, angles], axis=1)
    times = _times(table)
    if times is None:
        if frame_rate is None:
            raise InputError(f"{path}: no column of times. Say the rate: load_motion(path, frame_rate=60.0).")
        rate = frame_rate
    else:
        values, rate = _at_steady_rate(table, times, values, frame_rate)
    steady = torch.from_numpy(values)
    rotations = torch.zeros(len(steady), len(HEAD_SKELETON), 3)
    for part, joint in enumerate(_JOINT_OF_PART):
        start = len(ARKIT_EXPRESSIONS) + 3 * part
        turn = roma.euler_to_rotvec("YXZ", steady[:, start : start + 3])
        rotations[:, HEAD_SKELETON.index(joint)] = turn.float()
    return Motion(
        name=path.stem,
        skeleton=HEAD_SKELETON,
        rest_joints=head_joints(),
        rotations=rotations,
        translations=torch.zeros(len(steady), 3),
        frame_rate=rate,
        expression=steady[:, : len(ARKIT_EXPRESSIONS)].float(),
        expression_names=ARKIT_EXPRESSIONS,
    )


def write_arkit(path: str | Path, motion: Motion) -> None:
    """Write named actions and the turns of head and eyes as "Live Link Face" does; the file is complete or not there.

    Root and neck together are the head's turn; jaw turns and translation have no place in the format. Raises InputError
    for another skeleton, unnamed expressions, another suffix, or a folder that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".csv":
        raise InputError(f"{path}: facial actions are written as .csv; change the file's suffix.")
    if motion.skeleton != HEAD_SKELETON or motion.expression is None or not motion.expression_names:
        raise InputError(
            f"Motion '{motion.name}' has no named facial actions of a head; write it as .npz instead of {path}."
        )
    actions = motion.expression @ match_expressions(motion.expression_names, ARKIT_EXPRESSIONS).to(motion.expression)
    values = torch.cat([actions, _angles_of(motion)], dim=1).tolist()
    names = [name[0].upper() + name[1:] for name in ARKIT_EXPRESSIONS]
    lines = [",".join(["Timecode", "BlendshapeCount", *names, *_ANGLES])]
    for frame, row in enumerate(values):
        numbers = [f"{value:.8g}" for value in row]
        lines.append(",".join([_timecode(frame / motion.frame_rate), str(len(row)), *numbers]))
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text("\n".join(lines) + "\n")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({error.strerror}). Choose a folder that exists.") from error


def _read_table(path: Path) -> _Table:
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    numbered = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if "\0" in text or not numbered:
        raise InputError(
            f"{path}: {'empty' if not text.strip() else 'not a text file'}; expected a CSV of facial actions."
        )
    head = numbered[min(1, len(numbered) - 1)][1] if numbered[0][1].startswith("info") else numbered[0][1]
    delimiter = max((",", ";", "\t"), key=head.count)
    try:
        cells = list(csv.reader([line for _, line in numbered], delimiter=delimiter))
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV of facial actions ({error}). Export it again.") from error
    lines = [number for number, _ in numbered]
    if cells[0][0].strip() in ("info", "bs"):
        return _face_cap_table(path, cells, lines)
    table = _Table(path, [cell.strip() for cell in cells[0]], cells[1:], lines[1:])
    if not table.rows:
        raise InputError(f"{path}: no frames below the header. Record or export the clip again.")
    return table


def _face_cap_table(path: Path, cells: list[list[str]], lines: list[int]) -> _Table:
    """Face Cap: a row `bs` of names, then rows `k` of milliseconds, head and eyes, and a number for each name."""
    names = next((row[1:] for row in cells if row[0].strip() == "bs"), [])
    frames = [(line, row) for line, row in zip(lines, cells, strict=True) if row[0].strip() == "k"]
    if not names or not frames:
        raise InputError(f"{path}: {len(names)} names on the 'bs' line and {len(frames)} 'k' frames; need both.")
    for line, row in frames:
        if len(row) < len(names) + 2:
            raise InputError(f"{path}, line {line}: {len(row)} cells, too few for {len(names)} actions. Delete it.")
    _log.info("%s: Face Cap's head and eye numbers are left out; its actions are read.", path)
    rows = [[row[1], *row[-len(names) :]] for _, row in frames]
    return _Table(path, ["time_ms", *(name.strip() for name in names)], rows, [line for line, _ in frames])


def _without_lost_frames(table: _Table) -> _Table:
    """Leave out rows without a face: a count of zero, or nothing but a time."""
    count = table.find("blendshapecount")
    kept = []
    for row, cells in enumerate(table.rows):
        filled = [cell for column, cell in enumerate(cells) if cell.strip() and column != count]
        lost = len(filled) <= 1 or (count is not None and len(cells) > count and cells[count].strip() == "0")
        if lost:
            continue
        if len(cells) != len(table.columns):
            raise InputError(
                f"{table.path}, line {table.lines[row]}: {len(cells)} cells, but the header has {len(table.columns)} "
                f"columns. Correct or delete the line."
            )
        kept.append(row)
    if not kept:
        raise InputError(f"{table.path}: no frame in which a face was seen. Record or export the clip again.")
    if len(kept) < len(table.rows):
        _log.info("%s: the face was lost in %d frames.", table.path, len(table.rows) - len(kept))
    return _Table(table.path, table.columns, [table.rows[row] for row in kept], [table.lines[row] for row in kept])


def _action_values(table: _Table) -> Float[np.ndarray, "row action"]:
    matrix = match_expressions(table.columns, ARKIT_EXPRESSIONS)
    found = dict(zip(ARKIT_EXPRESSIONS, matrix.any(0).tolist(), strict=True))
    missing = [name for name, there in found.items() if not there and name not in _OPTIONAL]
    if missing:
        raise InputError(_missing_text(table, missing))
    doubled = [name for name, total in zip(ARKIT_EXPRESSIONS, matrix.sum(0).tolist(), strict=True) if total > 1]
    if doubled:
        raise InputError(f"{table.path}: more than one column for {', '.join(doubled)}; delete all but one of each.")
    columns = torch.nonzero(matrix.any(1))[:, 0].tolist()
    return table.numbers(columns) @ matrix[columns].double().numpy()


def _missing_text(table: _Table, missing: list[str]) -> str:
    if len(missing) > len(ARKIT_EXPRESSIONS) // 2:
        seen = ", ".join(table.columns[:6])
        return (
            f"{table.path}: not a CSV of facial actions: {len(missing)} of the 52 columns (eyeBlinkLeft, jawOpen, ...) "
            f"are missing from its first line, which has {len(table.columns)} columns: {seen[:120]}."
        )
    unused = {column.lower(): column for column in unmatched_expressions(table.columns, ARKIT_EXPRESSIONS)}
    hints = []
    for name in missing:
        near = difflib.get_close_matches(name.lower(), unused, n=1, cutoff=0.75)
        hints.append(f"{name} (is '{unused[near[0]]}' meant for it?)" if near else name)
    return f"{table.path}: no column for {', '.join(hints)}. Rename the columns, or add them with zeros."


def _angle_values(table: _Table) -> Float[np.ndarray, "row angle"]:
    """Yaw, pitch and roll of head and both eyes in radians; zero where the file has none."""
    columns = [table.find(name.lower()) for name in _ANGLES]
    angles = np.zeros((len(table.rows), len(_ANGLES)))
    there = [place for place, column in enumerate(columns) if column is not None]
    angles[:, there] = table.numbers([column for column in columns if column is not None])
    if np.abs(angles).max() > 2 * math.pi:
        _log.info("%s: angles of head and eyes are taken as degrees.", table.path)
        return np.deg2rad(angles)
    return angles


def _times(table: _Table) -> Float[np.ndarray, "row"] | None:
    """Seconds from the first frame; None for a file without times."""
    column = table.find(*_TIME_COLUMNS)
    if column is None:
        return None
    if _TIMECODE.fullmatch(table.rows[0][column].strip()):
        times = _timecode_seconds(table, column)
    else:
        times = table.numbers([column])[:, 0]
        name = _squash(table.columns[column])
        steps = np.diff(times)
        if name.endswith("ms") or "milli" in name or (len(steps) and np.median(steps) > 1.0):
            times = times / 1000
    backward = np.nonzero(np.diff(times) < 0)[0]
    if len(backward):
        line = table.lines[int(backward[0]) + 1]
        raise InputError(f"{table.path}, line {line}: the time runs backward. Sort the frames by time.")
    return times - times[0]


def _timecode_seconds(table: _Table, column: int) -> Float[np.ndarray, "row"]:
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


def _at_steady_rate(
    table: _Table, times: Float[np.ndarray, "row"], values: Float[np.ndarray, "row value"], frame_rate: float | None
) -> tuple[Float[np.ndarray, "frame value"], float]:
    """The values at a steady rate, which is the usual one between the rows unless given."""
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
        raise InputError(f"{table.path}: {rate:g} frames per second. Say the rate: load_motion(path, frame_rate=60.0).")
    count = int(times[-1] * rate + 0.05) + 1
    steady = np.arange(count) / rate
    if count == len(times) and np.abs(steady - times).max() < 0.05 / rate:
        return values, rate
    _log.info("%s: %d uneven frames resampled to %d at %g a second.", table.path, len(times), count, rate)
    return np.stack([np.interp(steady, times, column) for column in values.T], axis=1), rate


def _angles_of(motion: Motion) -> Float[Tensor, "frame angle"]:
    turns = [roma.rotvec_to_unitquat(motion.rotations[:, HEAD_SKELETON.index(joint)]) for joint in _JOINT_OF_PART]
    turns[0] = roma.quat_product(roma.rotvec_to_unitquat(motion.rotations[:, 0]), turns[0])
    return torch.cat([roma.unitquat_to_euler("YXZ", turn) for turn in turns], dim=1)


def _timecode(seconds: float) -> str:
    ticks = round(seconds * _TIMECODE_BASE * 1000)
    frames, part = divmod(ticks, 1000)
    whole, frame = divmod(frames, _TIMECODE_BASE)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}:{frame:02d}.{part:03d}"


def _squash(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
