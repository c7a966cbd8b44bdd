"""Damped Gauss-Newton steps of poses: the prior that keeps joints natural, robust weights, the linear solve."""

from dataclasses import dataclass

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.body import Body
from data_prep.registration.kinematics import PoseState
from data_prep.registration.priors import limit_frames, limits, softness

MAX_TURN = 0.5
"""Largest turn of one joint in one step, radians: correspondences do not hold farther."""


@dataclass(frozen=True)
class PriorTerms:
    """The prior's share of the normal equations; joints do not interact in it and the translation is free."""

    blocks: Float[Tensor, "start bone 3 3"]
    pull: Float[Tensor, "start bone 3"]
    """Negative gradient."""
    energy: Float[Tensor, "start"]

    def padded_pull(self) -> Float[Tensor, "start parameter"]:
        """The pull on all parameters, zero on the translation."""
        return torch.nn.functional.pad(self.pull.flatten(1), (0, 3))


@dataclass(frozen=True)
class PosePrior:
    """Quadratic pull towards the rest pose plus soft walls at the joint limits (radians)."""

    softness: Float[Tensor, "bone"]
    lower: Float[Tensor, "bone 3"]
    upper: Float[Tensor, "bone 3"]
    frames: Float[Tensor, "bone 3 3"]
    wall: float = 200.0

    @staticmethod
    def of(body: Body) -> "PosePrior":
        """The prior of a body whose joints carry SMPL's names."""
        lower, upper = limits(body.skeleton)
        return PosePrior(softness(body.skeleton), lower, upper, limit_frames(body))

    def terms(self, state: PoseState) -> PriorTerms:
        """Gauss-Newton blocks, negative gradient and energy, by axis-angle vectors (exact for small turns)."""
        angles = roma.rotmat_to_rotvec(state.rotations)
        local = (self.frames @ angles[..., None])[..., 0]
        beyond = (local - self.upper).clamp_min(0) - (self.lower - local).clamp_min(0)
        precision = self.softness[:, None] ** -2
        active = self.wall * (beyond != 0).to(angles)
        blocks = self.frames.mT @ (active[..., None] * self.frames)
        blocks.diagonal(dim1=-2, dim2=-1).add_(precision)
        pull = -precision * angles - self.wall * (self.frames.mT @ beyond[..., None])[..., 0]
        energy = (precision * angles**2).sum((1, 2)) + self.wall * (beyond**2).sum((1, 2))
        return PriorTerms(blocks, pull, energy)


def add_to_joints(
    matrix: Float[Tensor, "start parameter parameter"], blocks: Float[Tensor, "start bone 3 3"]
) -> Float[Tensor, "start parameter parameter"]:
    """Add each joint's block to a matrix over all parameters, in place."""
    bones = blocks.shape[1]
    joints = matrix[:, : 3 * bones, : 3 * bones].unflatten(2, (bones, 3)).unflatten(1, (bones, 3))
    joints.diagonal(dim1=1, dim2=3).add_(blocks.permute(0, 2, 3, 1))
    return matrix


def normal_equations(
    jacobian: Float[Tensor, "start point 3 parameter"],
    metric: Float[Tensor, "start point 3 3"],
    pull: Float[Tensor, "start point 3"],
) -> tuple[Float[Tensor, "start parameter parameter"], Float[Tensor, "start parameter"]]:
    """Gauss-Newton matrix and negative gradient of `sum gap^T metric gap / 2`, gap = target - x, pull = metric gap."""
    rows = jacobian.flatten(1, 2)
    weighted = (metric @ jacobian).flatten(1, 2)
    return rows.mT @ weighted, (rows.mT @ pull.flatten(1)[..., None])[..., 0]


def damped_step(
    matrix: Float[Tensor, "start parameter parameter"], gradient: Float[Tensor, "start parameter"], damping: float
) -> Float[Tensor, "start parameter"]:
    """Solve the damped, symmetric positive system and shorten steps that turn a joint too far."""
    diagonal = matrix.diagonal(dim1=-2, dim2=-1)
    damped = matrix + torch.diag_embed(damping * diagonal + 1e-3 * diagonal.mean(-1, keepdim=True))
    factor, _ = torch.linalg.cholesky_ex(damped)
    return shortened(torch.cholesky_solve(gradient[..., None], factor)[..., 0])


def shortened(step: Float[Tensor, "start parameter"]) -> Float[Tensor, "start parameter"]:
    """The step, scaled down where it would turn a joint by more than `MAX_TURN`."""
    largest = step[:, :-3].abs().amax(1, keepdim=True)
    return step * (MAX_TURN / largest.clamp_min(MAX_TURN))


def geman_mcclure(squared: Float[Tensor, "*batch"], scale: float) -> Float[Tensor, "*batch"]:
    """Robust weight that fades for residuals beyond the scale (same unit as the residual)."""
    return (scale**2 / (scale**2 + squared)) ** 2
