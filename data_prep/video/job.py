"""The work folder of a preparation: what it was made for, and whether a new run may go on with it."""

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from body_models.errors import InputError
from data_prep.atomic import replacing

WORK = "work"
"""Folder inside the dataset's folder that holds work in progress."""
OURS = ("frames", "masks", WORK, "dataset.json", "tracks.safetensors", "contact_sheet.png", "overlay.mp4")
REPORT = ("summary.html",)


@dataclass(frozen=True)
class Job:
    """What a work folder was made for."""

    source: str
    stamp: tuple[int, int]
    """Size and time of change of the source, so that another video under the same name is noticed."""
    options: dict[str, Any]

    @staticmethod
    def of(source: Path, options: dict[str, Any]) -> "Job":
        """The job of a video or a folder of pictures."""
        stat = source.stat()
        return Job(str(source.absolute()), (stat.st_size, stat.st_mtime_ns), json.loads(json.dumps(options)))

    def stored(self) -> dict[str, Any]:
        """As JSON gives it back."""
        stored: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return stored


def open_work(out: Path, job: Job, resume: bool, overwrite: bool) -> tuple[Path, bool]:
    """The work folder of a job, and whether it holds work of the same job to go on with.

    Interrupted work of another job is cleared away, unless `resume` insists on going on; a finished dataset only when
    `overwrite` says so. Raises InputError otherwise, for a folder that holds anything else than what `avatars prepare`
    writes, and for a place that cannot be written.
    """
    _check_out(out, overwrite)
    work = out / WORK
    record = work / "job.json"
    changed = _differences(record, job)
    if resume and changed:
        raise InputError(
            f"'{out}' cannot be resumed: {changed}. Give the same video and options as before, or leave --resume away "
            "to start anew."
        )
    if not changed:
        return work, True
    _clear(out)
    with replacing(record) as temporary:
        temporary.write_text(json.dumps(job.stored(), indent=1), encoding="utf-8")
    return work, False


def close_work(out: Path) -> None:
    """Remove the work folder of a finished job."""
    shutil.rmtree(out / WORK, ignore_errors=True)


def _check_out(out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"'{out}' is a file; give --out the name of a folder for the dataset.")
    finished = (out / "dataset.json").is_file() and not (out / WORK / "job.json").is_file()
    if finished and not overwrite:
        raise InputError(f"'{out}' holds a finished dataset; name another --out, or add --overwrite to replace it.")
    if out.is_dir():
        foreign = sorted(entry.name for entry in out.iterdir() if entry.name not in (*OURS, *REPORT))
        foreign = [name for name in foreign if not name.startswith(".")]
        if foreign:
            raise InputError(
                f"'{out}' holds other files ('{foreign[0]}'), which would mix with the dataset; name a new folder."
            )


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
    try:
        (out / "dataset.json").unlink(missing_ok=True)
        for name in (*OURS, *REPORT):
            place = out / name
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"Cannot empty '{out}': {error.strerror}. Choose another --out.") from error
