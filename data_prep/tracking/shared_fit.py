"""Identity and focal length from a choice of frames, together with those frames' placements and expressions."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from data_prep.tracking.arrow import ArrowSystem, solve_bounded
from data_prep.tracking.coefficient_prior import CoefficientPrior
from data_prep.tracking.frame_fit import add_prior, step_bounds, stepped
from data_prep.tracking.head_points import HeadPoints
from data_prep.tracking.motion_model import RIGID, HeadState
from data_prep.tracking.normal_equations import DataTerm, Normal, normal_equations

_MAX_FOCAL_STEP, _MAX_IDENTITY_STEP = 0.3, 1.5


@dataclass(frozen=True)
class SharedPrior:
    """What is believed of identity, focal length and landmark shifts before looking."""

    log_focal: float
    focal_deviation: float
    """0 for a focal length that is known."""
    face_size: float | None
    """Of the template's, as the irises tell it; None where they tell nothing."""
    face_deviation: float
    offset_deviations: Float[Tensor, "point"] | None
    """Of the personal shifts (metres on a face of the template's size); None for none."""
    independent_frames: float
    """So many frames' worth of evidence all frames together are."""

    def weight(self, frames: int) -> float:
        """By how much these beliefs count more, instead of the data less, among so many frames."""
        return max(1.0, frames / self.independent_frames)


@dataclass(frozen=True)
class SharedFit:
    """The chosen frames' state, the points' personal shifts, and the energy reached."""

    state: HeadState
    offsets: Float[Tensor, "point 3"]
    """Metres on a face of the template's size."""
    energy: float


@dataclass(frozen=True)
class _System:
    arrow: ArrowSystem
    energy: float
    normal: Normal


def fit_shared(
    data: DataTerm,
    prior: CoefficientPrior,
    shared: SharedPrior,
    start: SharedFit,
    steps: int,
    rigid_only: bool = False,
    offsets: bool = False,
) -> SharedFit:
    """Levenberg-Marquardt on everything at once; steps that raise the energy are taken back.

    `rigid_only` fits placements and the focal length; `offsets` also the points' shifts, after each step.
    """
    damping, best, best_system = 1e-3, start, None
    current = start
    for _ in range(steps):
        system = _assemble(data, prior, shared, current, rigid_only, offsets)
        if best_system is None or system.energy <= best.energy:
            damping, best_system = max(damping / 4, 1e-5), system
            best = replace(current, energy=system.energy)
        else:
            damping = min(damping * 16, 1e3)
        current = _moved(data.points, best, best_system, prior, shared, damping, rigid_only, offsets)
    system = _assemble(data, prior, shared, current, rigid_only, offsets)
    return replace(current, energy=system.energy) if system.energy <= best.energy else best


def _moved(
    points: HeadPoints,
    best: SharedFit,
    system: _System,
    prior: CoefficientPrior,
    shared: SharedPrior,
    damping: float,
    rigid_only: bool,
    offsets: bool,
) -> SharedFit:
    lower, upper = step_bounds(prior, best.state, rigid_only)
    move, step = solve_bounded(system.arrow.damped(damping), lower, upper)
    assert step is not None
    if rigid_only:
        step = torch.cat([best.state.betas.new_zeros(len(best.state.betas)).double(), step])
    largest = max(float(step[:-1].abs().max()) / _MAX_IDENTITY_STEP, float(step[-1].abs()) / _MAX_FOCAL_STEP, 1.0)
    if shared.focal_deviation == 0:
        step[-1] = 0.0
    state = stepped(best.state, move / largest, step / largest)
    shifts = best.offsets
    if offsets and shared.offset_deviations is not None:
        precision = shared.weight(len(best.state)) * shared.offset_deviations.double()[:, None] ** -2
        size = float(points.size(best.state.betas))
        matrix = size**2 * system.normal.offset_matrix * (1 + damping) + torch.diag_embed(precision.expand(-1, 3))
        pull = size * system.normal.offset_pull - precision * shifts.double()
        shifts = shifts + 0.7 * torch.linalg.solve(matrix, pull[..., None])[..., 0].to(shifts)
    return SharedFit(state, shifts, best.energy)


def _assemble(
    data: DataTerm, prior: CoefficientPrior, shared: SharedPrior, fit: SharedFit, rigid_only: bool, offsets: bool
) -> _System:
    state = fit.state
    shifted = replace(data, points=data.points.shifted(fit.offsets))
    normal = normal_equations(shifted, state, shared=True, rigid_only=rigid_only, offsets=offsets)
    split = RIGID if rigid_only else RIGID + state.coefficients.shape[1]
    blocks = normal.matrix[:, :split, :split].clone()
    rhs = normal.pull[:, :split].clone()
    energy = float(normal.energy)
    if not rigid_only:
        energy += float(add_prior(blocks, rhs, prior, state))
    corner, pull = normal.matrix[:, split:, split:].sum(0), normal.pull[:, split:].sum(0)
    energy += _add_shared_prior(corner, pull, shared, state, data.points, rigid_only)
    if shared.offset_deviations is not None:
        standard = fit.offsets.double() / shared.offset_deviations[:, None]
        energy += shared.weight(len(state)) / 2 * float((standard**2).sum())
    arrow = ArrowSystem(blocks, rhs, None, normal.matrix[:, :split, split:], corner, pull)
    return _System(arrow, energy, normal)


def _add_shared_prior(
    corner: Tensor, pull: Tensor, shared: SharedPrior, state: HeadState, points: HeadPoints, rigid_only: bool
) -> float:
    """Add the priors of focal length, identity and the size of the face in place; returns their energy."""
    belief = shared.weight(len(state))
    precision = 1e12 if shared.focal_deviation == 0 else belief * shared.focal_deviation**-2
    gap = float(state.log_focal) - shared.log_focal
    corner[-1, -1] += precision
    pull[-1] -= precision * gap if shared.focal_deviation > 0 else 0.0
    energy = precision * gap**2 / 2 if shared.focal_deviation > 0 else 0.0
    if rigid_only:
        return energy
    betas = state.betas.double()
    corner.diagonal()[:-1].add_(belief)
    pull[:-1] -= belief * betas
    energy += belief * float((betas**2).sum()) / 2
    if shared.face_size is not None:
        slope = points.size_slope.double()
        weight = belief * shared.face_deviation**-2
        gap = float(points.size(state.betas)) - shared.face_size
        corner[:-1, :-1] += weight * slope[:, None] * slope
        pull[:-1] -= weight * gap * slope
        energy += weight * gap**2 / 2
    return energy
