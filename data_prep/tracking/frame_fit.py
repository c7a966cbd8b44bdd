"""Motion of a head whose identity and focal length are known: every frame, neighbours held together."""

from dataclasses import dataclass

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from data_prep.tracking.arrow import ArrowSystem, solve_bounded
from data_prep.tracking.coefficient_prior import MOVE_RATE, SIZE_RATE, TURN_RATE, CoefficientPrior
from data_prep.tracking.measured import Measured
from data_prep.tracking.motion_model import RIGID, HeadState
from data_prep.tracking.normal_equations import DataTerm, Normal, normal_equations

MAX_TURN = 0.4
_DAMPING = 1e-4


@dataclass(frozen=True)
class Chain:
    """Random-walk prior between neighbouring frames: precision of each difference and the differences' derivative."""

    precision: Float[Tensor, "pair unknown"]


def fit_frames(
    data: DataTerm, prior: CoefficientPrior, state: HeadState, steps: int, smoothness: float, rigid_steps: int = 2
) -> HeadState:
    """Gauss-Newton steps on all frames together; the first ones place the head only."""
    chain = _chain(data.measured, prior, smoothness)
    for step in range(rigid_steps + steps):
        rigid_only = step < rigid_steps
        normal = normal_equations(data, state, shared=False, rigid_only=rigid_only)
        system = _system(normal, prior, state, chain, rigid_only)
        lower, upper = step_bounds(prior, state, rigid_only)
        move, _ = solve_bounded(system.damped(_DAMPING), lower, upper)
        state = stepped(state, move, None)
    return state


def step_bounds(prior: CoefficientPrior, state: HeadState, rigid_only: bool) -> tuple[Tensor, Tensor]:
    """How far each unknown may go in one step: turns and sizes for the linearisation's sake, coefficients to bounds."""
    reach = torch.tensor([MAX_TURN] * 3 + [10.0, 10.0, 0.3], dtype=torch.float64).expand(len(state), RIGID)
    if rigid_only:
        return -reach, reach
    now = state.coefficients.double()
    lower, upper = (prior.lower - now).clamp_max(0), (prior.upper - now).clamp_min(0)
    return torch.cat([-reach, lower], 1), torch.cat([reach, upper], 1)


def stepped(state: HeadState, move: Tensor, shared: Tensor | None) -> HeadState:
    """The state after a step of the rigid unknowns, or of all."""
    unknowns = RIGID + state.coefficients.shape[1]
    if move.shape[1] < unknowns:
        move = torch.nn.functional.pad(move, (0, unknowns - move.shape[1]))
    return state.moved(move.to(state.places), None if shared is None else shared.to(state.places))


def add_prior(matrix: Tensor, pull: Tensor, prior: CoefficientPrior, state: HeadState) -> Tensor:
    """Add the coefficients' prior to the frames' blocks in place; returns its energy."""
    now = state.coefficients.double()
    stop = RIGID + now.shape[1]
    matrix.diagonal(dim1=-2, dim2=-1)[:, RIGID:stop] += prior.precision
    pull[:, RIGID:stop] -= prior.precision * now + prior.slope
    return (prior.precision * now**2 / 2 + prior.slope * now).sum()


def _system(
    normal: Normal, prior: CoefficientPrior, state: HeadState, chain: Chain | None, rigid_only: bool
) -> ArrowSystem:
    matrix, pull = normal.matrix, normal.pull
    if not rigid_only:
        add_prior(matrix, pull, prior, state)
    if chain is None:
        return ArrowSystem(matrix + 1e-6 * torch.eye(matrix.shape[-1]).to(matrix), pull)
    size = matrix.shape[-1]
    precision = chain.precision[:, :size]
    drawn = precision * _differences(state)[:, :size]
    diagonal = matrix.diagonal(dim1=-2, dim2=-1)
    diagonal[:-1] += precision
    diagonal[1:] += precision
    pull[:-1] += drawn
    pull[1:] -= drawn
    return ArrowSystem(matrix, pull, couplings=-precision)


def _differences(state: HeadState) -> Float[Tensor, "pair unknown"]:
    """From each frame to the next, turns in the camera's axes."""
    turn = roma.rotmat_to_rotvec((state.rotations[1:] @ state.rotations[:-1].mT).double())
    return torch.cat([turn, state.places.diff(dim=0).double(), state.coefficients.diff(dim=0).double()], 1)


def _chain(measured: Measured, prior: CoefficientPrior, smoothness: float) -> Chain | None:
    if len(measured) < 2:
        return None
    elapsed = measured.times.diff().clamp_min(1e-4)[:, None]
    sizes = ((measured.sizes[1:] + measured.sizes[:-1]) / 2).double()[:, None]
    ones = torch.ones_like(sizes)
    rates = [TURN_RATE * ones.expand(-1, 3), MOVE_RATE * sizes.expand(-1, 2), SIZE_RATE * ones, prior.rate * ones]
    return Chain(max(smoothness, 1e-6) / (torch.cat(rates, 1) ** 2 * elapsed))
