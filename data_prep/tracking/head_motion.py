"""A fitted state in the terms of the head model: pose, translation and expression in world space."""

from dataclasses import dataclass

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.model import BodyModel
from data_prep.tracking.head_points import HeadPoints
from data_prep.tracking.motion_model import HeadState, joint_vectors

FLIP = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
"""World axes (Y up) from the camera's (OpenCV), and back."""


@dataclass(frozen=True)
class HeadMotion:
    """What `model.body(betas).pose_vertices` takes; metres, Y up, the camera at the origin looking along -Z."""

    betas: Float[Tensor, "shape"]
    poses: Float[Tensor, "frame bone 3"]
    translations: Float[Tensor, "frame 3"]
    expressions: Float[Tensor, "frame expression"]


def head_motion(model: BodyModel, points: HeadPoints, state: HeadState) -> HeadMotion:
    """The model's parameters that put its points where the state has them; parameters that are not fitted are zero."""
    betas = state.betas.new_zeros(len(model.shape_basis))
    betas[: len(state.betas)] = state.betas
    expressions = state.coefficients.new_zeros(len(state), len(model.expression_basis))
    expressions[:, : points.expression.shape[-1]] = state.coefficients[:, len(points.angles) :]
    poses = state.coefficients.new_zeros(len(state), len(model.skeleton), 3)
    rotations = FLIP @ state.rotations
    poses[:, 0] = roma.rotmat_to_rotvec(rotations)
    poses[:, list(points.joints)] = joint_vectors(points, state.coefficients)
    _, joints = model.body(betas).rest(expressions)
    root = joints[..., 0, :].expand(len(state), 3)
    size = state.places[:, 2].exp()
    focal = state.log_focal.exp().expand_as(size)
    pivot = torch.stack([state.places[:, 0], state.places[:, 1], focal], -1) / size[:, None] @ FLIP
    arm = (rotations @ (points.pivot - root)[..., None])[..., 0]
    return HeadMotion(betas, poses, pivot - arm - root, expressions)
