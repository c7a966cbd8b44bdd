"""What forward skinning buys: SNARF, learning weights or not, and three baselines on poses far from the training poses.

`python scripts/table_snarf.py [--steps 300] [--seed 0] [--quick] [--scans FOLDER] [--picture out.jpg]`

Without `--scans` the subject is a synthetic clothed person in 12 mild poses, and the tests are random natural poses of
growing amplitude and named far ones. `--scans` takes a folder of scans with their exact poses of the free body
(`poses.npz`): the milder half is trained on, the rest tested in three groups. Poses are exact for every method, which
also knows the body (its shape, its weights); all but the last start from it. Prints a Markdown table.
"""

import argparse
import dataclasses
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from far_poses import Frames, Subject, limb_degrees, scanned, synthetic
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from avatars.fit.baseline_method import BaselineMethod
from avatars.fit.evaluate import NEAR_SIGMA
from avatars.fit.loop import LoopOptions, Method, optimise
from avatars.fit.options import FitOptions, load_preset
from avatars.fit.pools import PointPools, build_pools
from avatars.fit.progress import Progress
from avatars.fit.scan_method import PosedSnarf, ScanMethod
from avatars.meshing import extract_surface
from avatars.metrics import iou
from avatars.models import snarf_from_body
from avatars.models.baselines import BackwardSkinning, NearestVertexSkinning, PoseConditionedOccupancy
from body_models import InputError
from data_prep.pictures import frame_camera, render_mesh, tile
from data_prep.registration.register import scan_surface
from data_prep.sampling import label_points, sample_near, sample_uniform

SHOWN = "deep squat"
START_STEPS = 300
"""Steps in which the backward field learns the body's weights in the training poses, counted in its time."""

Question = list[tuple[Float[Tensor, "point 3"], Bool[Tensor, "point"]]]
"""Points of two kinds about one pose, and whether they are inside."""


@dataclass(frozen=True)
class Fitted:
    """A method after its fit; the field takes posed points, a pose and a translation."""

    name: str
    field: Callable[[Tensor, Tensor, Tensor], Tensor]
    seconds: float
    parameters: int


