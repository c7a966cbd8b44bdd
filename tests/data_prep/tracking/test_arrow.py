"""The chain-with-a-border solver against dense algebra."""

import pytest
import torch

from data_prep.tracking.arrow import ArrowSystem, solve_arrow, solve_bounded


def system(frames=7, unknowns=4, shared=3, chained=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    rows = normal(frames, 12, unknowns + shared)
    full = rows.mT @ rows
    blocks = full[:, :unknowns, :unknowns] + torch.eye(unknowns).double()
    couplings = -torch.rand(frames - 1, unknowns, generator=generator).double() if chained else None
    if couplings is not None:
        blocks[:-1] -= torch.diag_embed(couplings)
        blocks[1:] -= torch.diag_embed(couplings)
    corner = full[:, unknowns:, unknowns:].sum(0) + torch.eye(shared).double()
    return ArrowSystem(
        blocks, normal(frames, unknowns), couplings, full[:, :unknowns, unknowns:], corner, normal(shared)
    )


def dense(arrow):
    frames, unknowns = arrow.rhs.shape
    size, shared = frames * unknowns, 0 if arrow.corner is None else len(arrow.corner)
    matrix = torch.zeros(size + shared, size + shared, dtype=torch.float64)
    for f in range(frames):
        rows = slice(f * unknowns, (f + 1) * unknowns)
        matrix[rows, rows] = arrow.blocks[f]
        if arrow.couplings is not None and f + 1 < frames:
            after = slice((f + 1) * unknowns, (f + 2) * unknowns)
            matrix[rows, after] = matrix[after, rows] = torch.diag(arrow.couplings[f])
    rhs = arrow.rhs.flatten()
    if shared:
        border = arrow.border.flatten(0, 1)
        matrix[:size, size:], matrix[size:, :size], matrix[size:, size:] = border, border.T, arrow.corner
        rhs = torch.cat([rhs, arrow.shared_rhs])
    return matrix, rhs


@pytest.mark.parametrize("chained", [True, False])
@pytest.mark.parametrize("bordered", [True, False])
@pytest.mark.parametrize("frames", [1, 2, 9])
def test_the_solution_is_the_dense_one(chained, bordered, frames):
    arrow = system(frames, chained=chained)
    if not bordered:
        arrow = ArrowSystem(arrow.blocks, arrow.rhs, arrow.couplings)
    matrix, rhs = dense(arrow)
    expected = torch.linalg.solve(matrix, rhs)
    step, shared = solve_arrow(arrow)
    found = step.flatten() if shared is None else torch.cat([step.flatten(), shared])
    assert torch.allclose(found, expected, atol=1e-9)
    assert (shared is None) == (not bordered)


def test_wide_bounds_change_nothing():
    arrow = system()
    reach = torch.full_like(arrow.rhs, 1e3)
    step, shared = solve_bounded(arrow, -reach, reach)
    free, free_shared = solve_arrow(arrow)
    assert torch.allclose(step, free)
    assert torch.allclose(shared, free_shared)


def test_steps_stay_in_their_bounds_and_lower_the_energy():
    arrow = system(seed=4)
    reach = torch.full_like(arrow.rhs, 0.05)
    step, shared = solve_bounded(arrow, -reach, reach)
    assert bool((step.abs() <= 0.05 + 1e-12).all())
    matrix, rhs = dense(arrow)
    x = torch.cat([step.flatten(), shared])
    assert float(x @ matrix @ x / 2 - rhs @ x) < 0


def test_what_is_fixed_at_a_bound_leaves_the_rest_optimal():
    arrow = system(frames=3, seed=1)
    lower, upper = torch.full_like(arrow.rhs, -9.0), torch.full_like(arrow.rhs, 9.0)
    lower[1, 2] = upper[1, 2] = 0.0
    step, shared = solve_bounded(arrow, lower, upper)
    matrix, rhs = dense(arrow)
    gradient = matrix @ torch.cat([step.flatten(), shared]) - rhs
    gradient[1 * 4 + 2] = 0
    assert float(step[1, 2]) == 0
    assert float(gradient.abs().max()) < 1e-8
