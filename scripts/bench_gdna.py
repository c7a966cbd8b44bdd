"""How good a prior of people is: `python scripts/bench_gdna.py --people DATASET [--held-out 60] [--prior FILE]`.

DATASET holds many people, the last of whom the prior was not trained on (`avatars train-prior --held-out`). Prints a
Markdown table: how well codes reproduce the people held out; samples of the prior against them, beside bodies without
clothes and codes of noise; pictures of normals against their scans'; times. Compares samples with true surfaces for
synthetic datasets only (`avatars dataset make-people`), whose people it makes again in one pose; with --clouds FILE
these are kept for the next time.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from measuring import median_seconds, prepare, table, verdict
from safetensors.torch import load_file, save_file

from avatars.assess.people_evaluation import (
    NormalPictures,
    Reconstruction,
    drawn_people,
    is_synthetic,
    naked_cloud,
    normal_pictures,
    prior_cloud,
    reconstruct_people,
    true_cloud,
)
from avatars.assess.people_features import normal_statistic
from avatars.assess.people_scores import Cloud, SetScores, compare_sets
from avatars.fit.held_out import HeldOutOptions
from avatars.fit.people_pools import PeoplePools
from avatars.fit.prior import body_model_of
from avatars.models.person import Person
from avatars.models.prior import Prior
from avatars.models.prior_file import load_prior
from body_models import InputError
from data_prep.atomic import replacing
from data_prep.people import PeopleDataset, read_people

PARTS = ("reconstruction", "samples", "normals", "times")
IOU, DEGREES, SECONDS, SHEET_SECONDS = 0.93, 12.0, 5.0, 60.0
"""Bars: overlap, error of normals, time of a mesh, and of a sheet of eight."""
SHEET = 8
Row = tuple[str, str, str, str, str]


@dataclass
class Bench:
    """What is measured, and what was found so far."""

    arguments: argparse.Namespace
    prior: Prior
    coarse_prior: Prior | None
    dataset: PeopleDataset
    rows: list[Row] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    fitted: dict[str, Reconstruction] = field(default_factory=dict)

    @property
    def held_out(self) -> list[int]:
        """Numbers of the people that the prior has not seen."""
        return list(range(len(self.dataset)))[-self.arguments.held_out :]

    @property
    def trained_on(self) -> list[int]:
        """As many of those that it has seen, if there are so many."""
        return list(range(len(self.dataset) - len(self.held_out)))[: len(self.held_out)]

    def add(self, part: str, what: str, figure: str, bar: str = "", met: bool | None = None) -> None:
        """A row of the table."""
        self.rows.append((part, what, figure, bar, "" if met is None else verdict(met)))

    def reconstruction(self, name: str, prior: Prior) -> Reconstruction:
        """The people held out as a prior gives them, found once."""
        if name not in self.fitted:
            told(f"{name}: finding the codes of {len(self.held_out)} people")
            options = HeldOutOptions(steps=self.arguments.steps)
            started = time.perf_counter()
            found = reconstruct_people(prior, self.dataset, self.held_out, options, self.arguments.seed)
            self.figures.setdefault("seconds_of_codes", {})[name] = time.perf_counter() - started
            self.fitted[name] = found
        return self.fitted[name]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=Path, required=True, metavar="DATASET")
    parser.add_argument("--held-out", type=int, default=60, help="the last people, on whom the prior was not trained")
    parser.add_argument("--prior", type=Path, help="default: the one that comes with the package")
    parser.add_argument("--coarse-prior", type=Path, help="one after stage 1 alone, whose normals to compare with too")
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--json", type=Path, metavar="OUT", help="a file for all figures")
    parser.add_argument("--clouds", type=Path, metavar="FILE", help="keep the people made again here")
    parser.add_argument("--assets", type=Path, help="the clothes that the dataset was made with, if any")
    parser.add_argument("--steps", type=int, default=300, help="of fitting codes")
    parser.add_argument("--resolution", type=int, default=128, help="of meshes that points are drawn on, cells")
    parser.add_argument("--cells", type=int, default=192, help="of meshes that views are cast at")
    parser.add_argument("--mesh-resolution", type=int, default=256, help="of meshes that are timed")
    parser.add_argument("--repeats", type=int, default=8, help="meshes that are timed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    try:
        run(parser.parse_args())
    except InputError as error:
        sys.exit(f"error: {error}")


def run(arguments: argparse.Namespace) -> None:
    """All wanted parts, then the table."""
    wanted = [name for name in arguments.only.split(",") if name]
    unknown = [name for name in wanted if name not in PARTS]
    if unknown or not wanted:
        raise InputError(f"--only {arguments.only}: choose from {', '.join(PARTS)}.")
    machine = prepare(arguments.threads, arguments.seed)
    coarse = None if arguments.coarse_prior is None else load_prior(arguments.coarse_prior)
    bench = Bench(arguments, load_prior(arguments.prior), coarse, read_people(arguments.people))
    if not 2 <= arguments.held_out <= len(bench.dataset):
        raise InputError(f"--held-out {arguments.held_out}: {arguments.people} holds {len(bench.dataset)} people.")
    measured: dict[str, Callable[[Bench], None]] = dict(
        zip(PARTS, (reconstruction, samples, normals, times), strict=True)
    )
    for name in PARTS:
        if name in wanted:
            measured[name](bench)
    conditions = described(bench)
    print(f"{machine}\n{conditions}\n\n{table(('part', 'what', 'figure', 'bar', 'met'), bench.rows)}")
    if arguments.json is not None:
        text = json.dumps({"machine": machine, "inputs": conditions, **bench.figures}, indent=2)
        with replacing(arguments.json) as temporary:
            temporary.write_text(text, encoding="utf-8")


def described(bench: Bench) -> str:
    """What was compared, in two lines; a third warns when the prior may have seen the people held out."""
    arguments, seen = bench.arguments, bench.prior.card.people
    kept = len(bench.dataset) - arguments.held_out
    lines = [
        f"Prior {arguments.prior or 'of the package'}, trained on {seen} people. Held out: the last "
        f"{arguments.held_out} of {len(bench.dataset)} people of {arguments.people}.",
        f"Command: `python {' '.join(sys.argv)}`",
    ]
    if seen > kept:
        lines.append(f"WARNING: the prior was trained on {seen} people, not {kept}: it may have seen those held out.")
    return "\n".join(lines)


def reconstruction(bench: Bench) -> None:
    """Codes for the people held out, in their known poses and builds."""
    part, found = "reconstruction", bench.reconstruction("the prior", bench.prior)
    overlap, coarse, detailed = found.iou, float(found.coarse.mean()), float(found.detailed.mean())
    mean = float(overlap.mean())
    seconds = bench.figures["seconds_of_codes"]["the prior"]
    spread = f"mean {mean:.3f}, median {float(overlap.quantile(0.5)):.3f}, worst {float(overlap.min()):.3f}"
    bench.add(part, "IoU, uniform points of the box", spread, f">= {IOU}", mean >= IOU)
    bench.add(
        part, "error of normals with details", f"{detailed:.1f} degrees", f"<= {DEGREES:.0f}", detailed <= DEGREES
    )
    bench.add(part, "error of normals without details", f"{coarse:.1f} degrees")
    bench.add(part, "surface points with a canonical place", f"{100 * float(found.found.mean()):.1f} %")
    bench.add(part, f"codes of {len(overlap)} people, {bench.arguments.steps} steps each", f"{seconds:.0f} s")
    names = [bench.dataset.names[number] for number in bench.held_out]
    values = {name: getattr(found, name).tolist() for name in ("iou", "found", "coarse", "detailed")}
    bench.figures[part] = {"people": names, "seconds": seconds, **values}


def samples(bench: Bench) -> None:
    """Drawn people against true ones, all in the canonical pose of their builds."""
    if not is_synthetic(bench.dataset):
        bench.add("samples", "left out: not a synthetic dataset, whose people can be made again in one pose", "")
        return
    references, trained = true_clouds(bench, bench.held_out), true_clouds(bench, bench.trained_on)
    scores = {
        "samples of the prior": compared(prior_clouds(bench, "mixture"), references),
        "bodies without clothes, same builds": compared(naked_clouds(bench), references),
        "codes of noise, same builds": compared(prior_clouds(bench, "noise"), references),
        "for information: each number of the codes by itself": compared(prior_clouds(bench, "diagonal"), references),
        "for information: people that the prior was trained on": compared(trained, references),
    }
    (first, ours), *others = scores.items()
    rivals = [score for _, score in others[:2] if score is not None]
    better = ours is not None and all(
        ours.matching_mm < rival.matching_mm and ours.coverage > rival.coverage for rival in rivals
    )
    for name, score in scores.items():
        bar = ("distance and coverage better than the next two", better) if name == first else ("", None)
        bench.add("samples", name, "fewer than two have a surface" if score is None else score.line(), *bar)
    bench.figures["samples"] = {name: None if score is None else vars(score) for name, score in scores.items()}


def compared(clouds: Sequence[Cloud], references: Sequence[Cloud]) -> SetScores | None:
    """The scores of a set, if it is one."""
    return compare_sets(clouds, references) if min(len(clouds), len(references)) > 1 else None


def prior_clouds(bench: Bench, kind: str) -> list[Cloud]:
    """As many people as are held out; those without a surface are left out."""
    told(f"drawing people, {kind}")
    clouds = []
    for number, person in enumerate(drawn_people(bench.prior, len(bench.held_out), bench.arguments.seed, kind)):
        try:
            clouds.append(prior_cloud(person, number, bench.arguments.resolution))
        except InputError as error:
            told(f"  number {number} has no surface: {error}")
    return clouds


def naked_clouds(bench: Bench) -> list[Cloud]:
    """The bodies of the people that the prior draws."""
    model, people = body_model_of(bench.dataset), drawn_people(bench.prior, len(bench.held_out), bench.arguments.seed)
    return [naked_cloud(model, person.betas, number) for number, person in enumerate(people)]


def true_clouds(bench: Bench, numbers: list[int]) -> list[Cloud]:
    """People of the dataset made again, or as they were kept."""
    model, path = body_model_of(bench.dataset), bench.arguments.clouds
    kept = load_file(path) if path is not None and path.is_file() else {}
    names = [bench.dataset.names[number] for number in numbers]
    todo = [(name, number) for name, number in zip(names, numbers, strict=True) if name not in kept]
    told(f"making {len(todo)} people again")
    for name, number in todo:
        kept[name] = true_cloud(model, bench.dataset, number, bench.arguments.assets)
    if path is not None and todo:
        with replacing(path) as temporary:
            save_file(kept, temporary)
    return [kept[name] for name in names]


def normals(bench: Bench) -> None:
    """Pictures of normals, coarse (stage 1) and detailed (stage 2), against the scans' of the people held out."""
    part, dataset = "normals", bench.dataset
    real, seen = (
        torch.cat([dataset.member(number).maps.flatten(0, 1) for number in numbers])
        for numbers in (bench.held_out, bench.trained_on or bench.held_out)
    )
    distances = {}
    for name, prior in (("the prior", bench.prior), ("the prior of stage 1 alone", bench.coarse_prior)):
        if prior is None:
            continue
        for what, people in picture_people(bench, name, prior).items():
            told(f"{name}: pictures of {what}")
            shown = pictures(bench, people)
            both = normal_statistic(shown.coarse, real), normal_statistic(shown.detailed, real)
            distances[f"{name}, {what}"] = {"coarse": both[0], "detailed": both[1]}
            if prior is bench.prior:
                figure, bar = f"stage 1 {both[0]:.2f}, stage 2 {both[1]:.2f}", "stage 2 lower"
                bench.add(part, f"{what}, {len(shown.coarse)} pictures", figure, bar, both[1] < both[0])
            else:
                bench.add(part, f"{what}, by {name}", f"stage 1 {both[0]:.2f}")
    least = normal_statistic(seen, real)
    if bench.trained_on:
        bench.add(part, f"for information: scans of {len(bench.trained_on)} other people", f"{least:.2f}")
    bench.figures[part] = {**distances, "scans of other people": least, "pictures": len(real)}


