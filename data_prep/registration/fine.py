"""Precise fits: symmetric point-to-plane distances between a posed body's surface and a scan's, and their derivatives.

Damped Gauss-Newton. A shape shared by a sequence couples its scans, so its normal equations are reduced by each scan's
own pose block (Schur complement).
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from body_models.body import Body
from body_models.skinning import skin
from data_prep.registration.kinematics import (
    PoseState,
    SurfacePoints,
    bone_transforms,
    pose_jacobian,
    pose_points,
    shape_jacobian,
)
from data_prep.registration.solve import PosePrior, add_to_joints, damped_step, geman_mcclure, normal_equations
from data_prep.registration.swarm import TOLERANCE, ScanPoints
from data_prep.surface import Surface

SAMPLES = 3000
"""Points drawn on each scan."""
PROBES = 2500
"""Points tried from the body's side for each scan and step."""
FREEDOM = 2.0
"""How many times softer joints are than in the search: a strongly bent foot, whose few matches the robust scales fade,
must not be drawn back to rest."""
POSE_SCALES = (0.06, 0.05, 0.05, 0.04, 0.04, 0.04, 0.03, 0.03, 0.03, 0.03)
"""Robust scales of a pose's refinement, metres."""


@dataclass(frozen=True)
class ShapeSpace:
    """Linear directions in which a body may change: displacement of surface and joints per unit of parameter."""

    vertices: Float[Tensor, "vertex 3 shape"]
    joints: Float[Tensor, "bone 3 shape"]
    precision: Float[Tensor, "shape"]
    """Inverse variance of each parameter."""


@dataclass(frozen=True)
class FineScan:
    """A scan ready for matching: its surface, evenly drawn points on it, and the faces' unit normals."""

    surface: Surface
    samples: ScanPoints
    face_normals: Float[Tensor, "face 3"]

    @staticmethod
    def of(surface: Surface, seed: int) -> "FineScan":
        """Draw the samples."""
        samples = surface.sample(SAMPLES, torch.Generator().manual_seed(seed))
        return FineScan(surface, ScanPoints(samples.points, samples.normals), surface.face_normals)


@dataclass(frozen=True)
class Matches:
    """Points of the body's surface and where they should go, with weights; for one scan."""

    points: SurfacePoints
    corners: Float[Tensor, "match 3"]
    """Barycentric coordinates of each point."""
    vertices: Int[Tensor, "match 3"]
    """The three vertices of each point's face."""
    targets: Float[Tensor, "match 3"]
    normals: Float[Tensor, "match 3"]
    weights: Float[Tensor, "match"]


def match(body: Body, posed: Surface, scan: FineScan, probes: Int[Tensor, "probe"], scale: float) -> Matches:
    """Closest points both ways between a posed body and a scan; `probes` are the faces tried from the body's side."""
    on_body = posed.closest(scan.samples.points)
    thirds = torch.full((len(probes), 3), 1 / 3)
    on_scan = scan.surface.closest(posed.interpolate(posed.vertices, probes, thirds))
    faces = torch.cat([on_body.face, probes])
    corners = torch.cat([on_body.barycentric, thirds])
    targets = torch.cat([scan.samples.points, on_scan.point])
    target_normals = torch.cat([scan.samples.normals, scan.face_normals[on_scan.face]])
    distance = torch.cat([on_body.distance, on_scan.distance])
    agreement = (posed.face_normals[faces] * target_normals).sum(-1)
    weights = geman_mcclure(distance**2, scale) * ((agreement - 0.3) / 0.7).clamp_min(0)
    vertices = body.faces[faces]
    points = SurfacePoints(
        (body.vertices[vertices] * corners[..., None]).sum(1)[None],
        (body.skinning_weights[vertices] * corners[..., None]).sum(1)[None],
    )
    return Matches(points, corners, vertices, targets, target_normals, weights)


def random_faces(surface: Surface, generator: torch.Generator) -> Int[Tensor, "probe"]:
    """Faces to probe a scan from, drawn by area."""
    return torch.multinomial(surface.face_areas, PROBES, replacement=True, generator=generator)


