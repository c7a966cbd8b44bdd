"""Find a scan's rough pose from nothing: many starts at once, pruned as they converge (iterative closest points)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.body import Body
from body_models.skeleton import rotation_matrices
from data_prep.registration.kinematics import PoseState, SurfacePoints, bone_transforms, pose_jacobian, pose_points
from data_prep.registration.priors import limb_options, limb_twists, start_poses, start_rotations
from data_prep.registration.solve import PosePrior, damped_step, facing, geman_mcclure, normal_equations

NORMAL_SCALE = 0.12
"""Metres that a unit of normal disagreement counts for when points are matched."""
TOLERANCE = 0.02
"""Expected distance between scan and body, metres; weighs the data against the prior."""


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

LIMB_ROUND = Round(keep=160, points=300, scales=(0.3, 0.2, 0.2, 0.15, 0.15, 0.1, 0.1))
LIMB_TRIALS = 3


@dataclass(frozen=True)
class ScanPoints:
    """Points on a scan with outward normals (metres)."""

    points: Float[Tensor, "point 3"]
    normals: Float[Tensor, "point 3"]

    def first(self, count: int) -> "ScanPoints":
        """The first points only; samples are in random order."""
        return ScanPoints(self.points[:count], self.normals[:count])


@dataclass(frozen=True)
class Candidates:
    """Poses that explain a scan, best first; cost is a robust mean squared distance over tolerance squared."""

    state: PoseState
    cost: Float[Tensor, "start"]


def search_pose(
    body: Body, normals: Float[Tensor, "vertex 3"], scan: ScanPoints, extra: PoseState | None = None
) -> Candidates:
    """Poses of a body that match a scan, searched from every heading and several limb positions."""
    order = spread_vertices(body.vertices, max(level.points for level in (*ROUNDS, LIMB_ROUND)))
    problem = _Problem(body, normals, scan, PosePrior.of(body), order)
    found = problem.run(ROUNDS, initial_states(body, scan, extra))
    for _ in range(LIMB_TRIALS):
        best = found.state.select(torch.arange(min(2, len(found.cost))))
        varied = problem.run((LIMB_ROUND, ROUNDS[-1]), limb_variants(body, best))
        merged = torch.cat([found.cost, varied.cost]).argsort()
        improved = varied.cost[0] < found.cost[0] - 0.3
        found = Candidates(
            found.state.joined(varied.state).select(merged), torch.cat([found.cost, varied.cost])[merged]
        )
        if not improved:
            break
    return found


@dataclass(frozen=True)
class _Problem:
    """A body, a scan and what is prepared for matching them."""

    body: Body
    normals: Float[Tensor, "vertex 3"]
    scan: ScanPoints
    prior: PosePrior
    order: Tensor

    def run(self, levels: tuple[Round, ...], state: PoseState) -> Candidates:
        """Refine the states level by level, keeping the best of each."""
        cost = torch.zeros(len(state.translation))
        for level in levels:
            state = state.select(cost.argsort()[: level.keep])
            subset = self.order[: level.points]
            surface = SurfacePoints(
                self.body.vertices[subset][None], self.body.skinning_weights[subset][None], self.normals[subset][None]
            )
            samples = self.scan.first(level.points)
            for scale in level.scales:
                state = icp_step(self.body, surface, samples, state, self.prior, scale)
            cost = matching_cost(self.body, surface, samples, state, self.prior)
        best = cost.argsort()
        return Candidates(state.select(best), cost[best])


def limb_variants(body: Body, state: PoseState) -> PoseState:
    """Each state with each limb in turn put into every other position or twisted: repairs a limb that went astray."""
    joined = state
    for limb in limb_options(body):
        replaced = state.rotations.repeat_interleave(len(limb.poses), 0)
        replaced[:, list(limb.joints)] = rotation_matrices(limb.poses).repeat(len(state.rotations), 1, 1, 1)
        twists, bend = limb_twists(body, limb.upper, limb.lower)
        twisted = state.rotations.repeat_interleave(len(twists), 0)
        twisted[:, limb.upper] = twisted[:, limb.upper] @ twists.repeat(len(state.rotations), 1, 1)
        twisted[:, limb.lower] = bend
        for rotations in (replaced, twisted):
            copies = len(rotations) // len(state.rotations)
            joined = joined.joined(PoseState(rotations, state.translation.repeat_interleave(copies, 0)))
    return joined


def initial_states(body: Body, scan: ScanPoints, extra: PoseState | None) -> PoseState:
    """Every starting heading with every limb position, the body's centre on the scan's."""
    headings, poses = start_rotations(), start_poses(body)
    pose = poses.repeat(len(headings), 1, 1)
    state = PoseState.from_pose(pose, torch.zeros(len(pose), 3))
    rotations = state.rotations.clone()
    rotations[:, 0] = headings.repeat_interleave(len(poses), 0)
    if extra is not None:
        rotations = torch.cat([rotations, extra.rotations])
    state = PoseState(rotations, torch.zeros(len(rotations), 3))
    transforms = bone_transforms(state, body.joints[None], body.skeleton.parents)
    every = slice(None, None, max(1, len(body.vertices) // 400))
    surface = SurfacePoints(
        body.vertices[every][None], body.skinning_weights[every][None], torch.zeros_like(body.vertices[every])[None]
    )
    centre = pose_points(surface, transforms)[0].mean(1)
    return PoseState(rotations, scan.points.mean(0) - centre)


def icp_step(
    body: Body, surface: SurfacePoints, scan: ScanPoints, state: PoseState, prior: PosePrior, scale: float
) -> PoseState:
    """Match in both directions, then one Gauss-Newton step for all starts."""
    transforms = bone_transforms(state, body.joints[None], body.skeleton.parents)
    posed, posed_normals = pose_points(surface, transforms)
    metric, pull = _matches(posed, posed_normals, scan, scale)
    jacobian = pose_jacobian(surface, transforms, body.joints[None], body.skeleton.parents)
    matrix, gradient = normal_equations(jacobian, metric, pull)
    prior_matrix, prior_gradient, _ = prior.terms(state)
    step = damped_step(matrix + prior_matrix, gradient + prior_gradient, damping=0.01)
    return state.moved(torch.nan_to_num(step))


def _matches(
    posed: Float[Tensor, "start point 3"],
    posed_normals: Float[Tensor, "start point 3"],
    scan: ScanPoints,
    scale: float,
) -> tuple[Float[Tensor, "start point 3 3"], Float[Tensor, "start point 3"]]:
    """Per body point the summed metric and pull of its matches, point-to-plane with a little point-to-point."""
    to_scan, to_body = _nearest(posed, posed_normals, scan)
    metric_out, pull_out = _pulls(posed, posed_normals, scan.points[to_scan], scan.normals[to_scan], scale)
    index = to_body[..., None].expand(-1, -1, 3)
    metric_in, pull_in = _pulls(
        posed.gather(1, index),
        posed_normals.gather(1, index),
        scan.points.expand(len(posed), -1, -1),
        scan.normals.expand(len(posed), -1, -1),
        scale,
    )
    metric = metric_out.scatter_add(1, to_body[..., None, None].expand(-1, -1, 3, 3), metric_in)
    pull = pull_out.scatter_add(1, index, pull_in)
    return metric, pull


def _nearest(
    posed: Float[Tensor, "start point 3"], posed_normals: Float[Tensor, "start point 3"], scan: ScanPoints
) -> tuple[Tensor, Tensor]:
    unit = torch.nn.functional.normalize(posed_normals, dim=-1)
    features = torch.cat([posed, NORMAL_SCALE * unit], -1)
    scan_features = torch.cat([scan.points, NORMAL_SCALE * scan.normals], -1)
    distance = torch.cdist(features, scan_features.expand(len(posed), -1, -1))
    return distance.argmin(2), distance.argmin(1)


def _pulls(
    points: Float[Tensor, "start point 3"],
    normals: Float[Tensor, "start point 3"],
    targets: Float[Tensor, "start point 3"],
    target_normals: Float[Tensor, "start point 3"],
    scale: float,
) -> tuple[Float[Tensor, "start point 3 3"], Float[Tensor, "start point 3"]]:
    gap = targets - points
    squared = (gap**2).sum(-1)
    agreement = 0.1 + 0.9 * facing(normals, target_normals)
    weight = geman_mcclure(squared, scale) * agreement / (TOLERANCE**2 * points.shape[1]) * 100.0
    plane = target_normals[..., :, None] * target_normals[..., None, :]
    metric = weight[..., None, None] * (0.7 * plane + 0.3 * torch.eye(3).to(points))
    return metric, (metric @ gap[..., None])[..., 0]


def matching_cost(
    body: Body, surface: SurfacePoints, scan: ScanPoints, state: PoseState, prior: PosePrior
) -> Float[Tensor, "start"]:
    """How badly each pose explains the scan: distances with normals, both ways, and limits overstepped."""
    transforms = bone_transforms(state, body.joints[None], body.skeleton.parents)
    posed, normals = pose_points(surface, transforms)
    unit = torch.nn.functional.normalize(normals, dim=-1)
    features = torch.cat([posed, NORMAL_SCALE / 2 * unit], -1)
    target = torch.cat([scan.points, NORMAL_SCALE / 2 * scan.normals], -1).expand(len(posed), -1, -1)
    distance = torch.cdist(features, target)
    matched = distance.amin(2).clamp_max(0.2).pow(2).mean(1) + distance.amin(1).clamp_max(0.2).pow(2).mean(1)
    return matched / TOLERANCE**2 + 0.004 * prior.terms(state)[2]


def spread_vertices(vertices: Float[Tensor, "vertex 3"], count: int) -> Tensor:
    """Indices of evenly spread vertices, each prefix itself evenly spread (farthest point sampling)."""
    count = min(count, len(vertices))
    chosen = [int(vertices[:, 1].argmax())]
    distance = torch.full((len(vertices),), torch.inf)
    for _ in range(count - 1):
        distance = torch.minimum(distance, ((vertices - vertices[chosen[-1]]) ** 2).sum(1))
        chosen.append(int(distance.argmax()))
    return torch.tensor(chosen)