def picture_people(bench: Bench, name: str, prior: Prior) -> dict[str, list[Person]]:
    """Drawn people and those held out as codes give them, in the order of those held out."""
    fitted = bench.reconstruction(name, prior)
    betas = PeoplePools.of(bench.dataset, bench.held_out, prior.model.space.betas).betas
    own = zip(fitted.shape, fitted.detail, betas, strict=True)
    return {
        "sampled people": drawn_people(prior, len(bench.held_out), bench.arguments.seed),
        "people held out, by their codes": [prior.person(*codes) for codes in own],
    }


def pictures(bench: Bench, people: list[Person]) -> NormalPictures:
    """Each person in the poses of one that is held out, from all sides; those without a surface are left out."""
    shown = []
    for number, person in zip(bench.held_out, people, strict=True):
        try:
            member = bench.dataset.member(number)
            shown.append(normal_pictures(person, member, bench.dataset.yaws, bench.arguments.cells))
        except InputError as error:
            told(f"  number {number} has no surface: {error}")
    if not shown:
        raise InputError("None of the prior's people has a surface to draw; train it longer.")
    return NormalPictures(torch.cat([one.coarse for one in shown]), torch.cat([one.detailed for one in shown]))


def times(bench: Bench) -> None:
    """From codes to a mesh, loading, and the command that draws eight people."""
    part, arguments = "times", bench.arguments
    told("timing")
    people = iter(bench.prior.sample(arguments.repeats + 1, arguments.seed))
    mesh = median_seconds(lambda: next(people).mesh(resolution=arguments.mesh_resolution), arguments.repeats)
    loading = median_seconds(lambda: load_prior(arguments.prior), 3)
    sheet = sheet_seconds(arguments)
    met = mesh <= SECONDS
    bench.add(
        part,
        f"sample to mesh of {arguments.mesh_resolution} cells with details, median of {arguments.repeats}",
        f"{mesh:.2f} s",
        f"<= {SECONDS:.0f} s",
        met,
    )
    bench.add(part, "loading the prior", f"{loading:.2f} s")
    bench.add(
        part,
        f"`avatars sample --count {SHEET} --format ply` with its sheet, from the start",
        f"{sheet:.1f} s",
        f"<= {SHEET_SECONDS:.0f} s",
        sheet <= SHEET_SECONDS,
    )
    bench.figures[part] = {"mesh": mesh, "loading": loading, "sheet": sheet}


def sheet_seconds(arguments: argparse.Namespace) -> float:
    """Time of the command, in a process of its own."""
    prior = [] if arguments.prior is None else ["--prior", str(arguments.prior)]
    sizes = ["--count", str(SHEET), "--resolution", str(arguments.mesh_resolution), "--seed", str(arguments.seed)]
    with tempfile.TemporaryDirectory() as folder:
        words = ["sample", "--out", folder, "--format", "ply", *sizes, *prior]
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "avatars", *words], capture_output=True, text=True)
        seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise InputError(f"`avatars {' '.join(words)}` failed: {done.stderr[-1000:]}")
    return seconds


def told(text: str) -> None:
    """What is going on, beside the table."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
