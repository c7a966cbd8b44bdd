"""Write files so that they are complete or not there."""

import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from body_models.errors import InputError


def write_whole(path: Path, content: str | bytes) -> None:
    """Write text (UTF-8) or bytes to a temporary name beside the target, then move it there.

    Raises InputError when the folder cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({error.strerror}). Choose a folder that exists.") from error


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a compressed `.npz` in the same way."""
    archive = io.BytesIO()
    np.savez_compressed(archive, **arrays)
    write_whole(path, archive.getvalue())
