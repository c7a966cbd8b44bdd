"""Fit one person to all scans together: a shape shared by the sequence and a pose for each scan."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from body_models.body import Body
from body_models.model import BodyModel
from data_prep.registration.checks import measure_fit, odd_residuals
from data_prep.registration.clothes import fit_clothes
from data_prep.registration.coarse import SEARCH_POINTS, PoseSearch
from data_prep.registration.extremities import turn_extremities
from data_prep.registration.fine import (
    FineScan,
    Matches,
    ScanBlocks,
    ShapeSpace,
    fine_prior,
    match,
    pose_body,
    random_faces,
    refine_pose,
    reshaped,
    scan_blocks,
    solve_shape,
)
from data_prep.registration.kinematics import PoseState
from data_prep.registration.parallel import Workers
from data_prep.registration.solve import PosePrior, shortened
from data_prep.surface import Surface

Progress = Callable[[str, int, int], None]
"""Called with the stage's name, steps done and steps in all."""
STAGE = "fitting the person's shape"
SHAPE_SCALES = (0.06, 0.06, 0.05, 0.05, 0.04, 0.04, 0.03, 0.03)
JOINT_SCALES = (0.06, 0.05, 0.05)
CLOTHES_SCALE = 0.06
"""Robust scales, metres: one Gauss-Newton step for each."""
CLEARLY = 0.15
"""Matching cost that a pose searched anew must save to replace the old one."""
POOR, POOR_TRIES = 1.2, 3
"""A pose that costs so many times the median is searched so often, each time on other points of its scan."""
SMOOTHNESS = (8.0, 4.0, 3.0)
"""How stiff the clothes are in each turn of fitting them."""


@dataclass(frozen=True)
class Person:
    """A body fitted to scans, with a pose for each of them."""

    body: Body
    states: list[PoseState]


def personalise(
    model: BodyModel, person: Person, scans: list[FineScan], seed: int, workers: Workers, progress: Progress
) -> Person:
    """Shape, then clothes, joints and poses in turn."""
    generator = torch.Generator().manual_seed(seed)
    turns = len(SMOOTHNESS) + 1
    progress(STAGE, 0, turns)
    person = fit_shape(person, scans, shape_space(model, 0.015), SHAPE_SCALES, generator, workers)
    for turn, smoothness in enumerate(SMOOTHNESS):
        progress(STAGE, turn + 1, turns)
        person = dress(person, scans, smoothness, generator, workers)
        if turn == 0:
            person = look_again(person, scans, workers)
        person = Person(person.body, turn_extremities(person.body, person.states, scans, workers))
        person = fit_shape(person, scans, joint_space(person.body, 0.01), JOINT_SCALES, generator, workers)
    progress(STAGE, turns, turns)
    return person


