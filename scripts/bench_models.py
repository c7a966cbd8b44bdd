"""Time posing of SMPL-size bodies against the `smplx` package: `python scripts/bench_models.py [--bodies 1024]`.

The body is random, of SMPL's sizes (6,890 vertices, 24 joints, 10 betas, 207 pose correctives), so no licensed file is
needed; `smplx` comes with `pip install smplx` (its own licence). All three runs take turns in one process, without
gradients, and give the same vertices. Prints a Markdown table.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from body_models.licensed.assemble import assemble, to_tensors
from body_models.names import SMPL_SKELETON

VERTICES, FACES, SHAPES = 6890, 13776, 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bodies", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    arrays = random_smpl(arguments.seed)
    model = assemble(to_tensors(arrays, "smpl", "random"), "smpl", "random")
    theirs = smplx_model(arrays, arguments.bodies)
    betas = torch.randn(arguments.bodies, SHAPES)
    values = {
        "global_orient": torch.randn(arguments.bodies, 3),
        "body_pose": 0.3 * torch.randn(arguments.bodies, 69),
        "transl": torch.randn(arguments.bodies, 3),
    }
    body, pose = model.body(betas[0]), model.pose(values)
    runs: dict[str, Callable[[], Tensor]] = {
        "smplx forward": lambda: theirs(betas=betas, **values).vertices,
        "ours, forward": lambda: model.posed({"betas": betas, **values}).vertices,
        "ours, one identity prepared": lambda: body.pose_vertices(pose, values["transl"]),
    }
    with torch.no_grad():
        same = theirs(betas=betas[:1].expand(arguments.bodies, -1), **values).vertices
        difference = max(
            (runs["smplx forward"]() - runs["ours, forward"]()).abs().max().item(),
            (same - runs["ours, one identity prepared"]()).abs().max().item(),
        )
        del same
        seconds = timed(runs, arguments.rounds)
    print(
        f"{processor()}, {os.cpu_count()} cores, torch {torch.__version__} on {arguments.threads} threads, float32, "
        f"seed {arguments.seed}; {arguments.bodies} bodies, best of {arguments.rounds} rounds; "
        f"largest difference {difference:.1e} m\n"
    )
    print("| run | ms | times as fast as smplx |\n|---|---|---|")
    for name, taken in seconds.items():
        print(f"| {name} | {1000 * taken:.1f} | {seconds['smplx forward'] / taken:.2f} |")


def timed(runs: dict[str, Callable[[], Tensor]], rounds: int) -> dict[str, float]:
    """Shortest seconds of each run, what it takes on a machine with nothing else to do; they take turns.

    One round goes before that does not count.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - started)
    return {name: min(values[1:]) for name, values in taken.items()}


def random_smpl(seed: int) -> dict[str, np.ndarray]:
    """Arrays of SMPL's layout: random bases, up to four bones a vertex."""
    random = np.random.default_rng(seed)
    parents = np.array(SMPL_SKELETON.parents)
    return {
        "v_template": 0.3 * random.standard_normal((VERTICES, 3)),
        "f": random.integers(0, VERTICES, (FACES, 3)),
        "weights": sparse_rows(random, VERTICES, len(parents)),
        "J_regressor": sparse_rows(random, len(parents), VERTICES),
        "kintree_table": np.stack([parents, np.arange(len(parents))]),
        "shapedirs": 0.005 * random.standard_normal((VERTICES, 3, SHAPES)),
        "posedirs": 0.002 * random.standard_normal((VERTICES, 3, 9 * (len(parents) - 1))),
    }


def sparse_rows(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Rows with up to four positive entries that sum to one."""
    result = np.zeros((rows, columns))
    np.put_along_axis(result, random.integers(0, columns, (rows, 4)), random.random((rows, 4)) + 0.05, axis=1)
    return result / result.sum(1, keepdims=True)


def smplx_model(arrays: dict[str, np.ndarray], bodies: int) -> torch.nn.Module:
    """The smplx package's SMPL of the same arrays."""
    try:
        import smplx
        from smplx.utils import Struct
    except ImportError:
        sys.exit("This comparison needs the smplx package: type `pip install smplx`.")
    with tempfile.TemporaryDirectory() as folder:
        return smplx.SMPL(folder, data_struct=Struct(**arrays), batch_size=bodies)


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