def main() -> None:
    """Fit, test and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="20 steps and few points, to see that it runs")
    parser.add_argument("--scans", type=Path, help="folder of scans with poses.npz")
    parser.add_argument("--picture", type=Path, help="draw the deep squat (or the farthest scan) as a JPEG")
    arguments = parser.parse_args()
    try:
        run(arguments)
    except InputError as error:
        sys.exit(f"error: {error}")


def run(arguments: argparse.Namespace) -> None:
    """The whole comparison."""
    steps, points, per_group = (20, 4000, 1) if arguments.quick else (arguments.steps, 50_000, 4)
    options = dataclasses.replace(load_preset("fast"), steps=steps, refine_poses=False)
    options = dataclasses.replace(options, pool=5000, points=300) if arguments.quick else options
    subject = (
        synthetic(arguments.seed, per_group) if arguments.scans is None else scanned(arguments.scans, arguments.seed)
    )
    pools = build_pools(subject.train.scans, options, arguments.seed)
    fitted = list(fits(subject, pools, options, arguments.seed))
    tests = [(frames, questions(frames, points, arguments.seed)) for frames in subject.tests.values()]
    rows = [[scores(method, frames, asked) for frames, asked in tests] for method in fitted]
    print(table(subject, fitted, rows))
    print(
        f"\nIoU in the box / near the surface. {subject.name}; {len(subject.train.scans)} training poses, {steps} "
        f"steps, {points:,} test points of each kind a pose, seed {arguments.seed}. "
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} torch thread(s). Command: `python {' '.join(sys.argv)}`."
    )
    if arguments.picture is not None:
        draw(subject, fitted, arguments.picture)


def fits(subject: Subject, pools: PointPools, options: FitOptions, seed: int) -> Iterator[Fitted]:
    """Each method, fitted and timed."""
    body, train = subject.body, subject.train

    def forward(options: FitOptions) -> Method:
        snarf = snarf_from_body(body, options.snarf)
        return ScanMethod(PosedSnarf(snarf, train.poses, train.translations), body, pools, options, exact_poses=True)

    def fixed() -> Method:
        return forward(dataclasses.replace(options, rates=dataclasses.replace(options.rates, weights=0.0)))

    def backward() -> Method:
        model = BackwardSkinning(snarf_from_body(body, options.snarf))
        random = torch.Generator().manual_seed(seed)
        model.start_from(body, train.poses, train.translations, min(START_STEPS, options.steps), random)
        return BaselineMethod(model, train.poses, train.translations, pools, options)

    def nearest() -> Method:
        model = NearestVertexSkinning(snarf_from_body(body, options.snarf), body)
        return BaselineMethod(model, train.poses, train.translations, pools, options)

    def unskinned() -> Method:
        model = PoseConditionedOccupancy(body.skeleton, body.joints)
        return BaselineMethod(model, train.poses, train.translations, pools, options)

    makers = {
        "forward skinning (SNARF)": lambda: forward(options),
        "forward, the body's weights": fixed,
        "nearest vertex": nearest,
        "backward skinning": backward,
        "pose-conditioned": unskinned,
    }
    for name, make in makers.items():
        yield fit(name, make, options, seed)


def fit(name: str, make: Callable[[], Method], options: FitOptions, seed: int) -> Fitted:
    """One method from its start to the end of its fit."""
    torch.manual_seed(seed)
    started = time.perf_counter()
    method = make()
    with tempfile.TemporaryDirectory() as folder:
        loop = LoopOptions(options.steps, seed, "cpu", options.rates.final, options.clip)
        optimise(method, loop, Path(folder), resume=False, progress=Progress(quiet=True))
    seconds = time.perf_counter() - started
    parameters = sum(p.numel() for p in method.module.parameters() if p.requires_grad)
    model: Any = method.module.snarf if isinstance(method.module, PosedSnarf) else method.module
    model.eval()
    print(f"{name}: {seconds:.0f} s", file=sys.stderr, flush=True)

    @torch.no_grad()
    def field(points: Tensor, pose: Tensor, translation: Tensor) -> Tensor:
        frame, code = torch.zeros(len(points), dtype=torch.long), model.pose_code(pose[None])
        return torch.cat([model(p, f, pose[None], translation[None], code) for p, f in chunks(points, frame)])

    return Fitted(name, field, seconds, parameters)


def chunks(*tensors: Tensor, size: int = 50_000) -> Iterator[tuple[Tensor, ...]]:
    """Tensors in pieces of bounded length, together."""
    return zip(*(tensor.split(size) for tensor in tensors), strict=True)


def questions(frames: Frames, points: int, seed: int) -> list[Question]:
    """For each pose, points uniform in the box and points near the surface, as `avatars eval` draws them."""
    asked = []
    for scan in frames.scans:
        truth, random = scan_surface(scan), torch.Generator().manual_seed(seed)
        kinds = sample_uniform(truth, points, random), sample_near(truth, points, NEAR_SIGMA, random)
        asked.append([(drawn, label_points(truth, drawn).occupied) for drawn in kinds])
    return asked


def scores(method: Fitted, frames: Frames, asked: list[Question]) -> tuple[float, float]:
    """Mean IoU in the box and near the surface over some poses."""
    found = [
        [iou(method.field(points, pose, translation) > 0, occupied) for points, occupied in question]
        for question, pose, translation in zip(asked, frames.poses, frames.translations, strict=True)
    ]
    box, near = (sum(kind) / len(found) for kind in zip(*found, strict=True))
    return box, near


def table(subject: Subject, fitted: list[Fitted], rows: list[list[tuple[float, float]]]) -> str:
    """Methods down, groups of test poses across, with their distance to the nearest training pose."""
    heads = []
    for name, frames in subject.tests.items():
        apart = limb_degrees(subject.body.skeleton, frames.poses, subject.train.poses).min(1).values
        heads.append(f"{name} ({apart.mean():.0f}°)")
    lines = [f"| method | {' | '.join(heads)} | training s | parameters |", "|---" * (len(heads) + 3) + "|"]
    for method, row in zip(fitted, rows, strict=True):
        cells = " | ".join(f"{box:.3f} / {near:.3f}" for box, near in row)
        lines.append(f"| {method.name} | {cells} | {method.seconds:.0f} | {method.parameters:,} |")
    return "\n".join(lines)


def draw(subject: Subject, fitted: list[Fitted], path: Path) -> None:
    """The truth and every method's whole surface in one far pose."""
    frames = subject.tests.get(SHOWN) or list(subject.tests.values())[-1]
    truth = scan_surface(frames.scans[-1])
    pose, translation = frames.poses[-1], frames.translations[-1]
    lower, upper = truth.vertices.amin(0) - 0.05, truth.vertices.amax(0) + 0.05
    camera = frame_camera(lower, upper, math.radians(35), math.radians(8), width=300, height=380, margin=0.85)
    first = render_mesh(truth.vertices, truth.faces, camera, supersampling=2).to_uint8()

    def picture(method: Fitted) -> UInt8[np.ndarray, "height width 3"]:
        try:
            mesh = extract_surface(lambda p: method.field(p, pose, translation), lower, upper, resolution=192)
        except InputError:  # no surface at all
            return np.full_like(first, 255)
        return render_mesh(mesh.vertices, mesh.faces, camera, supersampling=2).to_uint8()

    pictures = [first, *(picture(method) for method in fitted)]
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = ["truth", *(method.name for method in fitted)]
    Image.fromarray(tile(pictures, len(pictures), labels)).save(path, quality=85)


if __name__ == "__main__":
    main()
