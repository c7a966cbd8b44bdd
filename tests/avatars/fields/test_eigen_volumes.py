import pytest
import torch

from avatars.fields.eigen_volumes import EigenVolumes, active_nodes
from avatars.fields.grid import GridSpec
from avatars.fields.reading import read
from body_models import InputError

GRID = GridSpec((-0.4, -0.5, -0.2), 0.1, (9, 11, 5))


def ball_nodes(reach: float = 0.05) -> torch.Tensor:
    return active_nodes(GRID, GRID.nodes().norm(dim=1) - 0.2, reach)


def volumes(spread: float = 0.1) -> EigenVolumes:
    torch.manual_seed(0)
    made = EigenVolumes(GRID, ball_nodes(), 4, 3, spread)
    torch.nn.init.normal_(made.mean)
    return made


def test_code_of_zeros_gives_the_mean():
    made = volumes()
    table = made.tables(torch.zeros(2, 4)).unflatten(0, (2, GRID.count))
    assert torch.equal(table[0], table[1])
    assert torch.equal(table[0, made.active], made.mean)
    others = torch.ones(GRID.count, dtype=torch.bool)
    others[made.active] = False
    assert bool((table[:, others] == 0).all())


def test_volumes_are_linear_in_the_code():
    made = volumes()
    first, second, none = torch.randn(1, 4), torch.randn(1, 4), torch.zeros(1, 4)
    mixed = made.tables(2 * first - 3 * second) - made.tables(none)
    apart = 2 * (made.tables(first) - made.tables(none)) - 3 * (made.tables(second) - made.tables(none))
    assert torch.allclose(mixed, apart, atol=1e-5)


def test_points_take_the_features_of_their_subject():
    made, codes = volumes(), torch.randn(3, 4)
    points, subject = 0.6 * torch.rand(20, 3) - 0.3, torch.randint(3, (20,))
    alone = [made(points, torch.zeros(20, dtype=torch.long), code[None]) for code in codes]
    expected = torch.stack(alone)[subject, torch.arange(20)]
    assert torch.allclose(made(points, subject, codes), expected, atol=1e-6)


def test_gradients_reach_codes_basis_and_points():
    made, codes = volumes(), torch.randn(2, 4, requires_grad=True)
    points = (0.1 * torch.randn(30, 3)).requires_grad_()
    made(points, torch.randint(2, (30,)), codes).square().sum().backward()
    for value in (codes, points, made.basis, made.mean):
        assert value.grad is not None
        assert float(value.grad.norm()) > 0


def test_gradients_are_those_of_double_precision():
    grid = GridSpec((0.0, 0.0, 0.0), 0.5, (3, 3, 2))
    made = EigenVolumes(grid, torch.tensor([0, 4, 7, 16]), 2, 2, 0.5).double()
    codes = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    subject, points = torch.tensor([0, 1, 1]), torch.rand(3, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda c: read(made.tables(c), grid, points, frame=subject), codes)


def test_impossible_sizes_are_told():
    with pytest.raises(InputError, match="at least one"):
        EigenVolumes(GRID, ball_nodes(), 0, 3, 0.1)
    with pytest.raises(InputError, match="each once"):
        EigenVolumes(GRID, torch.tensor([1, 1]), 2, 3, 0.1)
    with pytest.raises(InputError, match="each once"):
        EigenVolumes(GRID, torch.tensor([GRID.count]), 2, 3, 0.1)
    with pytest.raises(InputError, match="longer reach"):
        active_nodes(GRID, torch.ones(GRID.count), 0.5)
    with pytest.raises(InputError, match="one for each"):
        active_nodes(GRID, torch.ones(5), 0.5)
