"""Promises of the installed packages: quick silent import, one version, no public name without an object."""

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("avatars", "body_models", "data_prep", "configs")
HEAVY = ("anny", "warp", "skimage", "tensorboard", "lightning", "lightning_fabric", "trimesh", "av", "scipy")


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)


def test_import_loads_nothing_heavy():
    loaded = _python("import avatars, sys; print(*sys.modules)").stdout.split()
    assert "avatars" in loaded
    assert not set(HEAVY) & set(loaded)


def test_import_prints_nothing():
    done = _python("import avatars")
    assert (done.stdout, done.stderr) == ("", "")


def test_version_matches_the_project_file():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert importlib.import_module("avatars").__version__ == project["version"]


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_exist(package):
    module = importlib.import_module(package)
    names = getattr(module, "__all__", [])
    assert len(names) == len(set(names))
    assert [name for name in names if not hasattr(module, name)] == []


def test_constraints_cover_the_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {name: wanted for name, wanted in project["optional-dependencies"].items() if name != "pytorch3d"}
    wanted = project["dependencies"] + [name for extra in extras.values() for name in extra]  # pytorch3d has no wheels
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").open()}
    assert {re.split("[<>=;]", name)[0].lower().replace("_", "-") for name in wanted} <= pinned
