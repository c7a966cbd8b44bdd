"""One damped Gauss-Newton step of a pose towards targets, with the pose prior."""

from dataclasses import dataclass

import roma
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from body_models.body import Body
from data_prep.registration.kinematics import PoseState
from data_prep.registration.priors import limit_frames, limits, softness

MAX_TURN = 0.5
"""Largest turn of one joint in one step, radians: correspondences do not hold farther."""


@dataclass(frozen=True)
class PosePrior:
    """Quadratic pull towards a mean pose plus soft walls at the joint limits."""

    mean: Float[Tensor, "bone 3"]
    softness: Float[Tensor, "bone"]
    lower: Float[Tensor, "bone 3"]
    upper: Float[Tensor, "bone 3"]
    frames: Float[Tensor, "bone 3 3"]
    strength: float = 1.0
    wall: float = 200.0

    @staticmethod
    def of(body: Body, strength: float = 1.0) -> "PosePrior":
        """The prior of a body whose joints carry SMPL's names."""
        lower, upper = limits(body.skeleton)
        mean = torch.zeros(len(body.skeleton), 3)
        return PosePrior(mean, softness(body.skeleton), lower, upper, limit_frames(body), strength)

    def terms(
        self, state: PoseState
    ) -> tuple[Float[Tensor, "start parameter parameter"], Float[Tensor, "start parameter"], Float[Tensor, "start"]]:
        """Gauss-Newton matrix, negative gradient and energy for the joints' parameters (translation free)."""
        angles = roma.rotmat_to_rotvec(state.rotations)
        local = (self.frames @ angles[..., None])[..., 0]
        beyond = (local - self.upper).clamp_min(0) - (self.lower - local).clamp_min(0)
        precision = self.strength / self.softness[:, None] ** 2
        pull = precision * (self.mean - angles) - self.wall * (self.frames.mT @ beyond[..., None])[..., 0]
        active = self.wall * (beyond != 0).to(angles)
        matrix = torch.diag_embed(precision.expand_as(angles)) + self.frames.mT @ (active[..., None] * self.frames)
        starts, bones = angles.shape[:2]
        full = angles.new_zeros(starts, 3 * bones + 3, 3 * bones + 3)
        for bone in range(bones):
            full[:, 3 * bone : 3 * bone + 3, 3 * bone : 3 * bone + 3] = matrix[:, bone]
        energy = (precision * (angles - self.mean) ** 2).sum((1, 2)) + self.wall * (beyond**2).sum((1, 2))
        return full, torch.cat([pull.flatten(1), angles.new_zeros(starts, 3)], 1), energy


def normal_equations(
    jacobian: Float[Tensor, "start point 3 parameter"],
    metric: Float[Tensor, "start point 3 3"],
    pull: Float[Tensor, "start point 3"],
) -> tuple[Float[Tensor, "start parameter parameter"], Float[Tensor, "start parameter"]]:
    """Gauss-Newton matrix and negative gradient of `sum (x - target)^T metric (x - target) / 2`; pull = metric (target - x)."""
    rows = jacobian.flatten(1, 2)
    weighted = (metric @ jacobian).flatten(1, 2)
    return rows.mT @ weighted, (rows.mT @ pull.flatten(1)[..., None])[..., 0]


def damped_step(
    matrix: Float[Tensor, "start parameter parameter"], gradient: Float[Tensor, "start parameter"], damping: float
) -> Float[Tensor, "start parameter"]:
    """Solve the damped system and shorten steps that turn a joint too far."""
    diagonal = matrix.diagonal(dim1=-2, dim2=-1)
    damped = matrix + torch.diag_embed(damping * diagonal + 1e-3 * diagonal.mean(-1, keepdim=True))
    step = torch.linalg.solve(damped, gradient[..., None])[..., 0]
    largest = step[:, :-3].abs().amax(1, keepdim=True)
    return step * (MAX_TURN / largest.clamp_min(MAX_TURN))


def geman_mcclure(squared: Float[Tensor, "*batch"], scale: float) -> Float[Tensor, "*batch"]:
    """Robust weight that fades for residuals beyond the scale (same unit as the residual)."""
    return (scale**2 / (scale**2 + squared)) ** 2


def facing(a: Float[Tensor, "*batch 3"], b: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
    """How well two normals agree, 0..1."""
    unit = torch.nn.functional.normalize
    return (unit(a, dim=-1) * unit(b, dim=-1)).sum(-1).clamp_min(0)


def finite_rows(values: Float[Tensor, "start parameter"]) -> Bool[Tensor, "start"]:
    """Which starts hold finite numbers only."""
    return torch.isfinite(values).all(1)