def look_again(person: Person, scans: list[FineScan], workers: Workers) -> Person:
    """Search the worse half of the poses anew with the person's own body, and keep what fits clearly better."""
    search = PoseSearch(person.body)
    points = [scan.samples.first(SEARCH_POINTS) for scan in scans]
    costs = [float(search.cost(p, state)) for p, state in zip(points, person.states, strict=True)]
    poor = POOR * sorted(costs)[len(costs) // 2]

    def look(number: int) -> PoseState:
        tries = POOR_TRIES if costs[number] > poor else 1
        best, least = person.states[number], costs[number] - CLEARLY
        for samples in scans[number].samples.parts(SEARCH_POINTS)[:tries]:
            found = search.find(samples, best).best
            cost = float(search.cost(points[number], found))
            if cost < least:
                best, least = found, cost
        return best

    worse = sorted(range(len(scans)), key=lambda number: -costs[number])[: (len(scans) + 1) // 2]
    states = list(person.states)
    for number, state in zip(worse, workers.map(look, worse), strict=True):
        states[number] = state
    return Person(person.body, states)


def search_bad_ones(person: Person, scans: list[FineScan], seed: int, workers: Workers) -> Person:
    """Search scans that fit much worse than most others anew with the final body, and keep what fits better."""
    body, numbers = person.body, range(len(scans))
    residuals = workers.map(lambda n: measure_fit(body, scans[n], person.states[n]).residual_mm, numbers)
    odd = odd_residuals(residuals)
    if not odd:
        return person
    search = PoseSearch(body)
    known = PoseState.join(person.states)

    def look(number: int) -> PoseState:
        parts = scans[number].samples.parts(SEARCH_POINTS)[:POOR_TRIES]
        trials = [refine_pose(body, scans[number], search.find(part, known).best, seed) for part in parts]
        tried = [person.states[number], *trials]
        return min(tried, key=lambda state: measure_fit(body, scans[number], state).residual_mm)

    states = list(person.states)
    for number, state in zip(odd, workers.map(look, odd), strict=True):
        states[number] = state
    return Person(body, states)


def dress(
    person: Person, scans: list[FineScan], smoothness: float, generator: torch.Generator, workers: Workers
) -> Person:
    """Displace the person's surface along its normals towards all scans; poses stay."""
    matches = match_all(person, scans, CLOTHES_SCALE, generator, workers)
    return Person(fit_clothes(person.body, person.states, matches, smoothness), person.states)


def shape_space(model: BodyModel, joint_sigma: float) -> ShapeSpace:
    """Betas (unit variance) and free shifts of the joints (standard deviation in metres)."""
    bones, betas = len(model.skeleton), len(model.shape_basis)
    fixed = torch.zeros(len(model.template), 3, 3 * bones)
    shifts = torch.eye(3 * bones).reshape(bones, 3, 3 * bones)
    return ShapeSpace(
        torch.cat([model.shape_basis.permute(1, 2, 0), fixed], -1),
        torch.cat([model.shape_basis_joints.permute(1, 2, 0), shifts], -1),
        torch.cat([torch.ones(betas), torch.full((3 * bones,), joint_sigma**-2)]),
    )


def joint_space(body: Body, joint_sigma: float) -> ShapeSpace:
    """Free shifts of the joints only, the surface kept."""
    count = body.joints.numel()
    return ShapeSpace(
        torch.zeros(len(body.vertices), 3, count),
        torch.eye(count).reshape(-1, 3, count),
        torch.full((count,), joint_sigma**-2),
    )


def fit_shape(
    person: Person,
    scans: list[FineScan],
    space: ShapeSpace,
    scales: tuple[float, ...],
    generator: torch.Generator,
    workers: Workers,
) -> Person:
    """Fit the shared shape and the poses; one Gauss-Newton step for each robust scale (metres)."""
    prior = fine_prior(person.body)
    values = torch.zeros(len(space.precision))
    for scale in scales:
        blocks = all_blocks(person, match_all(person, scans, scale, generator, workers), prior, space, workers)
        step, turns = solve_shape(blocks, values, space)
        values = values + step
        states = [state.moved(shortened(turn)) for state, turn in zip(person.states, turns, strict=True)]
        person = Person(reshaped(person.body, space, step), states)
    return person


def all_blocks(
    person: Person, matches: list[Matches], prior: PosePrior, space: ShapeSpace, workers: Workers
) -> list[ScanBlocks]:
    """Every scan's distances, linearised about the person."""

    def linearise(number: int) -> ScanBlocks:
        return scan_blocks(person.body, matches[number], person.states[number], prior, space)

    return workers.map(linearise, range(len(matches)))


def match_all(
    person: Person, scans: list[FineScan], scale: float, generator: torch.Generator, workers: Workers
) -> list[Matches]:
    """Matches of every scan, probing the body at random faces by area."""
    body, rest = person.body, Surface(person.body.vertices, person.body.faces)
    probes = [random_faces(rest, generator) for _ in scans]

    def match_one(number: int) -> Matches:
        posed = Surface(pose_body(body, person.states[number]), body.faces)
        return match(body, posed, scans[number], probes[number], scale)

    return workers.map(match_one, range(len(scans)))
