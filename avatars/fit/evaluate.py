"""Hold an avatar against scans it has not seen: occupancy overlap, surface distance, normals."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.fit.options import check_seed
from avatars.fit.pose import refine_poses
from avatars.fit.progress import Progress
from avatars.fit.scans import left_out
from avatars.metrics import chamfer_and_normal_consistency, iou
from avatars.models import Avatar
from body_models import InputError, load_poses
from data_prep.pockets import full_scan
from data_prep.registration import Registration, register_to_body
from data_prep.registration.register import scan_surface
from data_prep.sampling import label_points, sample_near, sample_uniform
from data_prep.scans import Scan, ScanFolder, load_scans
from data_prep.surface import Surface

UNIFORM_POINTS, NEAR_POINTS, NEAR_SIGMA = 100_000, 100_000, 0.01
"""SNARF's protocol: uniform in the cube of 1.1 times the longest side, and about the surface (metres)."""
MESH_RESOLUTION = 256


@dataclass(frozen=True)
class EvaluationRow:
    """How well the avatar explains one scan."""

    name: str
    iou_box: float
    iou_surface: float
    chamfer_mm: float
    normal_consistency: float
    residual_mm: float
    """Mean distance between the skinned avatar and the scan after pose finding; NaN where poses were given."""
    pose: Float[Tensor, "bone 3"]
    translation: Float[Tensor, "3"]


@dataclass(frozen=True)
class Evaluation:
    """Rows of all scans that could be evaluated."""

    rows: tuple[EvaluationRow, ...]
    skipped: tuple[tuple[str, str], ...]

    def mean(self, metric: str) -> float:
        """Mean of a column over the scans."""
        return sum(getattr(row, metric) for row in self.rows) / len(self.rows)

    @property
    def iou_box(self) -> float:
        """Mean IoU of points uniform in the box."""
        return self.mean("iou_box")

    @property
    def iou_surface(self) -> float:
        """Mean IoU of points near the surface."""
        return self.mean("iou_surface")

    @property
    def chamfer_mm(self) -> float:
        """Mean Chamfer distance, millimetres."""
        return self.mean("chamfer_mm")

    @property
    def normal_consistency(self) -> float:
        """Mean cosine between normals of closest points."""
        return self.mean("normal_consistency")

    def table(self) -> str:
        """All figures as a markdown table."""
        lines = ["| scan | IoU box | IoU surface | Chamfer mm | normal consistency |", "|---|---|---|---|---|"]
        metrics = ("iou_box", "iou_surface", "chamfer_mm", "normal_consistency")
        named = [(row.name, *(getattr(row, m) for m in metrics)) for row in self.rows]
        for name, box, surface, chamfer, normals in [*named, ("mean", *(self.mean(m) for m in metrics))]:
            lines.append(f"| {name} | {box:.4f} | {surface:.4f} | {chamfer:.2f} | {normals:.3f} |")
        return "\n".join(lines)


def evaluate(
    avatar: Avatar,
    source: Path | str,
    *,
    poses: Path | str | None = None,
    seed: int = 0,
    unit: str = "auto",
    up: str = "auto",
    quiet: bool = False,
) -> Evaluation:
    """Compare an avatar with held-out scans of the same person.

    The pose of each scan is taken from `poses` (npz, in the order of the scans' names) or found by registering the
    avatar's own surface to the scan. Pockets of the scans, such as mouths behind closed lips, count as inside, as they
    do in fitting. Raises InputError when no scan can be used.
    """
    check_seed(seed)
    with Progress(quiet) as progress:
        loaded = load_scans(source, unit=unit, up=up)
        loaded = replace(loaded, scans=[full_scan(scan) for scan in loaded.scans])
        found = _poses(avatar, loaded, poses, seed, progress)
        by_name = {scan.name: scan for scan in loaded.scans}
        task = progress.start("comparing", len(found.names))
        rows = []
        for index, name in enumerate(found.names):
            rows.append(_compare(avatar, by_name[name], found, index, seed))
            progress.advance(task)
        progress.finish(task)
    return Evaluation(tuple(rows), (*loaded.skipped, *found.failed))


def _poses(avatar: Avatar, loaded: ScanFolder, poses: Path | str | None, seed: int, progress: Progress) -> Registration:
    """Poses of the scans: given, or found with the rigged surface and then refined with the occupancy itself."""
    if poses is None:
        found = register_to_body(avatar.body().to("cpu"), loaded.scans, seed, progress.stage)
        progress.stage("refining poses", 0, 1)
        by_name = {scan.name: scan for scan in loaded.scans}
        scans = [by_name[name] for name in found.names]
        rotations, translations = refine_poses(avatar, scans, found.poses, found.translations, seed)
        progress.stage("refining poses", 1, 1)
        return replace(found, poses=rotations.cpu(), translations=translations.cpu())
    known = load_poses(poses)
    if known.body_model != avatar.info.body_model:
        raise InputError(
            f"'{poses}' holds poses of a {known.body_model} body, whose joints are not the avatar's "
            f"({avatar.info.body_model}). Leave `--poses` away: the poses are then found by registration."
        )
    motion = known.motion
    if len(motion) != len(loaded.scans) or motion.skeleton != avatar.skeleton:
        raise InputError(
            f"'{poses}' holds {len(motion)} poses of {len(motion.skeleton)} joints; needed are {len(loaded.scans)} "
            f"(one a scan) of the avatar's {len(avatar.skeleton)} joints.{left_out(loaded.skipped)}"
        )
    names = tuple(scan.name for scan in loaded.scans)
    unknown = torch.full((len(names),), torch.nan)
    return Registration(avatar.body(), names, motion.rotations, motion.translations, unknown, ())


def _compare(avatar: Avatar, scan: Scan, found: Registration, index: int, seed: int) -> EvaluationRow:
    pose, translation = found.poses[index], found.translations[index]
    posed = avatar.pose(pose, translation)
    truth = scan_surface(scan)
    generator = torch.Generator().manual_seed(seed)
    overlaps = []
    for points in (
        sample_uniform(truth, UNIFORM_POINTS, generator),
        sample_near(truth, NEAR_POINTS, NEAR_SIGMA, generator),
    ):
        predicted = posed.occupancy(points.to(avatar.device)).cpu() > 0
        overlaps.append(float(iou(predicted, label_points(truth, points).occupied)))
    mesh = posed.mesh(MESH_RESOLUTION)
    surface = Surface(mesh.vertices.cpu(), mesh.faces.cpu())
    chamfer, normals = chamfer_and_normal_consistency(surface, truth, generator=generator)
    residual = float(found.residuals_mm[index])
    return EvaluationRow(scan.name, overlaps[0], overlaps[1], chamfer, normals, residual, pose, translation)
