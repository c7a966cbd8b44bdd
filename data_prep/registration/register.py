"""Registration: find the shape of a scanned person and the pose of every scan, from raw meshes alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.body import Body
from body_models.errors import InputError
from body_models.model import BodyModel
from data_prep.registration.checks import (
    MAX_COARSE_COST,
    body_of_size,
    fit_notes,
    folded,
    measure_fit,
    need_some,
    odd_volume,
    scan_volume,
    shape_complaint,
)
from data_prep.registration.coarse import SEARCH_POINTS, Candidates, PoseSearch
from data_prep.registration.extremities import misplaced, turn_extremities
from data_prep.registration.fine import FineScan, refine_pose
from data_prep.registration.kinematics import PoseState
from data_prep.registration.parallel import Workers, scan_workers
from data_prep.registration.personal import Person, Progress, dress, personalise, search_bad_ones
from data_prep.registration.swarm import ScanPoints
from data_prep.scans import Scan
from data_prep.surface import Surface

POOR = 1.25
"""A scan is searched again when it costs so many times the median."""
GIVEN_POSE_TURNS, GIVEN_POSE_SMOOTHNESS = 3, 5.0
"""Rounds of dressing a body whose poses are given, and the stiffness of its clothes."""


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
    notes: tuple[str, ...] = ()
    """What to look at: scans that were kept though they fit badly."""


def register(
    model: BodyModel,
    scans: Sequence[Scan],
    seed: int = 0,
    progress: Progress = lambda stage, done, total: None,
    hints: Float[Tensor, "scan bone 3"] | None = None,
) -> Registration:
    """Fit shape (shared) and poses to raw scans of one person (metres, Y up, any heading): no landmarks.

    `hints` are rough poses, one a scan (axis-angle), to start from besides the usual ones. Scans that cannot be
    explained by a body are left out and named. Raises InputError when none can.
    """
    failed: dict[str, str] = {}
    with scan_workers() as workers:
        targets = _whole_people(scans, failed)
        volumes = torch.tensor([target.volume for target in targets])
        body = body_of_size(model, float(volumes.median()))
        known = {} if hints is None else {scan.name: hint for scan, hint in zip(scans, hints, strict=True)}
        targets, states = _find_poses(body, targets, failed, seed, workers, progress, known)
        fine = [target.fine(seed) for target in targets]
        person = personalise(model, Person(body, states), fine, seed, workers, progress)
        person = search_bad_ones(person, fine, seed, workers)
        return _checked(person, targets, fine, failed)


def register_known_poses(
    model: BodyModel,
    scans: Sequence[Scan],
    poses: Float[Tensor, "scan bone 3"],
    translations: Float[Tensor, "scan 3"],
    betas: Float[Tensor, "shape"],
    seed: int = 0,
) -> Registration:
    """Dress the body of given betas with the scans' clothes; poses stay as given (axis-angle, metres).

    Scans that are far from the posed body are left out and named. Raises InputError when all are, or when the numbers
    of scans and poses differ.
    """
    if len(scans) != len(poses):
        raise InputError(f"{len(scans)} scans but {len(poses)} poses. Give one pose for each scan, in the same order.")
    need_some(scans, {})
    states = [PoseState.from_pose(p[None], t[None]) for p, t in zip(poses, translations, strict=True)]
    with scan_workers() as workers:
        targets = [_Target(scan.name, scan_surface(scan), 0.0) for scan in scans]
        fine = [target.fine(seed) for target in targets]
        generator = torch.Generator().manual_seed(seed)
        person = Person(model.body(betas), states)
        for _ in range(GIVEN_POSE_TURNS):
            person = dress(person, fine, GIVEN_POSE_SMOOTHNESS, generator, workers)
        return _checked(person, targets, fine, {})


def register_to_body(
    body: Body, scans: Sequence[Scan], seed: int = 0, progress: Progress = lambda stage, done, total: None
) -> Registration:
    """Find the poses of scans of a person whose body is known already (an avatar's).

    Scans that cannot be explained by the body are left out and named. Raises InputError when none can.
    """
    failed: dict[str, str] = {}
    with scan_workers() as workers:
        targets, states = _find_poses(body, _whole_people(scans, failed), failed, seed, workers, progress, {})
        fine = [target.fine(seed) for target in targets]
        states = turn_extremities(body, states, fine, workers)
        pairs = list(zip(fine, states, strict=True))
        refined = workers.map(lambda pair: refine_pose(body, pair[0], pair[1], seed), pairs)
        person = search_bad_ones(Person(body, refined), fine, seed, workers)
        return _checked(person, targets, fine, failed)


@dataclass(frozen=True)
class _Target:
    """A scan on its way through registration."""

    name: str
    surface: Surface
    volume: float
    """Cubic metres; zero where the poses are given and nobody asks."""

    def points(self, seed: int) -> ScanPoints:
        """Points for the search of a pose."""
        samples = self.surface.sample(SEARCH_POINTS, torch.Generator().manual_seed(seed))
        return ScanPoints(samples.points, samples.normals)

    def fine(self, seed: int) -> FineScan:
        """The scan prepared for precise matching."""
        return FineScan.of(self.surface, seed + 1)


def _whole_people(scans: Sequence[Scan], failed: dict[str, str]) -> list[_Target]:
    """The scans that may be a person by their volume and flatness; the others are added to the failed ones."""
    targets = []
    for scan in scans:
        surface = scan_surface(scan)
        volume = scan_volume(surface)
        complaint = shape_complaint(surface, volume)
        if complaint:
            failed[scan.name] = complaint
        else:
            targets.append(_Target(scan.name, surface, volume))
    need_some(targets, failed)
    median = sorted(target.volume for target in targets)[len(targets) // 2]
    for target in list(targets):
        complaint = odd_volume(target.volume, median)
        if complaint:
            failed[target.name] = complaint
            targets.remove(target)
    return targets


def _find_poses(
    body: Body,
    targets: list[_Target],
    failed: dict[str, str],
    seed: int,
    workers: Workers,
    progress: Progress,
    hints: dict[str, Float[Tensor, "bone 3"]],
) -> tuple[list[_Target], list[PoseState]]:
    """The targets in which a person was found, with their rough poses; the others are added to the failed ones."""
    search = PoseSearch(body)

    def find(target: _Target) -> Candidates:
        hint = hints.get(target.name)
        extra = None if hint is None else PoseState.from_pose(hint[None], hint.new_zeros(1, 3))
        return search.find(target.points(seed), extra)

    found = workers.map(
        find,
        targets,
        lambda count: progress("finding poses", count, len(targets)),
    )
    found = _search_again(search, targets, found, seed, workers)
    kept = [number for number, candidates in enumerate(found) if candidates.cost[0] <= MAX_COARSE_COST]
    for number, target in enumerate(targets):
        if number not in kept:
            failed[target.name] = "no pose of one whole human body matches it"
    need_some(kept, failed)
    return [targets[number] for number in kept], [found[number].best for number in kept]


def _search_again(
    search: PoseSearch, targets: list[_Target], found: list[Candidates], seed: int, workers: Workers
) -> list[Candidates]:
    """Give scans that fit much worse than the rest another chance, starting from the poses found for the others too."""
    limit = POOR * float(torch.stack([candidates.cost[0] for candidates in found]).median())
    poor = [number for number, candidates in enumerate(found) if candidates.cost[0] > limit]
    known = PoseState.join([candidates.best for n, candidates in enumerate(found) if n not in poor])
    again = workers.map(lambda number: search.find(targets[number].points(seed + 7), known), poor)
    best = list(found)
    for number, candidates in zip(poor, again, strict=True):
        best[number] = min(found[number], candidates, key=lambda c: float(c.cost[0]))
    return best


def _checked(person: Person, targets: list[_Target], fine: list[FineScan], failed: dict[str, str]) -> Registration:
    """The registration without the scans that the fitted person does not explain."""
    kept, residuals = [], []
    for number, (target, scan, state) in enumerate(zip(targets, fine, person.states, strict=True)):
        fit = measure_fit(person.body, scan, state)
        complaint = fit.complaint or (folded(person.body, target.volume) if target.volume else "")
        if complaint:
            failed[target.name] = complaint
        else:
            kept.append(number)
            residuals.append(fit.residual_mm)
    need_some(kept, failed)
    names = tuple(targets[number].name for number in kept)
    placed = [misplaced(person.body, fine[number], person.states[number]) for number in kept]
    states = PoseState.join([person.states[number] for number in kept])
    return Registration(
        person.body,
        names,
        roma.rotmat_to_rotvec(states.rotations),
        states.translation,
        torch.tensor(residuals),
        tuple(failed.items()),
        fit_notes(names, residuals, placed),
    )


def scan_surface(scan: Scan) -> Surface:
    """A scan's triangles, ready for queries."""
    return Surface(torch.as_tensor(scan.vertices, dtype=torch.float32), torch.as_tensor(scan.faces, dtype=torch.int64))
