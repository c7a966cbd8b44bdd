"""The work folder of a preparation: what it was made for, and whether a new run may go on with it."""

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from body_models.errors import InputError
from data_prep.atomic import remove_leftovers, replacing

WORK = "work"
"""Folder inside the dataset's folder that holds work in progress."""
OURS = ("frames", "masks", WORK, "dataset.json", "tracks.safetensors", "contact_sheet.png", "overlay.mp4")
REPORT = ("summary.html",)


@dataclass(frozen=True)
class Job:
    """What a work folder was made for."""

    source: str
    stamp: tuple[int, ...]
    """Sizes and times of change of all input, so that another video under the same name is noticed."""
    options: dict[str, Any]

    @staticmethod
    def of(source: Path, options: dict[str, Any]) -> "Job":
        """The job of a video or a folder of pictures."""
        stamps = [_stamp(path) for path in (source, *_own_input(options))]
        return Job(str(source.absolute()), sum(stamps, ()), json.loads(json.dumps(options)))

    def stored(self) -> dict[str, Any]:
        """As JSON gives it back."""
        stored: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return stored


def open_work(out: Path, job: Job, resume: bool, overwrite: bool) -> tuple[Path, bool]:
    """The work folder of a job, and whether it holds work of the same job to go on with.

    Interrupted work of another job is cleared away, unless `resume` insists on going on; a finished dataset only when
    `overwrite` says so. Raises InputError otherwise, for a folder that holds anything else than what `avatars prepare`
    writes, for input inside it, and for a place that cannot be written.
    """
    _check_out(out, overwrite)
    _check_input(out, job)
    work = out / WORK
    record = work / "job.json"
    changed = _differences(record, job)
    if resume and changed:
        raise InputError(
            f"'{out}' cannot be resumed: {changed}. Give the same video and options as before, or leave --resume away "
            "to start anew."
        )
    if not changed:
        remove_leftovers(out)
        return work, True
    _write_record(record, {})  # so that the folder is known to be ours if clearing it is interrupted
    _clear(out)
    _write_record(record, job.stored())
    return work, False


def close_work(out: Path) -> None:
    """Remove the work folder of a finished job."""
    shutil.rmtree(out / WORK, ignore_errors=True)


def _check_out(out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"'{out}' is a file; give --out the name of a folder for the dataset.")
    index, record = out / "dataset.json", out / WORK / "job.json"
    if index.is_file() and not record.is_file() and not overwrite:
        raise InputError(f"'{out}' holds a finished dataset; name another --out, or add --overwrite to replace it.")
    if out.is_dir():
        ours = (*OURS, *REPORT) if index.is_file() or record.is_file() else ()
        foreign = sorted(entry.name for entry in out.iterdir() if entry.name not in ours)
        foreign = [name for name in foreign if not name.startswith(".")]
        if foreign:
            raise InputError(
                f"'{out}' holds other files ('{foreign[0]}'), which would mix with the dataset; name a new folder."
            )


def _check_input(out: Path, job: Job) -> None:
    for path in (Path(job.source), *_own_input(job.options)):
        if path.resolve().is_relative_to(out.resolve()):
            raise InputError(f"'{path}' is inside '{out}', which is emptied for the dataset; name another --out.")


def _own_input(options: dict[str, Any]) -> list[Path]:
    """Files and folders that the user brings besides the video."""
    return [Path(options[name]) for name in ("landmarks", "masks") if options.get(name) is not None]


def _stamp(path: Path) -> tuple[int, ...]:
    """Number, sizes and latest time of change of a file, or of the files in a folder; raises InputError for neither."""
    try:
        files = [file.stat() for file in path.iterdir() if file.is_file()] if path.is_dir() else [path.stat()]
    except OSError as error:
        raise InputError(f"Cannot read '{path}': {error.strerror}. Check the name.") from error
    times = [file.st_mtime_ns for file in files]
    return len(files), sum(file.st_size for file in files), max(times, default=0)


def _write_record(record: Path, values: dict[str, Any]) -> None:
    with replacing(record) as temporary:
        temporary.write_text(json.dumps(values, indent=1), encoding="utf-8")


def _differences(record: Path, job: Job) -> str:
    """In words, what keeps the recorded job from being this one; nothing when it is."""
    try:
        before = json.loads(record.read_text(encoding="utf-8"))
        if before == job.stored():
            return ""
        if (before["source"], before["stamp"]) != (job.source, list(job.stamp)):
            return f"it was made from {before['source']}, which is another video or has changed"
        changed = [name for name, value in job.options.items() if before["options"].get(name) != value]
        return "it was made with other options (" + ", ".join(f"--{name.replace('_', '-')}" for name in changed) + ")"
    except FileNotFoundError:
        return "there is no interrupted work in it"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"its record cannot be read ({error})"


def _clear(out: Path) -> None:
    """Remove what an earlier run left; its dataset.json first, so that what remains is no dataset."""
    work = out / WORK
    inside = [entry for entry in work.iterdir() if entry.name != "job.json"]
    others = [out / name for name in (*OURS, *REPORT) if name != WORK]
    try:
        for place in (out / "dataset.json", *others, *inside):
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"Cannot empty '{out}': {error.strerror}. Choose another --out.") from error
