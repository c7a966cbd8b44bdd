"""Measure the whole path on real scans: `python scripts/bench_scans.py DATA_FOLDER [--test 4 7 9 11]`.

Gives no poses: the raw meshes `pose_*.ply` go through the command line as a user's would, the held-out ones only
into the evaluation. Prints a Markdown table with times, sizes, memory and quality.
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from avatars.fit import evaluate
from avatars.models import Avatar, load


def main() -> None:
    """Fit, evaluate on unseen poses, mesh."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--test", type=int, nargs="+", default=[4, 7, 9, 11], help="numbers of the held-out scans")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    scans = sorted(arguments.folder.glob("pose_*.ply"))
    with tempfile.TemporaryDirectory() as name:
        train, test = Path(name, "train"), Path(name, "test")
        for number, scan in enumerate(scans):
            side = test if number in arguments.test else train
            side.mkdir(exist_ok=True)
            (side / scan.name).symlink_to(scan.resolve())
        file = Path(name, "person.avatar")
        seconds = fit(train, file, arguments.seed)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
        avatar = load(file)
        found = evaluate(avatar, test, seed=arguments.seed, quiet=True)
        rows = [
            ("unseen poses, raw scans: IoU box", f"{found.iou_box:.4f}"),
            ("unseen poses, raw scans: IoU surface", f"{found.iou_surface:.4f}"),
            ("unseen poses, raw scans: Chamfer", f"{found.chamfer_mm:.2f} mm"),
            ("unseen poses, raw scans: normal consistency", f"{found.normal_consistency:.3f}"),
            ("scans in, avatar file out", f"{seconds:.0f} s"),
            ("peak memory of the fit", f"{peak:.2f} GB"),
            ("avatar file", f"{file.stat().st_size / 1e6:.1f} MB"),
            ("posed mesh at 256^3, root finding", f"{mesh_seconds(avatar, exact=True):.2f} s"),
            ("posed mesh at 256^3, canonical mesh + skinning", f"{mesh_seconds(avatar, exact=False):.3f} s"),
        ]
    print(f"{processor()}, {os.cpu_count()} cores, torch {torch.__version__}, seed {arguments.seed}\n")
    print(found.table() + "\n")
    print("| what | measured |\n|---|---|")
    print("\n".join(f"| {what} | {value} |" for what, value in rows))


def fit(train: Path, file: Path, seed: int) -> float:
    """Seconds that the command line takes from scans to the avatar file."""
    command = [sys.executable, "-m", "avatars", "fit-scans", str(train), "--out", str(file), "--seed", str(seed)]
    started = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started


def mesh_seconds(avatar: Avatar, exact: bool) -> float:
    """Median seconds for a posed mesh, the canonical one already extracted."""
    times = []
    for index in range(min(3, len(avatar.poses))):
        avatar.body(192), avatar.body(256)
        started = time.perf_counter()
        avatar.training_pose(index).mesh(256, exact=exact)
        times.append(time.perf_counter() - started)
    return sorted(times)[len(times) // 2]


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
