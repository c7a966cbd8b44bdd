"""Fit one person to all scans together: a shape shared by the sequence and a pose for each scan.

Damped Gauss-Newton on symmetric point-to-surface distances. The shape (betas, shifts of the joints) couples the scans, so
its normal equations are reduced by each scan's own pose block (Schur complement).
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.body import Body
from data_prep.registration.coarse import TOLERANCE, ScanPoints
from data_prep.registration.kinematics import (
    PoseState,
    SurfacePoints,
    bone_transforms,
    pose_jacobian,
    pose_points,
    shape_jacobian,
)
from data_prep.registration.solve import PosePrior, damped_step, facing, geman_mcclure, normal_equations
from data_prep.surface import Surface


@dataclass(frozen=True)
class ShapeSpace:
    """Linear directions in which a body may change: displacement of surface and joints per unit of parameter."""

    vertices: Float[Tensor, "vertex 3 shape"]
    joints: Float[Tensor, "bone 3 shape"]
    precision: Float[Tensor, "shape"]
    """Inverse variance of each parameter."""


@dataclass(frozen=True)
class FineScan:
    """A scan ready for matching: its surface and evenly drawn points on it."""

    surface: Surface
    samples: ScanPoints


@dataclass(frozen=True)
class Matches:
    """Points of the body's surface and where they should go, with weights; for one scan."""

    points: SurfacePoints
    corners: Float[Tensor, "match 3"]
    """Barycentric coordinates of each point."""
    vertices: Tensor
    """The three vertices of each point's face."""
    targets: Float[Tensor, "match 3"]
    normals: Float[Tensor, "match 3"]
    weights: Float[Tensor, "match"]


def match(body: Body, posed: Surface, scan: FineScan, probes: Tensor, scale: float) -> Matches:
    """Closest points both ways between a posed body and a scan; `probes` are the faces tried from the body's side."""
    on_body = posed.closest(scan.samples.points)
    thirds = torch.full((len(probes), 3), 1 / 3)
    probe_points = (posed.vertices[posed.faces[probes]] * thirds[..., None]).sum(1)
    on_scan = scan.surface.closest(probe_points)
    faces = torch.cat([on_body.face, probes])
    corners = torch.cat([on_body.barycentric, thirds])
    targets = torch.cat([scan.samples.points, on_scan.point])
    target_normals = torch.cat([scan.samples.normals, scan.surface.face_normals[on_scan.face]])
    distance = torch.cat([on_body.distance, on_scan.distance])
    agreement = facing(posed.face_normals[faces], target_normals)
    weights = geman_mcclure(distance**2, scale) * ((agreement - 0.3) / 0.7).clamp_min(0)
    corner_vertices = body.faces[faces]
    points = SurfacePoints(
        (body.vertices[corner_vertices] * corners[..., None]).sum(1)[None],
        (body.skinning_weights[corner_vertices] * corners[..., None]).sum(1)[None],
        torch.zeros(1, len(faces), 3),
    )
    return Matches(points, corners, corner_vertices, targets, target_normals, weights)


@dataclass(frozen=True)
class ScanBlocks:
    """Normal equations of one scan, split into its pose and the shared shape."""

    pose: Tensor
    pose_gradient: Tensor
    cross: Tensor
    shape: Tensor
    shape_gradient: Tensor

    def with_fixed_pose(self) -> "ScanBlocks":
        """The same scan with a pose that is given: the shape alone is free."""
        zeros = torch.zeros_like
        unit = torch.diag_embed(torch.ones_like(self.pose_gradient))
        return ScanBlocks(unit, zeros(self.pose_gradient), zeros(self.cross), self.shape, self.shape_gradient)


def scan_blocks(
    body: Body, matches: Matches, state: PoseState, prior: PosePrior, space: ShapeSpace | None
) -> ScanBlocks:
    """Linearise one scan's distances about its pose and the shape."""
    transforms = bone_transforms(state, body.joints[None], body.skeleton.parents)
    posed, _ = pose_points(matches.points, transforms)
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
    prior_matrix, prior_gradient, _ = prior.terms(state)
    return ScanBlocks(
        matrix[:, :poses, :poses] + prior_matrix,
        gradient[:, :poses] + prior_gradient,
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


def refine_pose(
    body: Body, scan: FineScan, state: PoseState, prior: PosePrior, probes: Tensor, scales: tuple[float, ...]
) -> PoseState:
    """Refine one scan's pose against a body of known shape."""
    posed = Surface(pose_body(body, state), body.faces)
    for scale in scales:
        matches = match(body, posed, scan, probes, scale)
        block = scan_blocks(body, matches, state, prior, None)
        state = state.moved(damped_step(block.pose, block.pose_gradient, damping=1e-3))
        posed.update(pose_body(body, state))
    return state


def pose_body(body: Body, state: PoseState) -> Float[Tensor, "vertex 3"]:
    """The body's vertices in the pose of a single state."""
    transforms = bone_transforms(state, body.joints[None], body.skeleton.parents)
    points = SurfacePoints(body.vertices[None], body.skinning_weights[None], torch.zeros_like(body.vertices)[None])
    return pose_points(points, transforms)[0][0]
