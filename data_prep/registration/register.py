"""Registration: find the shape of a scanned person and the pose of every scan, from raw meshes alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.body import Body, BodyModel
from body_models.errors import InputError
from data_prep.registration.coarse import Candidates, ScanPoints, search_pose
from data_prep.registration.fine import FineScan, pose_body, refine_pose
from data_prep.registration.kinematics import PoseState
from data_prep.registration.personal import Person, fit_clothes, fit_shape, joint_space, shape_space
from data_prep.registration.solve import PosePrior
from data_prep.scans import Scan
from data_prep.surface import Surface

Progress = Callable[[str, int, int], None]
"""Called with the stage's name, steps done and steps in all."""

COARSE_SAMPLES, FINE_SAMPLES = 1000, 3000
BODY_VOLUMES = (0.012, 0.3)
"""Cubic metres between which a scan can be a person, child to very large adult in thick clothes."""
MAX_COARSE_COST = 14.0
"""Above this the search has not found a person; good fits score 5 to 8."""
MAX_RESIDUAL_MM = 25.0
MIN_COVERAGE = 0.75
"""Least share of the scan within `COVER` of the body, and of the body within `COVER` of the scan (holes are common)."""
COVER = 0.05


@dataclass(frozen=True)
class Registration:
    """A person and the poses of the scans that could be registered."""

    body: Body
    names: tuple[str, ...]
    poses: Float[Tensor, "scan bone 3"]
    """Axis-angle, radians, root first."""
    translations: Float[Tensor, "scan 3"]
    residuals_mm: Float[Tensor, "scan"]
    """Mean distance between posed body and scan, both ways, millimetres."""
    failed: tuple[tuple[str, str], ...]
    """Scans left out, with the reason."""


def register(
    model: BodyModel, scans: Sequence[Scan], seed: int = 0, progress: Progress = lambda stage, done, total: None
) -> Registration:
    """Fit shape (shared) and poses to raw scans of one person (metres, Y up, any heading); no landmarks, no start poses.

    Scans that cannot be explained by a body are left out and named. Raises InputError when none can.
    """
    failed: dict[str, str] = {}
    usable = [scan for scan in scans if _has_body_volume(scan, failed)]
    _need_some(usable, failed)
    body = _body_of_size(model, _median_volume(usable))
    normals = Surface(body.vertices, body.faces).vertex_normals
    found: dict[str, Candidates] = {}
    for number, scan in enumerate(usable):
        progress("finding poses", number, len(usable))
        found[scan.name] = search_pose(body, normals, coarse_points(scan, seed))
    _search_again(body, normals, usable, found, seed)
    progress("finding poses", len(usable), len(usable))
    for scan in list(usable):
        if found[scan.name].cost[0] > MAX_COARSE_COST:
            failed[scan.name] = "no pose of a whole human body matches it"
            usable.remove(scan)
    _need_some(usable, failed)
    states = [found[scan.name].state.select(torch.tensor([0])) for scan in usable]
    fine = [fine_scan(scan, seed) for scan in usable]
    person = personalise(model, Person(body, states), fine, seed, progress)
    return _checked(person, usable, fine, failed)


def register_known_poses(
    model: BodyModel,
    scans: Sequence[Scan],
    poses: Float[Tensor, "scan bone 3"],
    translations: Float[Tensor, "scan 3"],
    betas: Float[Tensor, "shape"],
    seed: int = 0,
) -> Registration:
    """Dress the body of given betas with the scans' clothes; poses stay as given (axis-angle, metres)."""
    states = [PoseState.from_pose(p[None], t[None]) for p, t in zip(poses, translations, strict=True)]
    fine = [fine_scan(scan, seed) for scan in scans]
    generator = torch.Generator().manual_seed(seed)
    person = Person(model.body(betas), states)
    for _ in range(3):
        person = fit_clothes(person, fine, 0.06, 5.0, generator)
    return _checked(person, scans, fine, {})