@dataclass(frozen=True)
class ScanBlocks:
    """Normal equations of one scan, split into its pose and the shared shape."""

    pose: Float[Tensor, "1 parameter parameter"]
    pose_gradient: Float[Tensor, "1 parameter"]
    cross: Float[Tensor, "1 parameter shape"]
    shape: Float[Tensor, "1 shape shape"]
    shape_gradient: Float[Tensor, "1 shape"]


def scan_blocks(
    body: Body, matches: Matches, state: PoseState, prior: PosePrior, space: ShapeSpace | None
) -> ScanBlocks:
    """Linearise one scan's distances about its pose and the shape."""
    transforms = bone_transforms(state, body.joints[None], body.skeleton.parents)
    posed = pose_points(matches.points, transforms)
    jacobian = pose_jacobian(matches.points, transforms, body.joints[None], body.skeleton.parents)
    poses = jacobian.shape[-1]
    if space is not None:
        moved = torch.einsum("mk,mkcs->mcs", matches.corners, space.vertices[matches.vertices])
        by_shape = shape_jacobian(matches.points.weights, moved[None], space.joints, transforms, body.skeleton.parents)
        jacobian = torch.cat([jacobian, by_shape], -1)
    plane = matches.normals[:, :, None] * matches.normals[:, None]
    weight = matches.weights / (TOLERANCE**2 * len(matches.weights)) * 200.0
    metric = (weight[:, None, None] * (0.9 * plane + 0.1 * torch.eye(3)))[None]
    pull = (metric @ (matches.targets - posed)[..., None])[..., 0]
    matrix, gradient = normal_equations(jacobian, metric, pull)
    pulled = prior.terms(state)
    return ScanBlocks(
        add_to_joints(matrix[:, :poses, :poses], pulled.blocks),
        gradient[:, :poses] + pulled.padded_pull(),
        matrix[:, :poses, poses:],
        matrix[:, poses:, poses:],
        gradient[:, poses:],
    )


def solve_shape(
    blocks: list[ScanBlocks], values: Float[Tensor, "shape"], space: ShapeSpace
) -> tuple[Float[Tensor, "shape"], list[Float[Tensor, "1 parameter"]]]:
    """Step of the shared shape and of every scan's pose, by the Schur complement."""
    matrix = torch.diag(space.precision)
    gradient = -space.precision * values
    reduced = []
    for block in blocks:
        damped = block.pose + torch.diag_embed(0.01 * block.pose.diagonal(dim1=-2, dim2=-1))
        solved = torch.linalg.solve(damped, torch.cat([block.cross, block.pose_gradient[..., None]], -1))
        gain, free = solved[..., :-1], solved[..., -1]
        matrix = matrix + (block.shape - block.cross.mT @ gain)[0]
        gradient = gradient + (block.shape_gradient - (block.cross.mT @ free[..., None])[..., 0])[0]
        reduced.append((gain, free))
    step = torch.linalg.solve(matrix + 1e-3 * torch.diag(matrix.diagonal()), gradient)
    return step, [free - (gain @ step) for gain, free in reduced]


def reshaped(body: Body, space: ShapeSpace, step: Float[Tensor, "shape"]) -> Body:
    """The body after a step in its shape space."""
    return replace(body, vertices=body.vertices + space.vertices @ step, joints=body.joints + space.joints @ step)


def fine_prior(body: Body) -> PosePrior:
    """What of the search's prior is left once a rough pose is known."""
    prior = PosePrior.of(body)
    return replace(prior, softness=FREEDOM * prior.softness)


def refine_pose(body: Body, scan: FineScan, state: PoseState, seed: int) -> PoseState:
    """Refine one scan's pose against a body of known shape."""
    prior = fine_prior(body)
    posed = Surface(pose_body(body, state), body.faces)
    probes = random_faces(posed, torch.Generator().manual_seed(seed))
    for scale in POSE_SCALES:
        block = scan_blocks(body, match(body, posed, scan, probes, scale), state, prior, None)
        state = state.moved(damped_step(block.pose, block.pose_gradient, damping=1e-3))
        posed.update(pose_body(body, state))
    return state


def pose_body(body: Body, state: PoseState) -> Float[Tensor, "vertex 3"]:
    """The body's vertices in the pose of a single state."""
    transforms = bone_transforms(state, body.joints[None], body.skeleton.parents)
    return skin(body.vertices, body.skinning_weights, transforms[0])
