"""Time forward search against SNARF's as published: `python scripts/bench_search.py [--large] [--device cuda]`.

(a) is the published algorithm in plain torch (`published_snarf.py`): an MLP's skinning weights, fitted to the free body
first (once a seed, kept among the temporary files). (b) is ours: the fused kernel on the same MLP's log-weights,
sampled on a grid. The sampling is done once a person and not counted; the coarse table, made once a pose, is. Prints
Markdown.
"""

import argparse
import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from bench_training import training_table
from measuring import median_seconds, prepare, table, verdict
from published_snarf import PublishedSkinning, fitted_weights, published_search
from search_cases import Case, coarse_evaluations, published_case, rig_case
from search_quality import quality

from avatars.deform.roots import SearchOptions
from body_models import load_anny

SETTINGS = {
    "(b) default": SearchOptions(),
    "(b) 12 starts, any influence": SearchOptions(start_bones=12, least_influence=0),
    "(b) 24 starts, any influence": SearchOptions(start_bones=24, least_influence=0),
}
H200_BYTES = 4.8e12
"""Memory bandwidth of an H200 (bytes/s)."""
FETCH = 8 * 48
"""Bytes that one evaluation of the coarse table reads: eight corners of a 3x4 transform."""


def main() -> None:
    """Measure and print."""
    arguments = parse()
    print(prepare(arguments.threads, arguments.seed, arguments.device) + "\n")
    case = published_case(arguments)
    print("## Search of the same points, 24 bones\n")
    bars = comparison(case, arguments)
    print("## Sizes and bones\n")
    bars += sizes(arguments)
    print("## Training step\n")
    bars += training_table(arguments)
    print("## Bars\n")
    print(table(["what", "bar", "measured", "met"], [[*bar[:3], verdict(bar[3])] for bar in bars]))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="points of (b)")
    parser.add_argument("--large", action="store_true", help="10 million points too")
    parser.add_argument("--baseline-points", type=int, default=10_000, help="points of (a), which is slow")
    parser.add_argument("--rigs", nargs="+", default=["compact", "hands", "full"], help="24, 52 and 104 bones")
    parser.add_argument("--spacing", type=float, default=0.025, help="of the grid that samples the MLP (metres)")
    parser.add_argument("--fit-steps", type=int, default=1200, help="steps that fit the MLP to the body, cached")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("Error: --device cuda was asked for, but torch sees no CUDA device. Use --device cpu.")
    return arguments


def comparison(case: Case, arguments: argparse.Namespace) -> list[tuple[str, str, str, bool]]:
    """(a) and (b) on the same points: speed, and which of (a)'s roots (b) finds."""
    weights = fitted_weights(load_anny().body(), arguments.seed, arguments.fit_steps).to(arguments.device)
    field = PublishedSkinning(weights, case.bones[0])
    count = len(case.posed)
    seconds, rows = {}, []
    for name, exact in (("(a) exact first Jacobian", True), ("(a) blended first Jacobian", False)):
        seconds[name] = median_seconds(partial(published_search, field, case.posed, exact), arguments.repeats)
        share = published_search(field, case.posed, exact)[1].any(1).float().mean().item()
        rows.append([name, f"{count / seconds[name]:,.0f}", "", f"{100 * share:.2f} %", *[""] * 6])
    reference = published_search(field, case.posed)
    found = {}
    for name, options in SETTINGS.items():
        seconds[name] = median_seconds(partial(case.search, options), arguments.repeats)
        found[name] = quality(case, field, reference, options)
        rate = seconds["(a) exact first Jacobian"] / seconds[name]
        rows.append([name, f"{count / seconds[name]:,.0f}", f"{rate:.0f}", *found[name].cells()])
    heads = ["run", "points/s", "x (a)", "points with a root", "roots a point", "(a)'s roots found within 1 mm"]
    heads += [
        "of these det J > 0",
        "det J > 0, near the surface",
        "largest residual (m)",
        "99 % residual in (a)'s field",
    ]
    print(table(heads, rows))
    best, rate = found["(b) default"], seconds["(a) exact first Jacobian"] / seconds["(b) default"]
    print(f"(a) found {best.reference} distinct roots in the grid's box, {best.proper} with det J > 0.\n")
    return [
        ("search, times (a)", ">= 80", f"{rate:.0f}", rate >= 80),
        ("(a)'s roots found, all", ">= 99.5 %", f"{100 * best.every:.2f} %", best.every >= 0.995),
        ("the same, only those with det J > 0", ">= 99.5 %", f"{100 * best.upright:.2f} %", best.upright >= 0.995),
        ("largest posed residual", "<= 1e-5 m", f"{best.residual:.3e} m", best.residual <= 1e-5),
    ]


