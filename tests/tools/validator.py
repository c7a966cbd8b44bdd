"""Khronos' glTF validator, from npm."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def node_package(name: str) -> Path:
    """Folder of an installed npm package, or skip the calling test when it is not there."""
    folder = HERE / "node_modules" / name
    if not folder.is_dir():
        pytest.skip(f"npm package '{name}' is not installed; type: make tools")
    return folder


def validator_messages(path: Path) -> dict:
    """What the validator says of a .glb or .gltf: `numErrors`, `numWarnings`, `numInfos`, `numHints`, `messages`.

    Skips the calling test where node or the validator is missing.
    """
    node_package("gltf-validator")
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: install Node.js, then type: make tools")
    command = [node, str(HERE / "validate.mjs"), str(Path(path).resolve())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"the validator could not read {path}: {done.stderr[-2000:]}"
    return json.loads(done.stdout)["issues"]
