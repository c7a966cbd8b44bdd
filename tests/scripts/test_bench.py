"""Each benchmark in small, as a user types it: it runs, and its figures are numbers."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _run(*words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *words, "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "seed 0" in done.stdout
    return done.stdout


def test_search():
    small = ["--sizes", "600", "--baseline-points", "300", "--fit-steps", "20", "--repeats", "1", "--spacing", "0.06"]
    printed = _run("scripts/bench_search.py", *small, "--rigs", "compact")
    assert all(what in printed for what in ("(a) exact", "(b) default", "(b) fast preset", "| 24 | 600 |"))
    assert "nan" not in printed


def test_mesh():
    small = ["--resolution", "48", "--poses", "1", "--repeats", "1", "--sample", "50", "--fit-steps", "20"]
    printed = _run("scripts/bench_mesh.py", *small)
    assert "Published search alone" in printed
    assert "nan" not in printed


def test_fit():
    printed = _run("scripts/bench_fit.py", "--frames", "2", "1", "--steps", "12", "--device", "cpu")
    assert "synthetic clothed person" in printed
    assert "unseen poses: IoU box | 0." in printed
    assert "a step of the fit" in printed
