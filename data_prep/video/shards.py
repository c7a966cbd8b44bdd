"""Per-frame arrays kept on disk in parts, so that a killed run goes on where it stood."""

import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from data_prep.atomic import replacing

PART = 200
"""Frames in a part: what a kill costs at most."""

Arrays = Mapping[str, np.ndarray]


class Shards:
    """Rows of named arrays, one row a frame, in files that are each written whole."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._files = list(self._readable())

    def __len__(self) -> int:
        return sum(int(file.stem.rsplit("-", 1)[1]) for file in self._files)

    @property
    def finished(self) -> bool:
        """Whether every frame of the video is there."""
        return self._end.is_file()

    @property
    def notes(self) -> list[str]:
        """What was noticed on the way."""
        return list(json.loads(self._notes.read_text(encoding="utf-8"))) if self._notes.is_file() else []

    def append(self, rows: Sequence[Arrays], notes: Sequence[str] = ()) -> None:
        """Write the next rows as one part, and what was noticed with them."""
        known = self.notes
        new = [note for note in notes if note not in known]
        if new:
            with replacing(self._notes) as temporary:
                temporary.write_text(json.dumps([*known, *new]), encoding="utf-8")
        if not rows:
            return
        path = self.folder / f"{self.name}-{len(self):07d}-{len(rows)}.npz"
        with replacing(path) as temporary:
            np.savez(temporary, **{key: np.stack([row[key] for row in rows]) for key in rows[0]})
        self._files.append(path)

    def finish(self) -> None:
        """Say that no more rows will come."""
        with replacing(self._end) as temporary:
            temporary.write_text(json.dumps({"frames": len(self)}), encoding="utf-8")

    def read(self) -> dict[str, np.ndarray]:
        """All rows; nothing when there are none."""
        parts = [dict(np.load(file, allow_pickle=False)) for file in self._files]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]} if parts else {}

    @property
    def _end(self) -> Path:
        return self.folder / f"{self.name}.json"

    @property
    def _notes(self) -> Path:
        return self.folder / f"{self.name}.notes.json"

    def _readable(self) -> Iterator[Path]:
        """The parts in order, up to the first that is missing or damaged."""
        found = {}
        for file in self.folder.glob(f"{self.name}-*.npz"):
            match = re.fullmatch(rf"{re.escape(self.name)}-(\d+)-(\d+)", file.stem)
            if match is not None:
                found[int(match[1])] = file
        first = 0
        while first in found and zipfile.is_zipfile(found[first]):
            yield found[first]
            first += int(found[first].stem.rsplit("-", 1)[1])
