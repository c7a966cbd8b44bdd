"""Register scans that show only a part of the person: the front, one side, a depth picture."""

from collections.abc import Sequence

import roma
import torch
from torch import Tensor

from body_models.body import Body
from body_models.model import BodyModel
from data_prep.registration.checks import COVER, need_some
from data_prep.registration.coarse import SEARCH_POINTS, PoseSearch
from data_prep.registration.fine import SAMPLES, FineScan, pose_body
from data_prep.registration.kinematics import PoseState
from data_prep.registration.parallel import scan_workers
from data_prep.registration.personal import SHAPE_SCALES, Person, Progress, fit_shape, shape_space
from data_prep.registration.register import Registration, scan_surface
from data_prep.registration.swarm import ScanPoints
from data_prep.scans import Scan
from data_prep.surface import Surface

OPEN = 0.15
"""A mesh whose mean normal is longer shows a person from one side only: whole scans have 0.01, front halves 0.57."""
SILHOUETTES = 4.0
"""A convex body's surface over its mean silhouette (Cauchy); people have 3.5 to 4.2 of their front's."""
CLOTHES_SPREAD = 1.1
"""How much more surface clothed people have than naked ones."""
MAX_AWAY_MM = 18.0
"""The fitted body may stay so far from the scan on average: people reach 6, chairs have 25 and more."""
MIN_EXPLAINED, MIN_SEEN = 0.9, 0.35
"""Least share of the scan within `COVER` of the body, and of the body within `COVER` of the scan."""
OTHER_SIZES = (-0.4, 0.0, 0.4)
"""Sizes tried about that which the surface tells (deviations); poses of bodies too small or large go astray."""
JOINT_SPREAD = 0.005
"""How far joints may move from where the body's shape puts them (metres)."""


def openness(surface: Surface) -> float:
    """Length of the mean normal over the surface: zero for closed meshes, 0.57 for the front half of a person."""
    areas = surface.face_areas[:, None]
    return float((areas * surface.face_normals).sum(0).norm() / areas.sum())


def register_partial(
    model: BodyModel,
    scans: Sequence[Scan],
    seed: int = 0,
    progress: Progress = lambda stage, done, total: None,
) -> Registration:
    """Fit shape and poses to scans that show a part of one person each (metres, Y up, any heading).

    What no scan shows is as the body model has it: the body gets no clothes. Residuals are distances from scan to body
    only. Scans that cannot be explained by a body are left out and named; raises InputError when none can.
    """
    need_some(scans, {})
    surfaces = [scan_surface(scan) for scan in scans]
    with scan_workers() as workers:
        samples = [surface.sample(SEARCH_POINTS, torch.Generator().manual_seed(seed)) for surface in surfaces]
        points = [ScanPoints(some.points, some.normals) for some in samples]
        searches = [PoseSearch(body) for body in _bodies_of_area(model, surfaces)]
        tried = [(number, some) for number in range(len(searches)) for some in points]
        found = workers.map(
            lambda one: searches[one[0]].find(one[1]),
            tried,
            lambda count: progress("finding poses", count, len(tried)),
        )
        each = [found[number * len(points) : (number + 1) * len(points)] for number in range(len(searches))]
        best = min(range(len(each)), key=lambda number: sum(float(one.cost[0]) for one in each[number]))
        search, states = searches[best], [one.best for one in each[best]]
        fine = [FineScan.of(surface, seed + 1) for surface in surfaces]
        generator = torch.Generator().manual_seed(seed)
        space = shape_space(model, JOINT_SPREAD)
        progress("fitting the person's shape", 0, 1)
        person = fit_shape(Person(search.body, states), fine, space, SHAPE_SCALES, generator, workers)
        progress("fitting the person's shape", 1, 1)
    return _checked(person, [scan.name for scan in scans], fine)


def _bodies_of_area(model: BodyModel, surfaces: list[Surface]) -> list[Body]:
    """Bodies along the first shape direction (size) with as much surface as the scans seem to be part of, or near."""
    whole = [_whole_area(surface) for surface in surfaces]
    area = sorted(whole)[len(whole) // 2] / CLOTHES_SPREAD
    sizes = torch.linspace(-4, 4, 33).tolist()

    def misfit(size: float) -> float:
        body = model.body(torch.tensor([size]))
        return abs(float(Surface(body.vertices, body.faces).face_areas.sum()) - area)

    nearest = min(sizes, key=misfit)
    return [model.body(torch.tensor([nearest + other])) for other in OTHER_SIZES]


def _whole_area(surface: Surface) -> float:
    """The surface of the whole person (square metres), told by the silhouette of what was seen from one side."""
    seen, share = float(surface.face_areas.sum()), openness(surface)
    return SILHOUETTES * share * seen if share > OPEN else seen


def _checked(person: Person, names: list[str], scans: list[FineScan]) -> Registration:
    """The registration without the scans that the fitted person does not explain."""
    failed: dict[str, str] = {}
    kept, residuals = [], []
    for number, (name, scan, state) in enumerate(zip(names, scans, person.states, strict=True)):
        away, explained, seen = _distances(person.body, scan, state)
        if away > MAX_AWAY_MM or explained < MIN_EXPLAINED:
            failed[name] = f"no body comes nearer than {away:.0f} mm on average: it is no part of a person"
        elif seen < MIN_SEEN:
            failed[name] = f"it shows {100 * seen:.0f} % of a person, too little to tell the rest"
        else:
            kept.append(number)
            residuals.append(away)
    need_some(kept, failed)
    states = PoseState.join([person.states[number] for number in kept])
    return Registration(
        person.body,
        tuple(names[number] for number in kept),
        roma.rotmat_to_rotvec(states.rotations),
        states.translation,
        torch.tensor(residuals),
        tuple(failed.items()),
    )


def _distances(body: Body, scan: FineScan, state: PoseState) -> tuple[float, float, float]:
    """Mean distance of the scan from the body (millimetres), shares of the scan and of the body that are matched."""
    posed = Surface(pose_body(body, state), body.faces)
    away: Tensor = posed.closest(scan.samples.points).distance
    probes = posed.sample(SAMPLES, torch.Generator().manual_seed(0)).points
    back = scan.surface.closest(probes).distance
    return 1000 * float(away.mean()), float((away < COVER).float().mean()), float((back < COVER).float().mean())
