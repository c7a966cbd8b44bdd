"""Time whole fits and measure them on unseen poses: `python scripts/bench_fit.py [--scans FOLDER --test 4 7 9 11]`.

First the demo's clothed sequence, whose exact poses are given; then, with `--scans`, the raw meshes `pose_*.ply` of a
folder without poses. Both go through the command line as a user's would; the held-out scans only into the evaluation.
Prints Markdown tables with times, sizes, memory and quality.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import median_seconds, prepare, table
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from avatars.fit import evaluate
from avatars.models import Avatar, load
from body_models import load_anny
from data_prep.synthetic import SyntheticOptions, write_sequence


def main() -> None:
    """Fit and evaluate each sequence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=Path, help="folder with raw scans pose_*.ply")
    parser.add_argument("--test", type=int, nargs="+", default=[4, 7, 9, 11], help="numbers of the held-out scans")
    parser.add_argument("--no-synthetic", action="store_true", help="leave the synthetic sequence out")
    parser.add_argument("--frames", type=int, nargs=2, default=[12, 5], help="synthetic scans to fit and to test")
    parser.add_argument("--steps", type=int, help="steps of the fit; the preset's by default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0, help="of the evaluation, 0: one a core")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(prepare(arguments.threads, arguments.seed) + "\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not arguments.no_synthetic:
            train, test = arguments.frames
            write_sequence(folder / "synthetic", load_anny(), SyntheticOptions(arguments.seed, train, test))
            measure("synthetic clothed person, exact poses", folder / "synthetic", True, arguments)
        if arguments.scans:
            split(arguments.scans, folder / "scans", arguments.test)
            measure(f"raw scans of {arguments.scans.name}", folder / "scans", False, arguments)


def split(scans: Path, folder: Path, held_out: list[int]) -> None:
    """Links to the scans in `train/` and `test/`."""
    found = sorted(scans.glob("pose_*.ply"))
    if not found:
        sys.exit(f"Error: '{scans}' holds no pose_*.ply. Give the folder of the scans.")
    for number, scan in enumerate(found):
        side = folder / ("test" if number in held_out else "train")
        side.mkdir(parents=True, exist_ok=True)
        (side / scan.name).symlink_to(scan.resolve())


def measure(title: str, folder: Path, given: bool, arguments: argparse.Namespace) -> None:
    """Fit to `train/`, compare with `test/`, print."""
    file = folder / "person.avatar"
    train, test = folder / "train", folder / "test"
    seconds = fit(train, file, given, arguments)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    avatar = load(file)
    found = evaluate(avatar, test, poses=test / "poses.npz" if given else None, seed=arguments.seed, quiet=True)
    rows = [
        ("scans in, avatar file out", f"{seconds:.0f} s"),
        ("a step of the fit", f"{1000 * step_seconds(file.with_name(file.name + '.work')):.0f} ms"),
        ("unseen poses: IoU box", f"{found.iou_box:.4f}"),
        ("unseen poses: IoU surface", f"{found.iou_surface:.4f}"),
        ("unseen poses: Chamfer", f"{found.chamfer_mm:.2f} mm"),
        ("unseen poses: normal consistency", f"{found.normal_consistency:.3f}"),
        ("peak memory of the fits so far", f"{peak:.2f} GB"),
        ("avatar file", f"{file.stat().st_size / 1e6:.1f} MB"),
        ("posed mesh at 256³, root finding", f"{mesh_seconds(avatar, exact=True):.2f} s"),
        ("posed mesh at 256³, canonical mesh + skinning", f"{mesh_seconds(avatar, exact=False):.3f} s"),
    ]
    print(f"## {title}\n\n{found.table()}\n\n{table(['what', 'measured'], rows)}")


def fit(train: Path, file: Path, given: bool, arguments: argparse.Namespace) -> float:
    """Seconds that the command line takes from scans to the avatar file."""
    command = [sys.executable, "-m", "avatars", "fit-scans", str(train), "--out", str(file)]
    command += ["--seed", str(arguments.seed), "--device", arguments.device]
    command += ["--poses", str(train / "poses.npz")] if given else []
    command += ["--steps", str(arguments.steps)] if arguments.steps else []
    started = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started


def step_seconds(work: Path) -> float:
    """Mean seconds of a step, from the times in the fit's curves; NaN for a fit too short for two points."""
    curves = EventAccumulator(str(work / "curves"))
    curves.Reload()
    points = curves.Scalars("loss/occupancy")
    if len(points) < 2:
        return float("nan")
    return (points[-1].wall_time - points[0].wall_time) / (points[-1].step - points[0].step)


def mesh_seconds(avatar: Avatar, exact: bool) -> float:
    """Median seconds for a posed mesh, the canonical one already extracted."""
    posed = avatar.training_pose(0)
    return median_seconds(lambda: posed.mesh(256, exact=exact), 3)


if __name__ == "__main__":
    main()
