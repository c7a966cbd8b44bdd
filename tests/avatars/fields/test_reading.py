from itertools import pairwise

import pytest
import torch

from avatars.fields.grid import GridSpec
from avatars.fields.patches import patched_grid
from avatars.fields.reading import read, read_twin, read_with_slopes

LOWER, UPPER = torch.tensor([-0.2, -0.1, 0.0]), torch.tensor([0.2, 0.2, 0.3])
SPEC = GridSpec.covering(LOWER, UPPER, 0.03)
PATCHED = patched_grid(LOWER, UPPER, 0.06, [torch.tensor([[-0.05, 0.0, 0.1], [0.08, 0.1, 0.2]])], 0.02)
WAYS = {
    "one grid": (SPEC, False, 0, 0),
    "shared rows": (SPEC, False, 7, 0),
    "patches": (PATCHED, False, 0, 0),
    "mended patches": (PATCHED, True, 0, 0),
    "frames": (PATCHED, True, 0, 3),
}


def some_points(count, seed=0, reach=0.1):
    """Within and a little beyond the box."""
    generator = torch.Generator().manual_seed(seed)
    return LOWER - reach + (UPPER - LOWER + 2 * reach) * torch.rand(count, 3, generator=generator)


def case(way, channels=3, count=200):
    grid, mended, bits, frames = WAYS[way]
    generator = torch.Generator().manual_seed(1)
    rows = 2**bits if bits else grid.count * max(1, frames)
    frame = torch.randint(frames, (count,), generator=generator) if frames else None
    return torch.randn(rows, channels, generator=generator), grid, some_points(count), mended, bits, frame


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("channels", [1, 5])
def test_the_kernel_and_its_twin_agree_in_values_and_gradients(way, channels):
    table, grid, points, *rest = case(way, channels)
    for slopes in (False, True):
        found = []
        for fused in (True, False):
            own, places = table.clone().requires_grad_(), points.clone().requires_grad_()
            if fused:
                answer = read_with_slopes(own, grid, places, *rest) if slopes else (read(own, grid, places, *rest),)
            else:
                answer = read_twin(own, grid, places, *rest, slopes=slopes)[: 1 + slopes]
            generator = torch.Generator().manual_seed(2)
            given = [torch.randn(value.shape, generator=generator) for value in answer]
            found.append([*answer, *torch.autograd.grad(answer, (own, places), given)])
        for mine, twins in zip(*found, strict=True):
            assert torch.allclose(mine, twins, rtol=1e-4, atol=1e-5 * float(twins.detach().abs().max()))


@pytest.mark.parametrize("way", WAYS)
def test_gradients_of_gradients_are_those_of_double_precision(way):
    table, grid, points, *rest = case(way, 2, 12)
    found = []
    for dtype in (torch.float32, torch.float64):
        own, places = table.to(dtype, copy=True).requires_grad_(), points.to(dtype, copy=True).requires_grad_()
        values, slopes = read_with_slopes(own, grid, places, *rest)
        loss = values.square().sum() + 1e-3 * slopes.square().sum()
        first = torch.autograd.grad(loss, (own, places), create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), (own, places))
        found.append([value.double() for value in (*first, *second)])
    for single, double in zip(*found, strict=True):
        assert torch.allclose(single, double, rtol=1e-3, atol=1e-4 * float(double.detach().abs().max()))


@pytest.mark.parametrize("way", ["one grid", "mended patches"])
def test_gradients_are_finite_differences(way):
    table, grid, points, *rest = case(way, 2, 8)
    inputs = (table.double().requires_grad_(), points.double().requires_grad_())
    function = lambda t, p: read_with_slopes(t, grid, p, *rest)  # noqa: E731
    assert torch.autograd.gradcheck(function, inputs, atol=1e-4, fast_mode=True)


def test_mended_values_pass_continuously_through_the_rim():
    table, grid, *_ = case("mended patches", 1)
    patch = grid.patches[1]
    line = torch.linspace(patch.lower[0] - 1e-3, patch.lower[0] + 1e-3, 41)
    points = torch.stack([line, torch.full_like(line, 0.05), torch.full_like(line, 0.15)], 1)
    values = read(table, grid, points, mended=True)[:, 0].tolist()
    assert max(abs(b - a) for a, b in pairwise(values)) < 0.02


def test_points_that_are_no_numbers_get_no_numbers_and_others_their_own():
    table, grid, points, *rest = case("mended patches")
    damaged = points.clone()
    damaged[3, 1] = torch.nan
    damaged[5] = torch.inf
    values, slopes = read_with_slopes(table, grid, damaged, *rest)
    whole = read(table, grid, points, *rest)
    rows = torch.tensor([row for row in range(len(points)) if row not in (3, 5)])
    assert values[3].isnan().all()
    assert values[5].isfinite().all()
    assert torch.equal(values[rows], whole[rows])
    assert slopes[rows].isfinite().all()


def test_no_points_are_no_values():
    table, grid, points, *rest = case("patches")
    values, slopes = read_with_slopes(table, grid, points[:0], *rest)
    assert values.shape == (0, 3)
    assert slopes.shape == (0, 3, 3)


def test_what_is_not_asked_for_gets_no_gradient():
    table, grid, points, *rest = case("one grid")
    own = table.clone().requires_grad_()
    read(own, grid, points, *rest).sum().backward()
    assert own.grad is not None
    places = points.clone().requires_grad_()
    read(table, grid, places, *rest).sum().backward()
    assert places.grad is not None
    assert not read(table, grid, points, *rest).requires_grad


def test_rows_that_lie_apart_in_memory_are_read_alike():
    table, grid, points, *rest = case("one grid")
    apart = torch.stack([table, table], 2)[..., 0]
    assert not apart.is_contiguous()
    assert torch.equal(read(apart, grid, points.T.contiguous().T, *rest), read(table, grid, points, *rest))
