"""The demo in small, end to end, as `make demo` runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pygltflib
import trimesh

from avatars.models import load

ROOT = Path(__file__).resolve().parents[2]


def test_quick_demo_makes_everything_it_promises(tmp_path):
    out = tmp_path / "demo"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "scripts/demo.py", "--out", str(out), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert all(str(out / name) in done.stdout.split("Report:")[-1] for name in ("report.html", "avatar.glb"))
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 2
    assert "data:video/mp4;base64," in page
    assert "nan" not in page.split("<table>", 1)[1].split("</table>", 1)[0]
    assert len(load(out / "person.avatar").poses) == 4
    assert all(len(trimesh.load(out / name, force="mesh").faces) > 1000 for name in ("pose.ply", "walking.glb"))
    rigged = pygltflib.GLTF2().load(out / "avatar.glb")
    assert [clip.name for clip in rigged.animations] == ["walk"]
    assert len(rigged.skins) == 1
    assert rigged.images
    assert "In other programs" in page
    assert "4,000</td>" in page
