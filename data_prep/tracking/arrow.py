"""Linear systems of frames in a row that share a few unknowns: block-tridiagonal with a border."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class ArrowSystem:
    """A symmetric positive system: one block a frame, diagonal couplings of neighbours, a border for what is shared."""

    blocks: Float[Tensor, "frame unknown unknown"]
    rhs: Float[Tensor, "frame unknown"]
    couplings: Float[Tensor, "pair unknown"] | None = None
    """Diagonals of the blocks between a frame and the next; None for frames that do not touch."""
    border: Float[Tensor, "frame unknown shared"] | None = None
    corner: Float[Tensor, "shared shared"] | None = None
    shared_rhs: Float[Tensor, "shared"] | None = None

    def damped(self, damping: float) -> "ArrowSystem":
        """The system with its diagonal enlarged by a share of itself."""
        corner = self.corner
        if corner is not None:
            corner = corner + torch.diag_embed(damping * corner.diagonal() + 1e-9)
        diagonal = self.blocks.diagonal(dim1=-2, dim2=-1)
        return replace(self, blocks=self.blocks + torch.diag_embed(damping * diagonal + 1e-9), corner=corner)


def solve_arrow(system: ArrowSystem) -> tuple[Float[Tensor, "frame unknown"], Float[Tensor, "shared"] | None]:
    """The frames' unknowns and the shared ones, by eliminating the frames first (Schur complement)."""
    columns = [system.rhs[..., None]]
    if system.border is not None:
        columns.append(system.border)
    solved = solve_chain(system.blocks, system.couplings, torch.cat(columns, -1))
    step = solved[..., 0]
    if system.border is None or system.corner is None or system.shared_rhs is None:
        return step, None
    rows = system.border.flatten(0, 1)
    schur = system.corner - rows.T @ solved[..., 1:].flatten(0, 1)
    rest = system.shared_rhs - rows.T @ step.flatten()
    factor, _ = torch.linalg.cholesky_ex((schur + schur.T) / 2)
    shared = torch.cholesky_solve(rest[:, None], factor)[:, 0]
    return step - solved[..., 1:] @ shared, shared


def solve_chain(
    blocks: Float[Tensor, "frame unknown unknown"],
    couplings: Float[Tensor, "pair unknown"] | None,
    rhs: Float[Tensor, "frame unknown column"],
) -> Float[Tensor, "frame unknown column"]:
    """Solve a block-tridiagonal system whose off-diagonal blocks are diagonal, by block elimination."""
    if couplings is None or len(blocks) < 2:
        factor, _ = torch.linalg.cholesky_ex(blocks)
        return torch.cholesky_solve(rhs, factor)
    inverses, reduced = [], [rhs[0]]
    block = blocks[0]
    for frame, coupling in enumerate(couplings):
        factor, _ = torch.linalg.cholesky_ex(block)
        inverse = torch.cholesky_inverse(factor)
        inverses.append(inverse)
        reduced.append(rhs[frame + 1] - coupling[:, None] * (inverse @ reduced[-1]))
        block = blocks[frame + 1] - coupling[:, None] * inverse * coupling
    factor, _ = torch.linalg.cholesky_ex(block)
    solved = [torch.cholesky_solve(reduced[-1], factor)]
    for frame in range(len(couplings) - 1, -1, -1):
        solved.append(inverses[frame] @ (reduced[frame] - couplings[frame][:, None] * solved[-1]))
    return torch.stack(solved[::-1])


def solve_bounded(
    system: ArrowSystem, lower: Float[Tensor, "frame unknown"], upper: Float[Tensor, "frame unknown"], rounds: int = 3
) -> tuple[Float[Tensor, "frame unknown"], Float[Tensor, "shared"] | None]:
    """As `solve_arrow` with each step kept between bounds: what would leave them is fixed there, the rest solved anew.

    Bounds hold 0. What already stands at a bound and is pushed outward stays.
    """
    fixed = ((lower >= -1e-7) & (system.rhs < 0)) | ((upper <= 1e-7) & (system.rhs > 0))
    value = torch.zeros_like(system.rhs)
    for turn in range(rounds):
        step, shared = solve_arrow(_with_fixed(system, fixed, value))
        kept = step.clamp(lower, upper)
        beyond = (kept != step) & ~fixed
        if turn == rounds - 1 or not bool(beyond.any()):
            break
        fixed = fixed | beyond
        value = torch.where(beyond, kept, value)
    return kept, shared


def _with_fixed(system: ArrowSystem, fixed: Bool[Tensor, "frame unknown"], value: Tensor) -> ArrowSystem:
    """The system in which some of the frames' unknowns are known."""
    free = (~fixed).to(system.rhs)
    push = (system.blocks @ value[..., None])[..., 0]
    couplings = system.couplings
    if couplings is not None:
        push[:-1] += couplings * value[1:]
        push[1:] += couplings * value[:-1]
        couplings = couplings * free[1:] * free[:-1]
    blocks = system.blocks * free[:, :, None] * free[:, None] + torch.diag_embed(1 - free)
    border, shared_rhs = system.border, system.shared_rhs
    if border is not None and shared_rhs is not None:
        shared_rhs = shared_rhs - (border * value[..., None]).sum((0, 1))
        border = border * free[..., None]
    rhs = (system.rhs - push) * free + value * (1 - free)
    return ArrowSystem(blocks, rhs, couplings, border, system.corner, shared_rhs)
