"""The rows of a CSV of facial actions, whichever app wrote it, with the line that each stands on."""

import csv
import logging
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from body_models.errors import InputError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Table:
    """A CSV file's cells, with the line that each row stands on."""

    path: Path
    columns: list[str]
    rows: list[list[str]]
    lines: list[int]

    def find(self, *keys: str) -> int | None:
        """The column of one of these names, whatever their spelling."""
        names = [squashed(column) for column in self.columns]
        return next((names.index(key) for key in keys if key in names), None)

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


def whole_table(path: Path) -> Table:
    """Header and all rows of a file; raises InputError for one that cannot be read or is no text."""
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
    return Table(path, [cell.strip() for cell in cells[0]], cells[1:], lines[1:])


def _face_cap_table(path: Path, cells: list[list[str]], lines: list[int]) -> Table:
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
    return Table(path, ["time_ms", *(name.strip() for name in names)], rows, [line for line, _ in frames])


def without_lost_frames(table: Table) -> Table:
    """Leave out rows without a face: a count of zero, or nothing but a time.

    Raises InputError when none is left, and for a row of another length than the header's, with its line.
    """
    if not table.rows:
        raise InputError(f"{table.path}: no frames below the header. Record or export the clip again.")
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
    return Table(table.path, table.columns, [table.rows[row] for row in kept], [table.lines[row] for row in kept])


def squashed(name: str) -> str:
    """A column's name in lower case, letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
