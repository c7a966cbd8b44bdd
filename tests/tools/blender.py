"""Blender without a window: what it makes of a file, and where it puts the vertices."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float

from avatars.export.formats.blender import run_in_blender

SCRIPT = Path(__file__).with_name("blender_script.py")


@dataclass(frozen=True)
class InBlender:
    """A file as Blender holds it after import."""

    counts: dict
    """See `counts` in blender_script.py."""
    posed: Float[np.ndarray, "time vertex 3"]
    """World positions in the order of the file, metres, Y up."""


def in_blender(
    path: Path,
    times: Sequence[float] = (),
    clip: str = "",
    frame_rate: float = 24.0,
    open_sliders: bool = False,
) -> InBlender:
    """Import a GLB or FBX and pose it at some times of a clip, the first one if none is named (seconds).

    `open_sliders` lets weights of shape keys leave 0 to 1, where Blender stops them as it imports them. Skips the
    calling test where Blender is missing.
    """
    if shutil.which("blender") is None:
        pytest.skip("Blender is not installed (no 'blender' on the PATH)")
    wish = {"times": list(times), "clip": clip, "frame_rate": frame_rate, "open_sliders": open_sliders}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.npz"
        run_in_blender(SCRIPT, str(Path(path).resolve()), str(out), json.dumps(wish))
        with np.load(out) as arrays:
            return InBlender(json.loads(bytes(arrays["counts"])), arrays["posed"])
