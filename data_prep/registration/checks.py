"""Tell a registered person from a chair, a head or a failed fit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from body_models.body import Body
from body_models.errors import InputError
from body_models.model import BodyModel
from data_prep.registration.fine import SAMPLES, FineScan, pose_body
from data_prep.registration.kinematics import PoseState
from data_prep.surface import Surface

BODY_VOLUMES = (0.012, 0.3)
"""Cubic metres between which a scan can be a person, child to very large adult in thick clothes."""
VOLUMES_APART = 1.5
"""A scan whose volume is so many times the median of all, or so small a part of it, is not the same whole person."""
FOLDED = 1.25
"""A fitted body so many times as large as its scan hides limbs inside: people reach 1.14, a bust 1.29 and more."""
MAX_FLATNESS = 0.08
"""People stay below 0.02, a capsule has 0.024, boxes and furniture 0.18 and more."""
MAX_COARSE_COST = 16.0
"""Above this the search has not found a person: people score 5 to 9, a low-poly toy 14, a chair 27."""
MAX_RESIDUAL_MM = 25.0
MIN_COVERAGE = 0.75
"""Least share of the scan within `COVER` of the body, and of the body within `COVER` of the scan (holes are common)."""
ODD_RESIDUAL, ODD_RESIDUAL_MM = 2.5, 6.0
"""A scan so many times as far from the body as the median scan, and so many millimetres, is registered badly."""
COVER = 0.05
"""Metres."""


@dataclass(frozen=True)
class Fit:
    """How well a posed body explains a scan."""

    residual_mm: float
    """Mean distance both ways."""
    covered: float
    """The smaller share of either lying within `COVER` of the other."""

    @property
    def complaint(self) -> str:
        """What is wrong with the fit; empty when it is good."""
        if self.residual_mm <= MAX_RESIDUAL_MM and self.covered >= MIN_COVERAGE:
            return ""
        return (
            f"the fitted body stays {self.residual_mm:.0f} mm away on average "
            f"and explains {100 * self.covered:.0f} % of it"
        )


def measure_fit(body: Body, scan: FineScan, state: PoseState) -> Fit:
    """Distances between a posed body and a scan."""
    posed = Surface(pose_body(body, state), body.faces)
    to_body = posed.closest(scan.samples.points).distance
    probes = posed.sample(SAMPLES, torch.Generator().manual_seed(0)).points
    to_scan = scan.surface.closest(probes).distance
    covered = min((to_body < COVER).float().mean().item(), (to_scan < COVER).float().mean().item())
    return Fit(500.0 * (to_body.mean() + to_scan.mean()).item(), covered)


def shape_complaint(surface: Surface, volume: float) -> str:
    """Why a scan of some volume (cubic metres) is no whole person's; empty when it may be."""
    if not BODY_VOLUMES[0] <= volume <= BODY_VOLUMES[1]:
        return f"its volume of {1000 * volume:.1f} litres is not a whole person's (check --unit)"
    if flatness(surface) > MAX_FLATNESS:
        return "it is made of flat faces like furniture, not of a body's"
    return ""


def odd_volume(volume: float, median: float) -> str:
    """Why a scan of some volume (cubic metres) is not the person of the others; empty when it may be."""
    if 1 / VOLUMES_APART <= volume / median <= VOLUMES_APART:
        return ""
    return (
        f"its volume of {1000 * volume:.0f} litres is far from the other scans' {1000 * median:.0f}: "
        "part of a body, or another person"
    )


def odd_residuals(residuals_mm: Sequence[float]) -> list[int]:
    """Numbers of the scans that fit much worse than most others (mean distances, millimetres)."""
    if not residuals_mm:
        return []
    limit = max(ODD_RESIDUAL * sorted(residuals_mm)[(len(residuals_mm) - 1) // 2], ODD_RESIDUAL_MM)
    return [number for number, residual in enumerate(residuals_mm) if residual > limit]


def fit_notes(
    names: Sequence[str], residuals_mm: Sequence[float], misplaced: Sequence[Sequence[str]]
) -> tuple[str, ...]:
    """A sentence for each scan that fits much worse than the others or whose feet or hands are elsewhere."""
    odd = odd_residuals(residuals_mm)
    notes = []
    for number, (name, residual, parts) in enumerate(zip(names, residuals_mm, misplaced, strict=True)):
        faults = [f"the {part} was not found where the scan has it" for part in parts]
        if number in odd:
            faults.insert(0, f"the body stays {residual:.1f} mm from it on average, far more than from the others")
        if faults:
            advice = "Look at this scan, and leave it out if it spoils the result."
            notes.append(f"{name}: {' and '.join(faults)}. {advice}")
    return tuple(notes)


def folded(body: Body, volume: float) -> str:
    """Why a scan of some volume (cubic metres) lacks parts of the body fitted to it; empty when it may be whole."""
    ratio = mesh_volume(body) / volume
    if ratio <= FOLDED:
        return ""
    return f"the fitted body is {ratio:.1f} times as large and hides limbs inside it: it is only a part of a body"


def flatness(surface: Surface) -> float:
    """Mean share of the surface that faces within 5 degrees of where another part does."""
    normals = surface.sample(1000, torch.Generator().manual_seed(0)).normals
    return float((normals @ normals.T > math.cos(math.radians(5.0))).float().mean())


def scan_volume(surface: Surface, samples: int = 40_000) -> float:
    """Volume by counting random points inside (cubic metres); works on open meshes."""
    lower, upper = surface.vertices.min(0).values, surface.vertices.max(0).values
    points = lower + (upper - lower) * torch.rand(samples, 3, generator=torch.Generator().manual_seed(0))
    return float(surface.inside(points).float().mean() * (upper - lower).prod())


def body_of_size(model: BodyModel, volume: float) -> Body:
    """The body along the first shape direction (size) whose volume is nearest, a tenth taken off for clothes."""
    bodies = [model.body(torch.tensor([size])) for size in torch.linspace(-4, 4, 41).tolist()]
    return min(bodies, key=lambda body: abs(mesh_volume(body) - 0.9 * volume))


def need_some(kept: Sequence[object], failed: dict[str, str]) -> None:
    """Raise InputError when no scan is left, naming each with its reason."""
    if kept:
        return
    if not failed:
        raise InputError("There are no scans to register. Give a folder with at least one mesh of a whole person.")
    reasons = "\n".join(f"  {name}: {reason}" for name, reason in failed.items())
    raise InputError(
        f"None of the scans could be registered to the body:\n{reasons}\n"
        "Each scan must show one whole person. If unit or up axis were misread, pass e.g. `--unit mm --up z`; "
        "if you know the poses, pass `--poses poses.npz`."
    )


def mesh_volume(body: Body) -> float:
    """Volume that a body encloses at rest (cubic metres)."""
    a, b, c = body.vertices[body.faces].unbind(1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)
