"""Find a scan's rough pose from nothing: many starts at once, pruned as they converge."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from body_models.body import Body
from body_models.skeleton import rotation_matrices
from data_prep.registration.kinematics import PoseState, SurfacePoints, bone_transforms, pose_points
from data_prep.registration.priors import extremity_options, limb_options, limb_twists, start_poses, start_rotations
from data_prep.registration.solve import PosePrior
from data_prep.registration.swarm import Probes, ScanPoints, icp_step, matching_cost
from data_prep.surface import Surface


@dataclass(frozen=True)
class Round:
    """One level of the search: how many starts survive into it, points used, robust scales in metres."""

    keep: int
    points: int
    scales: tuple[float, ...]


ROUNDS = (
    Round(keep=256, points=200, scales=(0.5, 0.4, 0.3, 0.25, 0.2, 0.2)),
    Round(keep=32, points=350, scales=(0.2, 0.2, 0.15, 0.15, 0.12, 0.12, 0.1, 0.1)),
    Round(keep=6, points=1000, scales=(0.15, 0.1, 0.1, 0.08, 0.08, 0.08, 0.06, 0.06, 0.06, 0.06)),
)
LIMB_ROUND = Round(keep=224, points=300, scales=(0.3, 0.2, 0.2, 0.15, 0.15, 0.1, 0.1))
LIMB_TRIALS = 3
WORTHWHILE = 0.3
"""Cost that a trial of other limb positions must save for another one to follow."""


@dataclass(frozen=True)
class Candidates:
    """Poses that explain a scan, best first, with their matching costs."""

    state: PoseState
    cost: Float[Tensor, "start"]

    @property
    def best(self) -> PoseState:
        """The pose of least cost."""
        return self.state.select(torch.tensor([0]))

    def shifted(self, by: Float[Tensor, "3"]) -> "Candidates":
        """The same poses elsewhere (metres)."""
        return Candidates(PoseState(self.state.rotations, self.state.translation + by), self.cost)

    def merged(self, other: "Candidates") -> "Candidates":
        """Both sets, best first."""
        cost = torch.cat([self.cost, other.cost])
        order = cost.argsort()
        return Candidates(PoseState.join([self.state, other.state]).select(order), cost[order])


SEARCH_POINTS = max(level.points for level in (*ROUNDS, LIMB_ROUND))
"""Points that a scan needs for the search."""


class PoseSearch:
    """Searches poses of one body; prepared once, used for many scans."""

    def __init__(self, body: Body) -> None:
        self.body = body
        prior, normals = PosePrior.of(body), Surface(body.vertices, body.faces).vertex_normals
        levels = (*ROUNDS, LIMB_ROUND)
        order = spread_vertices(body.vertices, SEARCH_POINTS)
        self._probes = {n: Probes.of(body, prior, normals, order[:n]) for n in {level.points for level in levels}}

    def find(self, scan: ScanPoints, extra: PoseState | None = None) -> Candidates:
        """Poses that match a scan, from every heading and several limb positions; `extra` gives more turns to try."""
        centre = scan.points.mean(0)  # far from the origin the distances would lose digits
        scan = ScanPoints(scan.points - centre, scan.normals)
        found = self._run(scan, ROUNDS, self._starts(extra))
        for _ in range(LIMB_TRIALS):
            best = found.state.select(torch.arange(min(2, len(found.cost))))
            varied = self._run(scan, (LIMB_ROUND, ROUNDS[-1]), limb_variants(self.body, best))
            improved = bool(varied.cost[0] < found.cost[0] - WORTHWHILE)
            found = found.merged(varied)
            if not improved:
                break
        return found.shifted(centre)

    def settle(self, scan: ScanPoints, states: PoseState) -> Candidates:
        """Refine given poses on the search's last level, all of them."""
        centre = scan.points.mean(0)
        scan = ScanPoints(scan.points - centre, scan.normals)
        level = replace(ROUNDS[-1], keep=len(states.translation))
        return self._run(scan, (level,), PoseState(states.rotations, states.translation - centre)).shifted(centre)

    def cost(self, scan: ScanPoints, state: PoseState) -> Float[Tensor, "start"]:
        """Matching costs of given poses, comparable with those of `find`."""
        return matching_cost(self._probes[ROUNDS[-1].points], scan, state)

    def _run(self, scan: ScanPoints, levels: tuple[Round, ...], state: PoseState) -> Candidates:
        """Refine the states level by level, keeping the best of each."""
        cost = torch.zeros(len(state.translation))
        for level in levels:
            state = state.select(cost.argsort(stable=True)[: level.keep])
            probes, samples = self._probes[level.points], scan.first(level.points)
            for scale in level.scales:
                state = icp_step(probes, samples, state, scale)
            cost = matching_cost(probes, samples, state)
        best = cost.argsort(stable=True)
        return Candidates(state.select(best), cost[best])

    def _starts(self, extra: PoseState | None) -> PoseState:
        """Every starting heading with every limb position, the body's centre on the origin."""
        headings, poses = start_rotations(), start_poses(self.body)
        rotations = rotation_matrices(poses).repeat(len(headings), 1, 1, 1)
        rotations[:, 0] = headings.repeat_interleave(len(poses), 0)
        if extra is not None:
            rotations = torch.cat([extra.rotations, rotations])
        state = PoseState(rotations, torch.zeros(len(rotations), 3))
        every = slice(None, None, max(1, len(self.body.vertices) // 400))
        points = SurfacePoints(self.body.vertices[every][None], self.body.skinning_weights[every][None])
        transforms = bone_transforms(state, self.body.joints[None], self.body.skeleton.parents)
        return PoseState(rotations, -pose_points(points, transforms).mean(1))


def limb_variants(body: Body, state: PoseState) -> PoseState:
    """Each state with each limb put elsewhere or twisted, each foot and hand turned: repairs what went astray."""
    trials = []
    for limb in limb_options(body):
        replaced = state.rotations.repeat_interleave(len(limb.poses), 0)
        replaced[:, list(limb.joints)] = rotation_matrices(limb.poses).repeat(len(state.rotations), 1, 1, 1)
        twists, bend = limb_twists(body, limb.upper, limb.lower)
        twisted = state.rotations.repeat_interleave(len(twists), 0)
        twisted[:, limb.upper] = twisted[:, limb.upper] @ twists.repeat(len(state.rotations), 1, 1)
        twisted[:, limb.lower] = bend
        trials += [replaced, twisted]
    for joint, turns in extremity_options(body):
        turned = state.rotations.repeat_interleave(len(turns), 0)
        turned[:, joint] = turns.repeat(len(state.rotations), 1, 1)
        trials.append(turned)
    states = [state]
    for rotations in trials:
        copies = len(rotations) // len(state.rotations)
        states.append(PoseState(rotations, state.translation.repeat_interleave(copies, 0)))
    return PoseState.join(states)


def spread_vertices(vertices: Float[Tensor, "vertex 3"], count: int) -> Int[Tensor, "chosen"]:
    """Indices of evenly spread vertices, each prefix itself evenly spread (farthest point sampling)."""
    count = min(count, len(vertices))
    chosen = [int(vertices[:, 1].argmax())]
    distance = torch.full((len(vertices),), torch.inf)
    for _ in range(count - 1):
        distance = torch.minimum(distance, ((vertices - vertices[chosen[-1]]) ** 2).sum(1))
        chosen.append(int(distance.argmax()))
    return torch.tensor(chosen)
