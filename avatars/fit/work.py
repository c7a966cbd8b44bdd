"""The work folder of a fit: what it was made for, and whether a new run may go on with it."""

import dataclasses
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from body_models import InputError
from data_prep.atomic import replacing


@dataclass(frozen=True)
class Job:
    """What a work folder was made for; a resumed run must ask for the same."""

    source: str
    poses: str | None
    preset: str
    seed: int
    steps: int
    unit: str
    up: str
    options: dict[str, Any] = field(default_factory=dict)
    """All settings but the learning rates, which may change when a run is resumed."""


def check_out(out: Path) -> None:
    """Raise InputError when an avatar file cannot be written there."""
    if out.name in ("", "..") or out.is_dir():
        raise InputError(f"'{out}' is a folder. Give the name of the avatar file to write, such as alice.avatar.")
    for parent in out.absolute().parents:
        if parent.exists():
            if not parent.is_dir():
                raise InputError(f"'{out}' cannot be written: '{parent}' is no folder. Choose another `--out`.")
            return


def check_work(work: Path, job: Job, resume: bool) -> bool:
    """Whether to continue the job of the work folder; raises InputError when the folder is another job's or none."""
    record = work / "job.json"
    if resume and record.is_file():
        _check_same(record, job)
        return True
    if work.exists() and not _is_ours(work, record):
        raise InputError(f"'{work}' exists and holds other files. Move it away or choose another `--out`.")
    return False


def start_work(work: Path, job: Job) -> None:
    """A fresh work folder in place of an earlier run's."""
    record = work / "job.json"
    try:
        if work.exists():
            _clear(work, record)
    except OSError as error:
        raise InputError(f"Cannot empty '{work}': {error.strerror}. Choose another `--out`.") from error
    with replacing(record) as temporary:
        temporary.write_text(json.dumps(dataclasses.asdict(job), indent=2), encoding="utf-8")


def _check_same(record: Path, job: Job) -> None:
    again = "Resume with the same ones, or leave `--resume` away to start anew."
    try:
        before = json.loads(record.read_text(encoding="utf-8"))
        changed = [name for name, value in dataclasses.asdict(job).items() if before.get(name) != value]
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(
            f"'{record}' cannot be read ({error}). Leave `--resume` away to start anew, in the same place."
        ) from error
    if "options" in changed and isinstance(before.get("options"), dict):
        changed.remove("options")
        changed += [name for name, value in job.options.items() if before["options"].get(name) != value]
    if changed:
        names = ", ".join(dict.fromkeys(changed))
        raise InputError(f"'{record.parent}' was started with other settings ({names} differ). {again}")


def _is_ours(work: Path, record: Path) -> bool:
    return work.is_dir() and (record.is_file() or all(file.name.startswith(".job.") for file in work.iterdir()))


def _clear(work: Path, record: Path) -> None:
    """Empty the folder of an earlier run, its record last."""
    for entry in sorted(work.iterdir(), key=lambda file: file == record):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