def register_to_body(
    body: Body, scans: Sequence[Scan], seed: int = 0, progress: Progress = lambda stage, done, total: None
) -> Registration:
    """Find the poses of scans of a person whose body is known already (an avatar's)."""
    failed: dict[str, str] = {}
    usable = [scan for scan in scans if _has_body_volume(scan, failed)]
    _need_some(usable, failed)
    normals = Surface(body.vertices, body.faces).vertex_normals
    found: dict[str, Candidates] = {}
    for number, scan in enumerate(usable):
        progress("finding poses", number, len(usable))
        found[scan.name] = search_pose(body, normals, coarse_points(scan, seed))
    _search_again(body, normals, usable, found, seed)
    progress("finding poses", len(usable), len(usable))
    fine = [fine_scan(scan, seed) for scan in usable]
    states = [
        refine_state(body, target, found[scan.name].state.select(torch.tensor([0])), seed)
        for scan, target in zip(usable, fine, strict=True)
    ]
    return _checked(Person(body, states), usable, fine, failed)


def personalise(model: BodyModel, person: Person, scans: list[FineScan], seed: int, progress: Progress) -> Person:
    """Shape, then clothes, joints and poses in turn."""
    generator = torch.Generator().manual_seed(seed)
    progress("fitting the person's shape", 0, 4)
    person = fit_shape(
        person, scans, shape_space(model, 0.015), (0.06, 0.06, 0.05, 0.05, 0.04, 0.04, 0.03, 0.03), generator
    )
    for turn, smoothness in enumerate((8.0, 4.0, 3.0)):
        progress("fitting the person's shape", turn + 1, 4)
        person = fit_clothes(person, scans, 0.06, smoothness, generator)
        person = fit_shape(person, scans, joint_space(person.body, 0.01), (0.06, 0.05, 0.05), generator)
    progress("fitting the person's shape", 4, 4)
    return person


def refine_state(body: Body, scan: FineScan, state: PoseState, seed: int) -> PoseState:
    """Refine one pose against a body of known shape."""
    areas = Surface(body.vertices, body.faces).face_areas
    probes = torch.multinomial(areas, 2500, replacement=True, generator=torch.Generator().manual_seed(seed))
    scales = (0.06, 0.05, 0.05, 0.04, 0.04, 0.04, 0.03, 0.03, 0.03, 0.03)
    return refine_pose(body, scan, state, PosePrior.of(body), probes, scales)


def coarse_points(scan: Scan, seed: int) -> ScanPoints:
    """The scan's points for the coarse search."""
    samples = scan_surface(scan).sample(COARSE_SAMPLES, torch.Generator().manual_seed(seed))
    return ScanPoints(samples.points, samples.normals)


def fine_scan(scan: Scan, seed: int) -> FineScan:
    """The scan prepared for precise matching."""
    surface = scan_surface(scan)
    samples = surface.sample(FINE_SAMPLES, torch.Generator().manual_seed(seed + 1))
    return FineScan(surface, ScanPoints(samples.points, samples.normals))


def scan_surface(scan: Scan) -> Surface:
    """A scan's triangles, ready for queries."""
    return Surface(torch.as_tensor(scan.vertices, dtype=torch.float32), torch.as_tensor(scan.faces, dtype=torch.int64))


def residual_mm(body: Body, scan: FineScan, state: PoseState) -> tuple[float, float]:
    """Mean distance body-scan both ways (mm), and the smaller share of either lying within `COVER` of the other."""
    posed = Surface(pose_body(body, state), body.faces)
    to_body = posed.closest(scan.samples.points).distance
    probes = posed.sample(FINE_SAMPLES, torch.Generator().manual_seed(0)).points
    to_scan = scan.surface.closest(probes).distance
    covered = min((to_body < COVER).float().mean().item(), (to_scan < COVER).float().mean().item())
    return 500.0 * (to_body.mean() + to_scan.mean()).item(), covered


