"""Where tests find the optional real inputs: a `shared/data` folder beside the project."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared(name: str) -> Path:
    """Path of one shared input, or skip the calling test when the folder is not there."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"real input '{name}' not found beside the project (looked in ../shared/data)")
    return path
