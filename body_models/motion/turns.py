"""Turns between directions."""

import roma
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize, one_hot


def turn_between(start: Float[Tensor, "*batch 3"], end: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The smallest rotation that turns one direction into another; none for a direction of no length."""
    a, b = torch.broadcast_tensors(normalize(start, dim=-1), normalize(end, dim=-1))
    cross, dot = torch.linalg.cross(a, b), (a * b).sum(-1, keepdim=True)
    opposite = dot < -1 + 1e-6
    least = one_hot(a.abs().argmin(-1), 3).to(a)
    sideways = normalize(torch.linalg.cross(a, least), dim=-1)
    nothing = (a.norm(dim=-1, keepdim=True) == 0) | (b.norm(dim=-1, keepdim=True) == 0)
    axis = torch.where(opposite, sideways, cross)
    real = torch.where(opposite, torch.zeros_like(dot), 1 + dot)
    quaternion = torch.cat([axis, torch.where(nothing, torch.ones_like(real), real)], dim=-1)
    return roma.unitquat_to_rotmat(normalize(quaternion, dim=-1))


def heading(ahead: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The turn about the vertical that brings +Z to a direction's compass bearing (Y up)."""
    bearing = torch.atan2(ahead[..., 0], ahead[..., 2])
    return roma.rotvec_to_rotmat(bearing[..., None] * ahead.new_tensor([0.0, 1.0, 0.0]))


def share_turn(
    start: Float[Tensor, "*batch 3 3"], end: Float[Tensor, "*batch 3 3"], share: float
) -> Float[Tensor, "*batch 3 3"]:
    """A rotation part of the way from one to another, along the shortest path."""
    return start @ roma.rotvec_to_rotmat(share * roma.rotmat_to_rotvec(start.mT @ end))
