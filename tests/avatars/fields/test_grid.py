import pytest
import torch

from avatars.fields.grid import GridSpec, interpolate
from body_models import InputError

SPEC = GridSpec((-0.3, 0.1, 0.0), 0.1, (4, 5, 6))
UPPER = torch.tensor([0.0, 0.5, 0.5], dtype=torch.float64)


def linear(points):
    return points @ points.new_tensor([[1.0, 2.0], [-3.0, 0.5], [0.7, 4.0]]) + points.new_tensor([0.3, -1.0])


def lower(dtype=torch.float64):
    return torch.tensor(SPEC.lower, dtype=dtype)


def points_inside(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return lower() + torch.rand(count, 3, generator=generator, dtype=torch.float64) * (UPPER - lower())


def read(table, points):
    return interpolate(table, *SPEC.corners(points))


def test_linear_functions_are_reproduced_inside():
    points = points_inside(200)
    assert torch.allclose(read(linear(SPEC.nodes().double()), points), linear(points), atol=1e-6)


def test_nodes_give_their_own_values():
    table = torch.randn(SPEC.count, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(read(table, SPEC.nodes()), table, atol=1e-4)


def test_points_outside_take_the_value_of_the_nearest_border_point():
    outside = points_inside(100) + torch.randn(100, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    border = outside.clamp(min=lower(), max=UPPER)
    table = torch.randn(SPEC.count, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(read(table, outside), read(table, border), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_corner_weights_are_convex_and_indices_exist(dtype):
    points = (points_inside(300) * 3).to(dtype)
    index, weights = SPEC.corners(points)
    assert weights.dtype == dtype
    assert index.min() >= 0
    assert index.max() < SPEC.count
    assert weights.min() >= -1e-6
    assert torch.allclose(weights.sum(1), torch.ones(300, dtype=dtype), atol=1e-6)


def test_gradients_by_points_and_table():
    table = torch.randn(SPEC.count, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(read, (table.requires_grad_(), points_inside(6, seed=3).requires_grad_()))


def test_points_that_are_not_numbers_give_no_number_and_disturb_nobody():
    points = points_inside(3).index_fill(0, torch.tensor([1]), torch.nan)
    table = linear(SPEC.nodes().double())
    values = read(table, points)
    assert values[1].isnan().all()
    assert torch.allclose(values[[0, 2]], linear(points[[0, 2]]), atol=1e-6)


def test_no_points():
    assert read(torch.zeros(SPEC.count, 2), torch.zeros(0, 3)).shape == (0, 2)


def test_strided_points():
    points = points_inside(20)
    strided = torch.stack([points, points], 2)[..., 0]
    assert not strided.is_contiguous()
    table = linear(SPEC.nodes().double())
    assert torch.equal(read(table, strided), read(table, points))


@pytest.mark.parametrize("spacing", [0.013, 0.1, 0.7, 5.0])
def test_covering_covers(spacing):
    low, high = torch.tensor([-0.4, 0.0, 1.0]), torch.tensor([0.37, 1.7, 1.0])
    spec = GridSpec.covering(low, high, spacing)
    nodes = spec.nodes()
    assert len(nodes) == spec.count
    assert torch.allclose(nodes.min(0).values, low, atol=1e-6)
    assert (nodes.max(0).values >= high - 1e-5).all()
    assert min(spec.shape) >= 2
    assert (nodes.max(0).values < (high + spacing).clamp_min(low + 1.5 * spacing)).all()


@pytest.mark.parametrize("spacing", [0.0, -1.0, float("nan")])
def test_covering_refuses_spacings(spacing):
    with pytest.raises(InputError, match="spacing"):
        GridSpec.covering(torch.zeros(3), torch.ones(3), spacing)


def bag(table, index, weights):
    return torch.nn.functional.embedding_bag(index, table, per_sample_weights=weights, mode="sum")


def interpolation_inputs(count=7):
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(12, 3, generator=generator, dtype=torch.float64).requires_grad_()
    weights = torch.randn(count, 8, generator=generator, dtype=torch.float64).requires_grad_()
    return table, torch.randint(12, (count, 8), generator=generator), weights


def test_interpolation_and_its_gradients_are_embedding_bag_s():
    table, index, weights = interpolation_inputs()
    mine, theirs = interpolate(table, index, weights), bag(table, index, weights)
    assert torch.allclose(mine, theirs)
    upstream = torch.randn(mine.shape, dtype=torch.float64)
    for one, other in zip(
        torch.autograd.grad(mine, (table, weights), upstream),
        torch.autograd.grad(theirs, (table, weights), upstream),
        strict=True,
    ):
        assert torch.allclose(one, other)


def test_first_and_second_derivatives_of_interpolation():
    table, index, weights = interpolation_inputs(3)
    assert torch.autograd.gradcheck(lambda t, w: interpolate(t, index, w), (table, weights))
    assert torch.autograd.gradgradcheck(lambda t, w: interpolate(t, index, w), (table, weights))


def test_slopes_are_the_derivatives_of_the_weights_and_zero_beyond_the_border():
    points = torch.cat([points_inside(50), points_inside(10) + 5.0])
    _, weights, slopes = SPEC.corner_slopes(points)
    assert torch.equal(weights, SPEC.corners(points)[1])
    assert (slopes[50:] == 0).all()
    step = 1e-8
    for axis in range(3):
        move = step * torch.eye(3, dtype=torch.float64)[axis]
        change = (SPEC.corners(points + move)[1] - SPEC.corners(points - move)[1]) / (2 * step)
        assert torch.allclose(slopes[:, axis], change, atol=1e-5)
