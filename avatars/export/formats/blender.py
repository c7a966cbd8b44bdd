"""Blender as a program without a window, for files that only it can write."""

import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from body_models import InputError

LONGEST = 600.0
"""Seconds after which Blender is taken to hang."""


def blender_program() -> str:
    """Where Blender is; raises InputError when it is not installed."""
    program = shutil.which("blender")
    if program is None:
        raise InputError(
            "Blender is not installed: there is no 'blender' on the PATH. Install it (blender.org, or "
            "`sudo apt install blender python3-numpy`), or write a .glb, which Blender, Unity and Unreal read as well."
        )
    return program


def run_in_blender(script: Path, *arguments: str) -> str:
    """Run a script by Blender's own Python and give what it printed.

    The script finds after `--` in `sys.argv` the folder of our NumPy, for Blenders that come without one, and then the
    arguments. Raises InputError when Blender is missing, fails or hangs.
    """
    numpy = find_spec("numpy")
    assert numpy is not None
    assert numpy.origin is not None
    packages = str(Path(numpy.origin).parents[1])
    options = ["--background", "--factory-startup", "--python-exit-code", "3", "--python", str(script)]
    command = [blender_program(), *options, "--", packages, *arguments]
    with tempfile.TemporaryDirectory() as folder:  # Blender's own would stay behind when it is killed
        places = os.environ | dict.fromkeys(("TMPDIR", "TMP", "TEMP"), folder)
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=LONGEST, check=False, errors="replace", env=places
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(f"Blender did not do its work: {error}. Does `blender --version` run?") from error
    if done.returncode != 0:
        raise InputError(f"Blender failed: {_reason(done.stdout + done.stderr)}")
    return done.stdout


def _reason(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if "Error" in line and "script failed" not in line]
    if any("numpy" in line for line in lines):
        return "its Python has no NumPy. Install it for Blender (Debian: `sudo apt install python3-numpy`)."
    return (lines or said.splitlines() or ["it said nothing."])[-1]
