"""The few bones that an engine lets move a vertex, out of all that learned weights name."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from body_models import InputError


def strongest(
    weights: Float[Tensor, "vertex bone"], count: int
) -> tuple[Int[Tensor, "vertex influence"], Float[Tensor, "vertex influence"]]:
    """Bones that weigh most at each vertex, the strongest first, with weights that sum to 1.

    Slots that are not used name bone 0 with weight 0; never more slots than bones. Raises InputError for a count below
    1.
    """
    if count < 1:
        raise InputError(f"{count} influences a vertex cannot hold a mesh to its bones; engines take 4.")
    most = weights.topk(min(count, weights.shape[1]), dim=1)
    none = most.values[:, :1] <= 0
    shares = most.values.clamp_min(0.0)
    shares = shares / shares.sum(1, keepdim=True).clamp_min(torch.finfo(shares.dtype).tiny)
    bones = torch.where(shares > 0, most.indices, torch.zeros_like(most.indices))
    shares[:, :1] = shares[:, :1].where(~none, 1.0)  # what nothing moves follows the first bone
    return bones, shares
