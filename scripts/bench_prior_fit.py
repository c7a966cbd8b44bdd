"""What a prior is worth with one scan: `python scripts/bench_prior_fit.py --scans FOLDER [--prior FILE] [--people 3]`.

One scan of a folder `pose_*.ply` is fitted from nothing, by the prior alone and by the prior with tuning; each avatar
is held against all other scans. Then only what is seen from the front is fitted, and held against the whole scan. Last,
synthetic people that the prior was not trained on, in one pose each, and held against another pose. Prints Markdown.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from measuring import prepare, table

from avatars.fit import evaluate, fit_scans
from avatars.fit.prior_fit_scans import PriorSource, fit_scans_to_prior
from avatars.meshing import TriangleMesh, write_mesh
from avatars.metrics import iou
from avatars.models import Avatar
from body_models import load_anny
from data_prep.people.synthetic import make_clothed_person
from data_prep.people.synthetic.poses import read_pose_pool
from data_prep.registration.register import scan_surface
from data_prep.sampling import label_points, sample_near, sample_uniform
from data_prep.scans import Scan, load_scans

POINTS = 100_000
SEEDS = 900_000
"""Seeds of the synthetic people: far from those of the training sets."""


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=Path, help="folder with raw scans pose_*.ply of one person")
    parser.add_argument("--fitted", type=int, default=0, help="number of the scan that is fitted to")
    parser.add_argument("--prior", type=Path, help="the shipped one by default")
    parser.add_argument("--people", type=int, default=2, help="synthetic people to fit")
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(prepare(arguments.threads, arguments.seed) + "\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.scans:
            fitted, others = split(arguments.scans, folder, arguments.fitted)
            unseen_poses(fitted, others, folder, arguments)
            front(fitted, folder, arguments)
        synthetic(folder, arguments)


def split(scans: Path, folder: Path, fitted: int) -> tuple[Path, Path]:
    """Links to the one scan and to the others, in folders of their own."""
    found = sorted(scans.glob("pose_*.ply"))
    if not 0 <= fitted < len(found) or len(found) < 2:
        sys.exit(f"Error: '{scans}' holds {len(found)} scans pose_*.ply, of which --fitted {fitted} is to be one.")
    sides = folder / "one", folder / "others"
    for number, scan in enumerate(found):
        side = sides[number != fitted]
        side.mkdir(exist_ok=True)
        (side / scan.name).symlink_to(scan.resolve())
    return sides


def unseen_poses(fitted: Path, others: Path, folder: Path, arguments: argparse.Namespace) -> None:
    """One scan fitted in three ways, against the other scans."""
    rows = []
    for title, tuned in (("from nothing", None), ("prior only", False), ("prior, then tuned", True)):
        started = time.perf_counter()
        if tuned is None:
            avatar = fit_scans(fitted, folder / "nothing.avatar", seed=arguments.seed, quiet=True)
        else:
            avatar = with_prior(fitted, folder / f"prior_{tuned}.avatar", arguments, tuned)
        seconds = time.perf_counter() - started
        found = evaluate(avatar, others, seed=arguments.seed, quiet=True)
        figures = [f"{found.iou_box:.4f}", f"{found.iou_surface:.4f}", f"{found.chamfer_mm:.2f}"]
        rows.append([title, f"{seconds:.0f}", *figures, f"{found.normal_consistency:.3f}", str(len(found.rows))])
    print(f"\n## One scan in, unseen poses tested ({arguments.scans.name}, scan {arguments.fitted})\n")
    print(table(["fit", "seconds", "IoU box", "IoU surface", "Chamfer mm", "normals", "scans"], rows))


def front(fitted: Path, folder: Path, arguments: argparse.Namespace) -> None:
    """What is seen of one scan from the front, against all of it in the same pose."""
    whole = load_scans(fitted).scans[0]
    write_scan(seen_from_front(whole), folder / "front.ply")
    avatar = with_prior(folder / "front.ply", folder / "front.avatar", arguments, True)
    box, near = overlaps(avatar, whole)
    print("\n## Front of one scan in, the whole scan tested in the same pose\n")
    print(table(["fit", "IoU box", "IoU surface"], [["prior, then tuned", f"{box:.4f}", f"{near:.4f}"]]))


def synthetic(folder: Path, arguments: argparse.Namespace) -> None:
    """Synthetic people in one pose, against the same pose and another one."""
    model, rows = load_anny(), []
    for number in range(arguments.people):
        person = make_clothed_person(model, SEEDS + number)
        random = np.random.default_rng(number)
        poses = read_pose_pool(None, person.body).draw(person.body, 2, random, person.outfit.skirt_length > 0)
        places = folder / f"person_{number}", folder / f"person_{number}_other"
        for place, pose in zip(places, poses, strict=True):
            place.mkdir()
            vertices = person.pose_vertices(pose, torch.zeros(3))
            write_mesh(TriangleMesh(vertices, person.clothed.faces), place / "pose_00.ply")
        for title, tuned in (("prior only", False), ("prior, then tuned", True)):
            avatar = with_prior(places[0], folder / f"person_{number}_{tuned}.avatar", arguments, tuned)
            box, near = overlaps(avatar, load_scans(places[0]).scans[0])
            other = evaluate(avatar, places[1], seed=arguments.seed, quiet=True)
            rows.append([str(number), title, f"{box:.4f}", f"{near:.4f}", f"{other.iou_box:.4f}"])
            rows[-1] += [f"{other.iou_surface:.4f}"]
    if rows:
        print("\n## One scan of synthetic people that the prior has not seen\n")
        print(table(["person", "fit", "box", "surface", "other pose: box", "surface"], rows))


def with_prior(source: Path, out: Path, arguments: argparse.Namespace, tuned: bool) -> Avatar:
    """An avatar by way of the prior."""
    settings = {"prior": arguments.prior, "seed": arguments.seed}
    return fit_scans_to_prior(PriorSource(source), out, finetune=tuned, quiet=True, **settings)


def overlaps(avatar: Avatar, scan: Scan) -> tuple[float, float]:
    """IoU of points in the box and about the surface, in the first training pose."""
    surface, generator = scan_surface(scan), torch.Generator().manual_seed(0)
    posed, found = avatar.training_pose(0), []
    for points in (sample_uniform(surface, POINTS, generator), sample_near(surface, POINTS, 0.01, generator)):
        inside = posed.occupancy(points.to(avatar.device)).cpu() > 0
        found.append(float(iou(inside, label_points(surface, points).occupied)))
    return found[0], found[1]


def seen_from_front(scan: Scan) -> Scan:
    """The faces that nothing hides from a viewer far in front (+Z)."""
    surface = scan_surface(scan)
    centres, normals = surface.vertices[surface.faces].mean(1), surface.face_normals
    ahead = torch.tensor([[0.0, 0.0, 1.0]]).expand_as(centres).contiguous()
    hidden = surface.cast(centres + 1e-3 * normals, ahead).face >= 0
    return Scan("front", scan.vertices, scan.faces[((normals[:, 2] > 0) & ~hidden).numpy()])


def write_scan(scan: Scan, path: Path) -> None:
    """Write a scan as a mesh without the vertices that no face uses."""
    used, numbers = np.unique(scan.faces, return_inverse=True)
    vertices, faces = torch.as_tensor(scan.vertices[used]), torch.as_tensor(numbers.reshape(-1, 3))
    write_mesh(TriangleMesh(vertices, faces), path)


if __name__ == "__main__":
    main()
