"""Files and folders that appear whole or not at all."""

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from body_models.errors import InputError

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}(\.\w+)*")


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary name beside `path`, with its suffix, that takes the place of `path` when the block succeeds.

    Makes the parent folder. The block may create a file or a folder; a folder replaces an older folder whole.
    Raises InputError when the place cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _put_in_place(temporary, path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"Cannot write {path}: {reason}. Choose another place, or make room there.") from error
    finally:
        _remove(temporary)


def check_place(path: Path | str) -> None:
    """Raise InputError, before any work is done, where nothing could be written under that name."""
    path = Path(path)
    above = next((parent for parent in path.absolute().parents if parent.exists()), None)
    if above is None or not above.is_dir():
        raise InputError(f"Cannot write {path}: {above} is a file, not a folder. Choose another place.")
    if not os.access(above, os.W_OK):
        raise InputError(f"Cannot write {path}: {above} is not writable for you. Choose another place.")
    if path.is_dir():
        raise InputError(f"Cannot write {path}: that is a folder. Choose another name.")


def remove_leftovers(folder: Path | str) -> None:
    """Delete the temporary names that a killed run left in a folder and below; nobody else may be writing there."""
    for path in sorted(Path(folder).rglob(".*")):
        if _TEMPORARY.fullmatch(path.name):
            _remove(path)


def _put_in_place(temporary: Path, path: Path) -> None:
    if temporary.is_file():
        with suppress(OSError):  # file systems without permissions
            temporary.chmod(0o666 & ~_umask())  # some writers leave files that only their owner may read
    if not (temporary.is_dir() and path.is_dir()):
        os.replace(temporary, path)
        return
    old = temporary.with_name(temporary.name + ".old")
    os.replace(path, old)
    os.replace(temporary, path)
    shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _remove(path: Path) -> None:
    """Delete what a failed block left behind, without hiding why it failed."""
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
