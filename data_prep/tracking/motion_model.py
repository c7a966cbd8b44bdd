"""How a head's unknowns move its points in the picture, with exact derivatives, for many frames at once.

The camera sees a head at `image = focal * X_xy / X_z`, X in OpenCV axes. A frame's place is kept as where its pivot
appears and how large (units of the picture per metre), which a change of the focal length leaves alone.
"""

from dataclasses import dataclass, replace

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from data_prep.tracking.head_points import HeadPoints

RIGID = 6
"""Unknowns of a frame that come first: small rotation, picture position, logarithm of the size."""


@dataclass(frozen=True)
class HeadState:
    """All unknowns: per frame placement and coefficients, shared identity and focal length."""

    rotations: Float[Tensor, "frame 3 3"]
    """Camera (OpenCV axes) from head."""
    places: Float[Tensor, "frame 3"]
    """Where the pivot appears (x, y) and the logarithm of the units per metre there."""
    coefficients: Float[Tensor, "frame coefficient"]
    """Joint angles (radians), then expressions."""
    betas: Float[Tensor, "shape"]
    log_focal: Float[Tensor, ""]

    def __len__(self) -> int:
        return len(self.rotations)

    def chosen(self, frames: Tensor | slice) -> "HeadState":
        """Some of the frames."""
        return replace(
            self,
            rotations=self.rotations[frames],
            places=self.places[frames],
            coefficients=self.coefficients[frames],
        )

    def moved(self, step: Float[Tensor, "frame unknown"], shared: Float[Tensor, "shared"] | None) -> "HeadState":
        """The state after a step of the frames' unknowns and of the shared ones (identity, log focal)."""
        turn = roma.rotvec_to_rotmat(step[:, :3])
        betas, log_focal = self.betas, self.log_focal
        if shared is not None:
            betas, log_focal = betas + shared[:-1], log_focal + shared[-1]
        return HeadState(
            roma.special_gramschmidt(turn @ self.rotations),
            self.places + step[:, 3:6],
            self.coefficients + step[:, 6:],
            betas,
            log_focal,
        )


@dataclass(frozen=True)
class Posed:
    """Points of a head in its own rest frame, moved by jaw, eyes and expression, with derivatives."""

    points: Float[Tensor, "#frame point 3"]
    by_rest: Float[Tensor, "#frame point 3 3"] | None
    """Derivative by the point at rest; None for the identity."""
    by_angles: Float[Tensor, "frame point 3 angle"] | None
    by_joints: Float[Tensor, "frame point 3 joint 3"] | None
    """Derivative by where the turning joints are."""


def place_points(points: HeadPoints, state: HeadState, offset: Tensor | None = None) -> Posed:
    """Points in the head's frame (metres) with identity, expression, correctives, jaw and eyes."""
    angle_count = len(points.angles)
    expression = state.coefficients[:, angle_count:]
    rest = points.rest if offset is None else points.rest + offset
    rest = rest + points.shape @ state.betas
    moved = rest + (expression @ points.expression.flatten(0, 1).T).unflatten(-1, (-1, 3))
    if not points.joints:
        return Posed(moved, None, None, None)
    vectors = joint_vectors(points, state.coefficients)
    turns = roma.rotvec_to_rotmat(vectors)
    if points.correctives.shape[-1] > 0:
        moved = moved + (points.correctives @ _feature(points, turns)[:, None, :, None])[..., 0]
    centers = points.joint_rest + points.joint_shape @ state.betas
    centers = centers + (points.joint_expression @ expression[:, None, :, None])[..., 0]
    identity = torch.eye(3).to(rest)
    shares = points.weights
    by_rest = identity + (shares @ (turns - identity).flatten(2)).unflatten(-1, (3, 3))
    arms = (turns[:, None] @ (moved[:, :, None] - centers[:, None])[..., None])[..., 0]  # frame point joint 3
    still = moved[:, :, None] - centers[:, None]
    result = moved + (shares[..., None] * (arms - still)).sum(2)
    spins = _cross_matrices(arms).neg() @ _left_jacobian(vectors)[:, None]
    by_angles = (shares[..., None, None] * spins).permute(0, 1, 3, 2, 4).flatten(3)[..., points.angles]
    by_joints = (shares[..., None, None] * (identity - turns)[:, None]).permute(0, 1, 3, 2, 4)
    return Posed(result, by_rest, by_angles, by_joints)


def joint_vectors(points: HeadPoints, coefficients: Float[Tensor, "frame coefficient"]) -> Tensor:
    """Axis-angle of each turning joint, `frame joint 3`."""
    vectors = coefficients.new_zeros(len(coefficients), 3 * len(points.joints))
    vectors[:, points.angles] = coefficients[:, : len(points.angles)]
    return vectors.unflatten(-1, (-1, 3))


