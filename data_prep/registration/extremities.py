"""Feet and hands: too small to show in a scan's residual, so judged by what lies near them and tried in other turns."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from body_models.body import Body
from data_prep.registration.coarse import SEARCH_POINTS, PoseSearch
from data_prep.registration.fine import FineScan, pose_body
from data_prep.registration.kinematics import PoseState, descendants
from data_prep.registration.parallel import Workers
from data_prep.registration.priors import extremity_options
from data_prep.surface import Surface

SUSPECT = 1.5
"""A foot (hand) so many times as far from its scan as the person's feet (hands) usually are is turned otherwise."""
BETTER = 0.8
"""Share of its distance that another turn may leave, to be taken."""
HOPEFUL = 4
"""Turns, best for the whole body first, that are measured at the foot or hand itself."""
MISPLACED_MM = 25.0
"""A foot or hand farther from its scan on average is not where the scan has it; bent shoes reach 14."""


@dataclass(frozen=True)
class Extremity:
    """A foot or a hand: the joint that turns it, its share of the surface, turns to try."""

    name: str
    joint: int
    vertices: Bool[Tensor, "vertex"]
    turns: Float[Tensor, "option 3 3"]


def extremities(body: Body) -> list[Extremity]:
    """Both feet and both hands."""
    below, found = descendants(body.skeleton.parents), []
    for joint, turns in extremity_options(body):
        name = body.skeleton.joint_names[joint].replace("_", " ").replace("ankle", "foot").replace("wrist", "hand")
        found.append(Extremity(name, joint, body.skinning_weights @ below[joint] > 0.5, turns))
    return found


def extremity_residuals(
    body: Body, scan: FineScan, state: PoseState, parts: Sequence[Extremity]
) -> Float[Tensor, "part"]:
    """Mean distance of each part to the scan and of the scan's points nearest to it back, averaged, millimetres."""
    posed = Surface(pose_body(body, state), body.faces)
    to_body = posed.closest(scan.samples.points)
    residuals = []
    for part in parts:
        out = scan.surface.closest(posed.vertices[part.vertices]).distance.mean()
        back = to_body.distance[part.vertices[body.faces[to_body.face]].any(1)]
        residuals.append(500.0 * (out + (back.mean() if len(back) else out)))
    return torch.stack(residuals)


def turn_extremities(body: Body, states: list[PoseState], scans: list[FineScan], workers: Workers) -> list[PoseState]:
    """Try other turns of every foot and hand that fits worse than the person's others, and keep what fits better."""
    search, parts = PoseSearch(body), extremities(body)
    numbers = range(len(scans))
    residuals = workers.map(lambda n: extremity_residuals(body, scans[n], states[n], parts), numbers)
    usual = _usual(torch.stack(residuals), parts)

    def mend(number: int) -> PoseState:
        state = states[number]
        for part, residual, limit in zip(parts, residuals[number].tolist(), (SUSPECT * usual).tolist(), strict=True):
            if residual > limit:
                state = _turned(search, scans[number], state, part)
        return state

    return workers.map(mend, numbers)


def misplaced(body: Body, scan: FineScan, state: PoseState) -> list[str]:
    """Names of the feet and hands that are not where the scan has them."""
    parts = extremities(body)
    residuals = extremity_residuals(body, scan, state, parts)
    return [part.name for part, residual in zip(parts, residuals.tolist(), strict=True) if residual > MISPLACED_MM]


def _turned(search: PoseSearch, scan: FineScan, state: PoseState, part: Extremity) -> PoseState:
    """The state, or the best of those with the part turned otherwise and settled, if clearly better at the part."""
    rotations = state.rotations.repeat(len(part.turns), 1, 1, 1)
    rotations[:, part.joint] = part.turns
    trials = PoseState(rotations, state.translation.repeat(len(part.turns), 1))
    found = search.settle(scan.samples.first(SEARCH_POINTS), trials).state
    best = state
    least = BETTER * float(extremity_residuals(search.body, scan, state, [part]))
    for index in range(min(HOPEFUL, len(found.translation))):
        trial = found.select(torch.tensor([index]))
        residual = float(extremity_residuals(search.body, scan, trial, [part]))
        if residual < least:
            best, least = trial, residual
    return best


def _usual(residuals: Float[Tensor, "scan part"], parts: Sequence[Extremity]) -> Float[Tensor, "part"]:
    """The median over all scans and both sides, for each part."""
    kinds = [part.name.split()[-1] for part in parts]
    return torch.stack([residuals[:, [k == kind for k in kinds]].median() for kind in kinds])
