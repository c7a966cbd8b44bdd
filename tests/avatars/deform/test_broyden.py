import pytest
import torch

from avatars.deform.broyden import broyden, inverse_3x3


def well_conditioned(count, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    turns = torch.linalg.qr(torch.randn(count, 3, 3, generator=generator, dtype=dtype)).Q
    return turns * (0.7 + 0.6 * torch.rand(count, 1, 3, generator=generator, dtype=dtype))


def vectors(count, seed=1, dtype=torch.float64):
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def apply(matrix, vector):
    return (matrix @ vector[..., None])[..., 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_linear_systems_are_solved_at_once_with_their_own_inverse(dtype):
    matrix, root = well_conditioned(50, dtype=dtype), vectors(50, dtype=dtype)

    def residual(x, active):
        return apply(matrix[active], x - root[active])

    found, converged = broyden(residual, torch.zeros_like(root), inverse_3x3(matrix), 2, 1e-4, 100.0)
    assert converged.all()
    assert found.dtype == dtype
    assert torch.allclose(found, root, atol=1e-3)


def test_linear_systems_are_solved_from_a_rough_inverse():
    matrix, root = well_conditioned(50), vectors(50)
    rough = inverse_3x3(matrix) + 0.1 * vectors(150, seed=4).view(50, 3, 3)

    def residual(x, active):
        return apply(matrix[active], x - root[active])

    found, converged = broyden(residual, torch.zeros_like(root), rough, 60, 1e-8, 100.0)
    assert converged.all()
    assert (found - root).norm(dim=1).max() < 1e-6


def test_mildly_nonlinear_systems():
    matrix, root = well_conditioned(50), vectors(50)

    def bent(x, active):
        return apply(matrix[active], x) + 0.1 * torch.sin(x)

    def residual(x, active):
        return bent(x, active) - bent(root[active], active)

    found, converged = broyden(residual, root + 0.1 * vectors(50, seed=2), inverse_3x3(matrix), 50, 1e-8, 100.0)
    assert converged.all()
    assert (found - root).norm(dim=1).max() < 1e-6


def test_what_converges_at_the_start_is_returned_as_given():
    root = vectors(4)
    identity = torch.eye(3, dtype=torch.float64).repeat(4, 1, 1)
    found, converged = broyden(lambda x, active: x - root[active], root, identity, 0, 1e-6, 1.0)
    assert converged.all()
    assert torch.equal(found, root)


@pytest.mark.parametrize("start_inverse", [torch.zeros(3, 3), torch.full((3, 3), torch.nan), -torch.eye(3)])
def test_a_bad_start_is_given_up_or_solved_but_stays_a_number(start_inverse):
    root = vectors(5, dtype=torch.float32)
    start = torch.zeros_like(root)
    found, converged = broyden(lambda x, active: x - root[active], start, start_inverse.repeat(5, 1, 1), 10, 1e-4, 10.0)
    assert found.isfinite().all()
    assert ((found - root).norm(dim=1)[converged] < 1e-4).all()


def test_systems_do_not_disturb_each_other():
    matrix, root = well_conditioned(8), vectors(8)

    def solve(systems):
        def residual(x, active):
            return apply(matrix[systems][active], x - root[systems][active]) + 0.05 * torch.sin(x)

        start = torch.zeros(len(systems), 3, dtype=torch.float64)
        return broyden(residual, start, inverse_3x3(matrix[systems]), 20, 1e-6, 10.0)

    together, _ = solve(torch.arange(8))
    alone, _ = solve(torch.tensor([5]))
    assert torch.allclose(together[5:6], alone, atol=1e-12)


def test_far_systems_are_dropped_and_no_systems_are_fine():
    far = torch.full((2, 3), 100.0)
    identity = torch.eye(3).repeat(2, 1, 1)
    _, converged = broyden(lambda x, active: x, far, identity, 10, 1e-4, 1.0)
    assert not converged.any()
    roots, converged = broyden(lambda x, active: x, far[:0], identity[:0], 10, 1e-4, 1.0)
    assert roots.shape == (0, 3)
    assert converged.shape == (0,)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_inverse_is_the_inverse(dtype, tolerance):
    matrix = well_conditioned(100, dtype=dtype)
    assert torch.allclose(inverse_3x3(matrix), torch.linalg.inv(matrix), atol=tolerance)


@pytest.mark.parametrize("fill", [0.0, 1.0, float("nan"), float("inf")])
def test_inverse_of_a_singular_matrix_is_the_identity(fill):
    assert torch.equal(inverse_3x3(torch.full((2, 3, 3), fill)), torch.eye(3).repeat(2, 1, 1))


def test_inverse_of_strided_matrices():
    matrix = well_conditioned(5)
    assert torch.allclose(inverse_3x3(matrix.mT), torch.linalg.inv(matrix.mT), atol=1e-10)
    assert inverse_3x3(matrix[:0]).shape == (0, 3, 3)
