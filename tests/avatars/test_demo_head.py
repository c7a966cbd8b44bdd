"""The head's demo in small, end to end, as `make demo-head` runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pygltflib
import pytest

from avatars.models import load_head

pytest.importorskip("mediapipe")

ROOT = Path(__file__).resolve().parents[2]


def test_quick_demo_of_a_head_makes_everything_it_promises(tmp_path):
    out = tmp_path / "demo"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "scripts/demo_head.py", "--out", str(out), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    promised = [line.split(":", 1)[1].split("(")[0].strip() for line in done.stdout.splitlines()[-5:]]
    assert [Path(name).relative_to(out).as_posix() for name in promised] == [
        "held_out/sheet.png", "tracked/summary.html", "driven.mp4", "head.glb", "head.avatar",
    ]  # fmt: skip
    assert all(Path(name).stat().st_size > 1000 for name in promised)
    assert len(load_head(out / "head.avatar").tracks) < 16  # the film's end is held out
    rigged = pygltflib.GLTF2().load(out / "head.glb")
    assert len(rigged.meshes[0].primitives[0].targets) == 52
    assert [clip.name for clip in rigged.animations] == ["another person"]
