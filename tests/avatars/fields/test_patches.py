"""Coarse grids with finer patches, used as one."""

import pytest
import torch

from avatars.deform.starts import nearest_nodes
from avatars.fields.grid import interpolate
from avatars.fields.offsets import GridOffsets
from avatars.fields.patches import PatchedGrid, patched_grid
from avatars.fields.weights import GridWeights
from body_models import InputError

LOW, HIGH = torch.tensor([-0.5, 0.0, -0.2]), torch.tensor([0.5, 0.9, 0.4])
PARTS = [torch.tensor([[-0.31, 0.11, -0.05], [-0.07, 0.42, 0.2]]), torch.tensor([[0.2, 0.5, 0.0], [0.37, 0.8, 0.13]])]
GRID = patched_grid(LOW, HIGH, 0.1, PARTS, 0.03)
BONES = 5


def linear(points):
    return points @ points.new_tensor([[1.0, 2.0], [-3.0, 0.5], [0.7, 4.0]]) + points.new_tensor([0.3, -1.0])


def points_inside(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return LOW + torch.rand(count, 3, generator=generator) * (HIGH - LOW)


def rim_pairs(patch, count=200, gap=1e-6):
    """Points just inside and just outside of a patch's faces."""
    generator = torch.Generator().manual_seed(0)
    lower = torch.tensor(patch.lower)
    upper = lower + patch.spacing * (torch.tensor(patch.shape) - 1)
    inside = lower + torch.rand(count, 3, generator=generator) * (upper - lower)
    outside = inside.clone()
    row, axis = torch.arange(count), torch.randint(3, (count,), generator=generator)
    high = torch.rand(count, generator=generator) < 0.5
    inside[row, axis] = torch.where(high, upper[axis] - gap, lower[axis] + gap)
    outside[row, axis] = torch.where(high, upper[axis] + gap, lower[axis] - gap)
    return inside, outside


def test_counts_are_odd_and_parts_covered():
    assert len(GRID.patches) == 3
    assert all(n % 2 == 1 for patch in GRID.patches for n in patch.shape)
    assert len(GRID.nodes()) == GRID.count
    for patch, part in zip(GRID.patches[1:], PARTS, strict=True):
        assert patch.contains(part).all()


def test_linear_functions_are_reproduced():
    points = points_inside(500)
    assert torch.allclose(interpolate(linear(GRID.nodes()), *GRID.corners(points)), linear(points), atol=1e-5)


def test_slopes_of_linear_functions_are_constant():
    index, weights, slopes = GRID.corner_slopes(points_inside(300))
    table = linear(GRID.nodes())
    assert torch.allclose(weights.sum(1), torch.ones(300), atol=1e-5)
    expected = torch.tensor([[1.0, 2.0], [-3.0, 0.5], [0.7, 4.0]]).expand(300, 3, 2)
    assert torch.allclose((table[index][:, None] * slopes[..., None]).sum(2), expected, atol=1e-3)


@pytest.mark.parametrize("parents", [None, (-1, 0, 1, 1, 3)])
def test_weights_are_continuous_across_rims(parents):
    field = GridWeights(GRID, BONES, parents)
    with torch.no_grad():
        field.logits.copy_(0.2 * torch.randn(field.logits.shape, generator=torch.Generator().manual_seed(0)))
        for patch in GRID.patches[1:]:
            inside, outside = rim_pairs(patch)
            assert torch.allclose(field(inside), field(outside), atol=1e-3)


def test_offsets_are_continuous_across_rims():
    field = GridOffsets(GRID, 2)
    assert field(points_inside(5)).abs().max() == 0
    field.start_from(0.1 * torch.randn(GRID.count, 2, 3, generator=torch.Generator().manual_seed(0)))
    for patch in GRID.patches[1:]:
        inside, outside = rim_pairs(patch)
        assert torch.allclose(field(inside), field(outside), atol=1e-3)


def test_thinning_keeps_every_second_node():
    thin, picked = GRID.thinned(1.0)
    assert torch.allclose(thin.nodes(), GRID.nodes()[picked], atol=1e-6)
    for patch, whole in zip(thin.patches, GRID.patches, strict=True):
        assert patch.spacing == 2 * whole.spacing
        assert patch.shape == tuple((n + 1) // 2 for n in whole.shape)


def test_thinning_spares_patches_that_would_grow_too_coarse():
    thin, picked = GRID.thinned(0.07)
    assert thin.patches[0] == GRID.patches[0]
    assert thin.patches[1].spacing == 2 * GRID.patches[1].spacing
    assert torch.allclose(thin.nodes(), GRID.nodes()[picked], atol=1e-6)
    same, everything = GRID.thinned(0.0)
    assert same == GRID
    assert torch.equal(everything, torch.arange(GRID.count))


def test_nearest_nodes_are_nearest_in_the_finest_patch():
    points = torch.cat([points_inside(300), points_inside(50) * 3 - 1])
    found = nearest_nodes(GRID, points)
    for number, point in enumerate(points):
        holding = [i for i, patch in enumerate(GRID.patches) if i == 0 or patch.contains(point[None])[0]][-1]
        gaps = (GRID.patches[holding].nodes() - point).norm(dim=1)
        mine = int(found[number]) - GRID.offsets[holding]
        assert 0 <= mine < GRID.patches[holding].count
        assert gaps[mine] <= gaps.min() + 1e-6


def test_nearest_nodes_of_what_is_not_a_number_exist():
    odd = torch.tensor([[torch.nan, 0, 0], [torch.inf, -torch.inf, 0], [1e30, 0, -1e30]])
    assert (nearest_nodes(GRID, odd) >= 0).all()
    assert (nearest_nodes(GRID, odd) < GRID.count).all()
    assert nearest_nodes(GRID, odd[:0]).shape == (0,)


def test_a_grid_without_parts_has_no_rim():
    alone = PatchedGrid(GRID.patches[:1])
    assert all(len(value) == 0 for value in alone.rim())
    points = points_inside(50)
    assert torch.equal(alone.corners(points)[0], GRID.patches[0].corners(points)[0])


@pytest.mark.parametrize("spacing", [0.0, -0.1, float("nan")])
def test_spacings_that_are_not_positive_are_refused(spacing):
    with pytest.raises(InputError, match="spacing"):
        patched_grid(LOW, HIGH, spacing)
    with pytest.raises(InputError, match="spacing"):
        patched_grid(LOW, HIGH, 0.1, PARTS, spacing)