def sizes(arguments: argparse.Namespace) -> list[tuple[str, str, str, bool]]:
    """(b) with more points and more bones, on the body's own weights; points are the same for all rigs."""
    counts = [*arguments.sizes, *([10_000_000] if arguments.large else [])]
    rows, bars, million = [], [], 0.0
    seconds: dict[tuple[str, int], float] = {}
    for count in counts:
        for rig in arguments.rigs:
            case = rig_case(rig, count, arguments)
            repeats = arguments.repeats if count <= 1_000_000 else 1
            seconds[rig, count] = taken = median_seconds(partial(case.search, SearchOptions()), repeats)
            ratio = taken / seconds[arguments.rigs[0], count]
            starts = case.mean_starts(SearchOptions())
            added, whole = peak_memory(case, arguments)
            if count == 1_000_000:
                million = max(million, added)
            row = [case.bones.shape[1], f"{count:,}", f"{1000 * taken:,.0f}", f"{count / taken:,.0f}", f"{starts:.2f}"]
            row += [f"{count * starts / taken / 1e6:.2f}", f"{ratio:.2f}", f"{added:.2f}", f"{whole:.2f}"]
            if arguments.device.startswith("cuda"):
                evaluations = coarse_evaluations(case, SearchOptions())
                row.append(f"{100 * evaluations * count * FETCH / taken / H200_BYTES:.1f} %")
            rows.append(row)
    heads = ["bones", "points", "ms", "points/s", "starts a point", "million point-starts/s", "x fewest bones"]
    heads += ["memory added, at most (GB)", "whole process (GB)"]
    heads += ["of 4.8 TB/s"] if arguments.device.startswith("cuda") else []
    print(table(heads, rows))
    if "full" in arguments.rigs and "compact" in arguments.rigs:
        for count in counts:
            ratio = seconds["full", count] / seconds["compact", count]
            bars.append((f"104 against 24 bones, {count:,} points", "<= 1.5", f"{ratio:.2f}", ratio <= 1.5))
    if million:
        bars.append(("memory for 1e6 points", "<= 1 GB", f"{million:.2f} GB", million <= 1))
    if arguments.device.startswith("cuda"):
        best = max(float(str(row[5])) for row in rows if row[0] == 24)
        bars.append(("million point-starts/s, 24 bones", ">= 100", f"{best:.0f}", best >= 100))
    return bars


def peak_memory(case: Case, arguments: argparse.Namespace) -> tuple[float, float]:
    """Memory that a search adds to a fresh process, and that of the whole process (GB)."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(measure_memory, case, arguments).result()


def measure_memory(case: Case, arguments: argparse.Namespace) -> tuple[float, float]:
    """Memory of this process, which does nothing else: added by the search at most, and whole at its peak (GB).

    What it held at its peak less what it holds before the search, so no earlier peak can hide the search's; on a GPU,
    what is added is the GPU's.
    """
    prepare(arguments.threads, arguments.seed, arguments.device)
    Case(case.posed[:1000], case.frame[:1000], case.field).search(SearchOptions())
    if arguments.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        case.search(SearchOptions())
        return (torch.cuda.max_memory_allocated() - held) / 1e9, peak()
    held_now = resident()
    case.search(SearchOptions())
    return peak() - held_now, peak()


def resident() -> float:
    """Memory that this process holds (GB); its peak where the system does not tell."""
    return _told("VmRSS")


def peak() -> float:
    """Most memory that this process has held (GB)."""
    return _told("VmHWM")


def _told(entry: str) -> float:
    """What Linux tells; `ru_maxrss` would start from the parent's peak there."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith(entry + ":"):
                return int(line.split()[1]) * 1024 / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


if __name__ == "__main__":
    main()
