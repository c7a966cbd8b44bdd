import pytest
import torch

from avatars.fields.mixing import mixed_basis, mixed_twin
from avatars.fields.offsets import GridOffsets
from avatars.fields.patches import patched_grid

LOWER, UPPER = torch.tensor([-0.2, -0.1, 0.0]), torch.tensor([0.2, 0.2, 0.3])
PLAIN = patched_grid(LOWER, UPPER, 0.1)
PATCHED = patched_grid(LOWER, UPPER, 0.1, [torch.tensor([[-0.05, 0.0, 0.1], [0.08, 0.1, 0.2]])], 0.03)


def case(grid, frames=2, count=4, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn(grid.count, 3 * count, generator=generator, dtype=dtype)
    return basis.requires_grad_(), torch.randn(frames, count, generator=generator, dtype=dtype).requires_grad_()


@pytest.mark.parametrize("grid", [PLAIN, PATCHED])
@pytest.mark.parametrize("frames", [1, 3])
def test_mixtures_are_sums_of_the_basis_by_coefficients(grid, frames):
    basis, coefficients = case(grid, frames, dtype=torch.float32)
    field = GridOffsets(grid, coefficients.shape[1])
    field.start_from(basis.detach().unflatten(1, (-1, 3)))
    wanted = torch.einsum("fk,nkc->fnc", coefficients, field.at_nodes().unflatten(1, (-1, 3)))
    assert torch.allclose(mixed_basis(basis, coefficients, grid), wanted, atol=1e-5)


@pytest.mark.parametrize("grid", [PLAIN, PATCHED])
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_gradients_are_the_twins(grid, frames, share):
    basis, coefficients = case(grid, frames)
    generator = torch.Generator().manual_seed(1)
    given = torch.randn(frames, grid.count, 3, generator=generator, dtype=torch.float64)
    given = given * (torch.rand(grid.count, 1, generator=generator) < share)
    kept = given.clone()
    mine = torch.autograd.grad(mixed_basis(basis, coefficients, grid), (basis, coefficients), given)
    twins = torch.autograd.grad(mixed_twin(basis, coefficients, grid), (basis, coefficients), given)
    assert all(torch.allclose(a, b) for a, b in zip(mine, twins, strict=True))
    assert torch.equal(given, kept)


def test_gradients_of_gradients():
    grid = patched_grid(LOWER, UPPER, 0.2, [torch.tensor([[-0.05, 0.0, 0.1], [0.08, 0.1, 0.2]])], 0.1)
    basis, coefficients = case(grid, 2, 2)
    function = lambda b, c: mixed_basis(b, c, grid)  # noqa: E731
    assert torch.autograd.gradcheck(function, (basis, coefficients))
    assert torch.autograd.gradgradcheck(function, (basis, coefficients), fast_mode=True)


def test_only_what_is_asked_for_is_worked_out():
    basis, coefficients = case(PATCHED)
    mixed_basis(basis.detach(), coefficients, PATCHED).sum().backward()
    assert coefficients.grad is not None
    mixed_basis(basis, coefficients.detach(), PATCHED).sum().backward()
    assert basis.grad is not None
