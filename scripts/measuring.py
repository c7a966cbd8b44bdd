"""What the benchmarks share: the conditions of a measurement, medians of times, tables."""

import os
import platform
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

import torch
import warp

from data_prep.warp_runtime import start_warp

QUIET = 0.5
"""Above this load average (of one minute) something else is running."""


def prepare(threads: int, seed: int, device: str = "cpu") -> str:
    """Set threads (0: one a core) and seed; the conditions in one line, with a warning when the machine is busy."""
    load = os.getloadavg()[0]
    torch.set_num_threads(threads or os.cpu_count() or 1)
    torch.manual_seed(seed)
    start_warp()
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else processor()
    line = (
        f"{name}, {os.cpu_count()} cores ({torch.get_num_threads()} threads), Python {platform.python_version()}, "
        f"torch {torch.__version__}, warp {warp.config.version}, seed {seed}, load average {load:.2f} before the start"
    )
    if load > QUIET:
        line += f"\nWARNING: the load was above {QUIET}: something else was running, and these times are too long."
    return line


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def median_seconds(run: Callable[[], object], repeats: int) -> float:
    """Median time of a call, after one that does not count; waits for the GPU where there is one."""
    taken = []
    for _ in range(repeats + 1):
        _wait()
        started = time.perf_counter()
        run()
        _wait()
        taken.append(time.perf_counter() - started)
    return median(taken[1:])


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def verdict(met: bool) -> str:
    """Whether a bar is met, for a table."""
    return "yes" if met else "**no**"