def camera_points(points: Tensor, pivot: Tensor, state: HeadState) -> tuple[Tensor, Tensor]:
    """Points relative to the pivot in the camera's axes, and the pivot's place (`frame 3`, metres)."""
    arms = (points - pivot) @ state.rotations.mT
    size = state.places[:, 2].exp()
    focal = state.log_focal.exp().expand_as(size)
    center = torch.stack([state.places[:, 0], state.places[:, 1], focal], -1) / size[:, None]
    return arms, center


def project(points: HeadPoints, state: HeadState, offset: Tensor | None = None) -> Float[Tensor, "frame point 2"]:
    """Where the points appear, in the picture's units about the principal point."""
    arms, center = camera_points(place_points(points, state, offset).points, points.pivot, state)
    seen = arms + center[:, None]
    return state.log_focal.exp() * seen[..., :2] / seen[..., 2:].clamp_min(1e-3)


def linearise(
    points: HeadPoints, state: HeadState, shared: bool, offset: Tensor | None = None
) -> tuple[Float[Tensor, "frame point 2"], Float[Tensor, "frame point 2 unknown"], Float[Tensor, "frame point 2 3"]]:
    """Picture positions, their derivatives by a frame's unknowns (and the shared ones last), and by the rest point."""
    posed = place_points(points, state, offset)
    image, rigid, by_camera = rigid_jacobian(posed.points, points.pivot, state)
    by_head = by_camera @ state.rotations[:, None]
    by_rest = by_head if posed.by_rest is None else by_head @ posed.by_rest
    columns = [rigid]
    if posed.by_angles is not None:
        columns.append(by_head @ posed.by_angles)
    columns.append(_along(by_rest, by_head, points.expression, posed.by_joints, points.joint_expression))
    if shared:
        columns.append(_along(by_rest, by_head, points.shape, posed.by_joints, points.joint_shape))
        columns.append(focal_column(image, by_camera, state))
    return image, torch.cat(columns, -1), by_rest


def rigid_jacobian(
    points: Float[Tensor, "#frame point 3"], pivot: Float[Tensor, "3"], state: HeadState
) -> tuple[Float[Tensor, "frame point 2"], Float[Tensor, "frame point 2 6"], Float[Tensor, "frame point 2 3"]]:
    """Picture positions of points in the head's frame, derivatives by the rigid unknowns and by the camera point."""
    arms, center = camera_points(points, pivot, state)
    seen = arms + center[:, None]
    focal, inverse = state.log_focal.exp(), 1 / seen[..., 2].clamp_min(1e-3)
    image = focal * seen[..., :2] * inverse[..., None]
    x, y = image.unbind(-1)
    zero, scale = torch.zeros_like(x), focal * inverse
    by_camera = torch.stack(
        [torch.stack([scale, zero, -x * inverse], -1), torch.stack([zero, scale, -y * inverse], -1)], -2
    )
    turn = -torch.linalg.cross(by_camera, arms[:, :, None].expand_as(by_camera), dim=-1)
    per_unit = (-state.places[:, 2]).exp()[:, None, None, None]
    grow = -(by_camera @ center[:, None, :, None])
    return image, torch.cat([turn, by_camera[..., :2] * per_unit, grow], -1), by_camera


def focal_column(image: Tensor, by_camera: Tensor, state: HeadState) -> Float[Tensor, "frame point 2 1"]:
    """Derivative by the logarithm of the focal length, the pivot's place and size in the picture staying."""
    depth = (state.log_focal - state.places[:, 2]).exp()[:, None, None]
    return (image + by_camera[..., 2] * depth)[..., None]


def _along(by_rest: Tensor, by_head: Tensor, basis: Tensor, by_joints: Tensor | None, joint_basis: Tensor) -> Tensor:
    """Derivative by the coefficients of a basis that moves points and turning joints."""
    frames = len(by_rest)
    rows = by_rest.transpose(0, 1).flatten(1, 2)  # point frame*2 3
    result = (rows @ basis).unflatten(1, (frames, 2)).transpose(0, 1)
    if by_joints is not None and bool(joint_basis.any()):
        result = result + (by_head @ by_joints.flatten(3)) @ joint_basis.flatten(0, 1)
    return result


def _feature(points: HeadPoints, turns: Float[Tensor, "frame joint 3 3"]) -> Float[Tensor, "frame corrective"]:
    """SMPL's pose feature: every joint's rotation but the root's, less the identity."""
    feature = turns.new_zeros(len(turns), points.bones - 1, 9)
    rows = [joint - 1 for joint in points.joints]
    feature[:, rows] = (turns - torch.eye(3).to(turns)).flatten(2)
    return feature.flatten(1)


def _cross_matrices(vectors: Tensor) -> Tensor:
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def _left_jacobian(vectors: Tensor) -> Tensor:
    """Derivative of a rotation's left increment by its axis-angle vector."""
    angle = vectors.norm(dim=-1)[..., None, None].clamp_min(1e-4)
    cross = _cross_matrices(vectors)
    first, second = (1 - angle.cos()) / angle**2, (angle - angle.sin()) / angle**3
    return torch.eye(3).to(vectors) + first * cross + second * (cross @ cross)