def _checked(person: Person, scans: Sequence[Scan], fine: list[FineScan], failed: dict[str, str]) -> Registration:
    kept, residuals = [], []
    for number, (scan, target, state) in enumerate(zip(scans, fine, person.states, strict=True)):
        residual, covered = residual_mm(person.body, target, state)
        if residual > MAX_RESIDUAL_MM or covered < MIN_COVERAGE:
            failed[scan.name] = (
                f"the fitted body stays {residual:.0f} mm away on average and explains {100 * covered:.0f} % of it"
            )
            continue
        kept.append(number)
        residuals.append(residual)
    _need_some(kept, failed)
    rotations = torch.cat([person.states[k].rotations for k in kept])
    return Registration(
        person.body,
        tuple(scans[k].name for k in kept),
        roma.rotmat_to_rotvec(rotations),
        torch.cat([person.states[k].translation for k in kept]),
        torch.tensor(residuals),
        tuple(failed.items()),
    )


def _search_again(
    body: Body, normals: Float[Tensor, "vertex 3"], scans: Sequence[Scan], found: dict[str, Candidates], seed: int
) -> None:
    """Give scans that fit much worse than the rest another chance, from the poses found for the others."""
    best = torch.stack([found[scan.name].cost[0] for scan in scans])
    poor = best > 1.25 * best.median()
    if len(scans) < 2 or not poor.any() or poor.all():
        return
    good = [found[scan.name].state.select(torch.tensor([0])) for scan, bad in zip(scans, poor, strict=True) if not bad]
    known = good[0]
    for state in good[1:]:
        known = known.joined(state)
    for scan, bad in zip(scans, poor, strict=True):
        if bad:
            again = search_pose(body, normals, coarse_points(scan, seed + 7), known)
            if again.cost[0] < found[scan.name].cost[0]:
                found[scan.name] = again


def _has_body_volume(scan: Scan, failed: dict[str, str]) -> bool:
    volume = scan_volume(scan)
    if BODY_VOLUMES[0] <= volume <= BODY_VOLUMES[1]:
        return True
    failed[scan.name] = f"its volume of {1000 * volume:.1f} litres is not a whole person's (check --unit)"
    return False


def scan_volume(scan: Scan, samples: int = 40_000) -> float:
    """Volume by counting random points inside (cubic metres); works on open meshes."""
    surface = scan_surface(scan)
    lower, upper = surface.vertices.min(0).values, surface.vertices.max(0).values
    points = lower + (upper - lower) * torch.rand(samples, 3, generator=torch.Generator().manual_seed(0))
    return float(surface.inside(points).float().mean() * (upper - lower).prod())


def _median_volume(scans: Sequence[Scan]) -> float:
    return float(torch.tensor([scan_volume(scan) for scan in scans]).median())


def _body_of_size(model: BodyModel, volume: float) -> Body:
    """The body along the first shape direction (size) whose volume is nearest, a tenth taken off for clothes."""
    bodies = [model.body(torch.tensor([size])) for size in torch.linspace(-4, 4, 41).tolist()]
    gaps = [abs(_mesh_volume(body) - 0.9 * volume) for body in bodies]
    return bodies[gaps.index(min(gaps))]


def _mesh_volume(body: Body) -> float:
    a, b, c = body.vertices[body.faces].unbind(1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


def _need_some(kept: Sequence[object], failed: dict[str, str]) -> None:
    if not kept:
        reasons = "\n".join(f"  {name}: {reason}" for name, reason in failed.items())
        raise InputError(
            f"None of the scans could be registered to the body:\n{reasons}\n"
            "Each scan must show one whole person. If unit or up axis were misread, pass e.g. `--unit mm --up z`; "
            "if you know the poses, pass `--poses poses.npz`."
        )


def with_mesh(body: Body, vertices: Float[Tensor, "vertex 3"]) -> Body:
    """The body with another rest surface of the same topology."""
    return replace(body, vertices=vertices)
