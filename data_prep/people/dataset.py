"""A dataset of many people, each scanned in one pose or more, for learning a prior of them.

Schema, version 1 (metres, Y up; rotations are axis-angle in radians, root first):

    people.json           written last: a folder without it is incomplete
        kind "people", version, units "metres", up "y"
        body_model        family of the body, such as "anny"
        betas             how many of its shape parameters each member has
        joint_names       of the body's bones
        view_size, yaws   side of the normal maps in pixels, and the angle of each view (see `views`)
        members           [{"name", "file"}, ...]; file is relative to the folder
        skipped           [[name, reason], ...]
        notes             [...]
    members/NAME.safetensors  the tensors of `Member`: distances and normals float16, maps uint8, the rest float32
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from body_models.errors import InputError
from data_prep.atomic import replacing
from data_prep.people.member import Member, is_member_file, member_file, read_member
from data_prep.tensor_files import damaged

VERSION = 1
INDEX = "people.json"
FIXED = {"kind": "people", "units": "metres", "up": "y"}
MIN_MEMBERS = 2
AGAIN = "delete the folder and make it again (`avatars dataset people` or `avatars dataset make-people`)"


@dataclass(frozen=True)
class PeopleDataset:
    """Many people on disk; members are read when they are asked for, and kept."""

    folder: Path
    body_model: str
    betas_count: int
    joint_names: tuple[str, ...]
    names: tuple[str, ...]
    """Of the members that can be used."""
    scan_counts: tuple[int, ...]
    """How many scans each of them has."""
    yaws: tuple[float, ...]
    """Angle of each view, radians."""
    view_size: int
    """Side of the normal maps, pixels."""
    skipped: tuple[tuple[str, str], ...] = ()
    """Name, reason: people left out when the dataset was made, then members that cannot be read."""
    notes: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict, repr=False)
    _kept: dict[str, Member] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        """How many members can be used."""
        return len(self.names)

    def member(self, index: int) -> Member:
        """A member by its number; raises InputError when its file was damaged since the dataset was opened."""
        name = self.names[index]
        if name not in self._kept:
            path = self.folder / self.files[name]
            try:
                self._kept[name] = read_member(path, name, self._sizes())
            except InputError as error:
                raise damaged(path, str(error), AGAIN) from error
        return self._kept[name]

    def _sizes(self) -> dict[str, int]:
        return tensor_sizes(self.betas_count, self.joint_names, self.yaws, self.view_size)


def write_people(
    folder: Path | str,
    names: Sequence[str],
    *,
    body_model: str,
    betas_count: int,
    joint_names: Sequence[str],
    yaws: Sequence[float],
    view_size: int,
    skipped: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
) -> None:
    """Write the index of a dataset whose members were written before; from then on the dataset is complete.

    Raises InputError when the place cannot be written, or two members would share a file.
    """
    folder = Path(folder)
    check_names(names)
    index = FIXED | {
        "version": VERSION,
        "body_model": body_model,
        "betas": betas_count,
        "joint_names": list(joint_names),
        "view_size": view_size,
        "yaws": list(yaws),
        "members": [{"name": name, "file": member_file(name)} for name in names],
        "skipped": [list(entry) for entry in skipped],
        "notes": list(notes),
    }
    with replacing(folder / INDEX) as temporary:
        temporary.write_text(json.dumps(index, indent=1, allow_nan=False), encoding="utf-8")


def check_names(names: Sequence[str]) -> None:
    """Raise InputError when two members would share a file, on some systems at least."""
    taken: dict[str, str] = {}
    for name in names:
        other = taken.setdefault(member_file(name).casefold(), name)
        if other is not name:
            raise InputError(f"Two people are called '{other}' and '{name}', too much alike; rename one of them.")


def holds_people(folder: Path | str) -> bool:
    """Whether the folder holds a dataset of many people that was written to its end."""
    return (Path(folder) / INDEX).is_file()


def read_people(folder: Path | str) -> PeopleDataset:
    """Open a dataset of many people; all members are checked, and those that are damaged left out and named.

    Raises InputError when the folder is missing, incomplete, damaged or of a newer version, and when fewer than two
    members can be used.
    """
    folder = Path(folder)
    index = _read_index(folder)
    try:
        members = {str(entry["name"]): str(entry["file"]) for entry in index["members"]}
        skipped = [(str(name), str(reason)) for name, reason in index["skipped"]]
        notes = tuple(str(note) for note in index["notes"])
        body_model, betas_count = str(index["body_model"]), int(index["betas"])
        joint_names = tuple(str(name) for name in index["joint_names"])
        yaws, view_size = tuple(float(yaw) for yaw in index["yaws"]), int(index["view_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder / INDEX, f"it lacks or garbles {error}", AGAIN) from error
    counts = _check_members(folder, members, tensor_sizes(betas_count, joint_names, yaws, view_size), skipped)
    need_many(folder, len(counts), skipped)
    return PeopleDataset(
        folder=folder,
        body_model=body_model,
        betas_count=betas_count,
        joint_names=joint_names,
        names=tuple(counts),
        scan_counts=tuple(counts.values()),
        yaws=yaws,
        view_size=view_size,
        skipped=tuple(skipped),
        notes=notes,
        files={name: members[name] for name in counts},
    )


def tensor_sizes(betas: int, joint_names: tuple[str, ...], yaws: tuple[float, ...], view_size: int) -> dict[str, int]:
    """The sizes that all members of a dataset share, by the names of their dimensions."""
    return {"beta": betas, "bone": len(joint_names), "view": len(yaws), "row": view_size, "column": view_size}


def _check_members(
    folder: Path, members: dict[str, str], sizes: dict[str, int], skipped: list[tuple[str, str]]
) -> dict[str, int]:
    """Names of the members that can be used with their numbers of scans; the others are added to the skipped."""
    counts = {}
    for name, file in members.items():
        try:
            if not is_member_file(file):
                raise InputError(f"its file is said to be {file!r}, outside the folder's members")
            counts[name] = len(read_member(folder / file, name, sizes))
        except InputError as error:
            skipped.append((name, str(error)))
    return counts


def need_many(folder: Path, count: int, skipped: list[tuple[str, str]]) -> None:
    """Raise InputError when so few people can be used that there is nothing to learn."""
    if count >= MIN_MEMBERS:
        return
    reasons = "".join(f"\n  {name}: {reason}" for name, reason in skipped[:5])
    more = f"\n  and {len(skipped) - 5} more" if len(skipped) > 5 else ""
    raise InputError(
        f"{folder} holds {count} usable {'person' if count == 1 else 'people'}, but a prior learns what differs "
        f"between people: it needs {MIN_MEMBERS} at least, and some hundreds to be good. Make many with "
        f"`avatars dataset make-people --out FOLDER --count 300`, or read scans of many people with "
        f"`avatars dataset people SOURCE --out FOLDER`.{' Left out:' if reasons else ''}{reasons}{more}"
    )


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    if not folder.is_dir():
        raise InputError(
            f"No dataset folder at {folder}; make one with `avatars dataset make-people --out {folder}`, or from "
            f"scans of many people with `avatars dataset people SOURCE --out {folder}`."
        )
    if not path.is_file() and (folder / "members").is_dir():
        raise InputError(
            f"The dataset in {folder} was not written to its end (no {INDEX}); type the command that made it again, "
            "which goes on where it stopped."
        )
    if not path.is_file():
        raise InputError(
            f"{folder} holds no dataset of people (no {INDEX}); read scans of many people with "
            f"`avatars dataset people {folder} --out FOLDER`."
        )
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, str(error), AGAIN) from error
    version = index.get("version") if isinstance(index, dict) else None
    if not isinstance(version, int) or version < 1:
        raise damaged(path, "it names no version", AGAIN)
    if version > VERSION:
        raise InputError(
            f"{path} is of version {version}, newer than this program's {VERSION}; "
            f"run `pip install --upgrade animatable-avatars`, or {AGAIN}."
        )
    for key, value in FIXED.items():
        if index.get(key) != value:
            raise damaged(path, f"its {key} is {index.get(key)!r} instead of {value!r}", AGAIN)
    return index
