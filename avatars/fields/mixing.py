"""Mix a basis of displacements on a grid: large tables, small mixtures, gradients that reach few nodes."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.fields.grid import interpolate
from avatars.fields.patches import PatchedGrid
from body_models.precision import matmul


def mixed_basis(
    basis: Float[Tensor, "node channel"], coefficients: Float[Tensor, "frame coefficient"], grid: PatchedGrid
) -> Float[Tensor, "frame node 3"]:
    """Displacement of every node in each frame, continuous across the rims of patches, differentiable in both.

    `basis` holds a displacement for each coefficient, one after the other. Gradients are worked out for the nodes that
    have any, which spares passes over the whole basis; `mixed_twin` gives the meaning and gradients of gradients.
    """
    mixed: Tensor = _Mixing.apply(basis, coefficients, grid)
    return mixed


def mixed_twin(
    basis: Float[Tensor, "node channel"], coefficients: Float[Tensor, "frame coefficient"], grid: PatchedGrid
) -> Float[Tensor, "frame node 3"]:
    """The same by torch's own gradients."""
    mixed = matmul(_mixer(coefficients).T, basis.T).T.contiguous()
    rim, corners, shares = grid.rim_on(basis.device)
    if len(rim):
        mixed = mixed.index_copy(0, rim, interpolate(mixed, corners, shares.to(mixed)))
    return mixed.unflatten(1, (len(coefficients), 3)).transpose(0, 1).contiguous()


def _mixer(coefficients: Float[Tensor, "frame coefficient"]) -> Float[Tensor, "channel mixture"]:
    """What the basis is multiplied by: all frames and axes at once."""
    frames, count = coefficients.shape
    identity = torch.eye(3).to(coefficients)
    return (coefficients.T[:, None, :, None] * identity[None, :, None]).reshape(3 * count, 3 * frames)


class _Mixing(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, basis: Tensor, coefficients: Tensor, grid: PatchedGrid) -> Tensor:
        ctx.save_for_backward(basis, coefficients)
        ctx.grid = grid
        return mixed_twin(basis, coefficients, grid)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (gradient,), (basis, coefficients) = gradients, ctx.saved_tensors
        if torch.is_grad_enabled():
            wanted = [value for value, asked in zip((basis, coefficients), ctx.needs_input_grad, strict=False) if asked]
            mixed = mixed_twin(basis, coefficients, ctx.grid)
            answers = iter(torch.autograd.grad(mixed, wanted, gradient, create_graph=True))
            by_basis, by_coefficients = (next(answers) if asked else None for asked in ctx.needs_input_grad[:2])
            return by_basis, by_coefficients, None
        by_nodes = _without_rim(torch.cat(list(gradient), 1), ctx.grid)
        rows = by_nodes.any(1).nonzero()[:, 0]
        some = by_nodes[rows]
        by_basis = by_coefficients = None
        if ctx.needs_input_grad[0]:
            by_basis = torch.zeros_like(basis).index_copy_(0, rows, matmul(some, _mixer(coefficients).T))
        if ctx.needs_input_grad[1]:
            by_mixer = matmul(basis[rows].T, some).unflatten(0, (-1, 3)).unflatten(2, (-1, 3))
            by_coefficients = by_mixer.diagonal(dim1=1, dim2=3).sum(2).T
        return by_basis, by_coefficients, None


def _without_rim(values: Float[Tensor, "node mixture"], grid: PatchedGrid) -> Float[Tensor, "node mixture"]:
    """Gradients of nodes, those of rims handed on to the nodes that their values come from; changes what is given."""
    rim, corners, shares = grid.rim_on(values.device)
    if len(rim) == 0:
        return values
    own = values[rim]
    some = own.any(1)
    values[rim] = 0
    given = shares[some].to(values)[..., None] * own[some, None]
    return values.index_add_(0, corners[some].reshape(-1), given.flatten(0, 1))
