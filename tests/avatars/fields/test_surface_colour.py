import torch

from avatars.fields.grid import GridSpec
from avatars.fields.surface_colour import BLOCK, TAPER, BlockGrid, SurfaceColour, part_share, spread

SPEC = GridSpec((-0.1, -0.1, -0.1), 0.01, (21, 21, 21))


def sphere(count: int = 4000, radius: float = 0.07) -> torch.Tensor:
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
    return radius * torch.nn.functional.normalize(points, dim=1)


def ramp(points: torch.Tensor) -> torch.Tensor:
    """A colour that trilinear interpolation gives exactly."""
    return (0.5 + points @ torch.tensor([[3.0, 0.0, 1.0], [0.0, 2.0, 0.0], [1.0, 0.0, -3.0]])).float()


def test_only_blocks_about_the_points_are_kept_and_all_of_these():
    grid = BlockGrid.about(sphere(), SPEC, 0.01)
    assert 0 < len(grid.blocks) < 6**3
    _, weights = grid.corners(sphere(radius=0.07) + 0.004)
    assert torch.allclose(weights.sum(1), torch.ones(4000), atol=1e-5)
    assert grid.count == len(grid.blocks) * BLOCK**3


def test_rows_and_numbers_are_inverse():
    grid = BlockGrid.about(sphere(), SPEC, 0.01)
    assert torch.equal(grid.rows(grid.numbers()), torch.arange(grid.count))
    assert (grid.rows(torch.tensor([[-1, 0, 0], [0, 0, 99]])) == -1).all()


def test_neighbours_are_a_spacing_away():
    grid = BlockGrid.about(sphere(), SPEC, 0.01)
    near, places = grid.neighbours(), grid.places()
    known = near >= 0
    off = (places[near.clamp_min(0)] - places[:, None]).norm(dim=-1)
    assert torch.allclose(off[known], torch.tensor(0.01), atol=1e-6)


def test_interpolation_is_exact_for_linear_colours_and_differentiable():
    grid = BlockGrid.about(sphere(), SPEC, 0.01)
    grid.values.data.copy_(ramp(grid.places()))
    field = SurfaceColour(GridSpec((-0.1, -0.1, -0.1), 0.1, (3, 3, 3)), [grid])
    points = sphere(500).requires_grad_()
    found = field(points)
    assert torch.allclose(found, ramp(points), atol=1e-5)
    found.sum().backward()
    assert torch.allclose(grid.values.grad.sum(), torch.tensor(1500.0), rtol=1e-4)
    assert torch.allclose(points.grad, ramp(torch.eye(3)).sum(1).sub(1.5).expand(500, 3), atol=1e-2)


def test_off_the_surface_colours_pass_into_the_backdrop_without_a_jump():
    grid = BlockGrid.about(sphere(), SPEC, 0.01)
    grid.values.data.fill_(0.9)
    field = SurfaceColour(GridSpec((-0.1, -0.1, -0.1), 0.1, (3, 3, 3)), [grid])
    field.backdrop.data.fill_(0.1)
    line = torch.linspace(0, 0.15, 3001)[:, None] * torch.tensor([[0.6, 0.64, 0.48]])
    found = field(line)[:, 0].detach()
    assert abs(float(found[0]) - 0.1) < 1e-5
    assert abs(float(found[-1]) - 0.1) < 1e-5
    assert float(found.max()) > 0.89
    assert float(found.diff().abs().max()) < 0.02
    assert torch.isfinite(field.linear(torch.tensor([[9.0, -9, 9], [torch.nan, 0, 0]]))[0]).all()


def test_a_part_counts_within_its_box_alone():
    inside, outside = torch.zeros(1, 3), torch.tensor([[0.2, 0.0, 0.0]])
    assert float(part_share(SPEC, inside)) == 1
    assert float(part_share(SPEC, outside)) == 0
    rim = part_share(SPEC, torch.tensor([[0.1 - TAPER / 2, 0.0, 0.0]]))
    assert 0.4 < float(rim) < 0.6
    coarse, fine = BlockGrid.about(sphere(), SPEC, 0.01), BlockGrid.about(sphere(), SPEC, 0.01)
    coarse.values.data.fill_(0.2)
    fine.values.data.fill_(0.7)
    field = SurfaceColour(GridSpec((-0.1, -0.1, -0.1), 0.1, (3, 3, 3)), [coarse, fine])
    assert torch.allclose(field(sphere(100)), torch.tensor(0.7))


def test_quantised_values_are_bytes():
    grid = BlockGrid.about(sphere(100), SPEC, 0.01)
    grid.values.data.uniform_(-0.2, 1.2)
    SurfaceColour(GridSpec((0.0, 0.0, 0.0), 0.1, (2, 2, 2)), [grid]).quantise()
    assert torch.allclose((grid.values * 255).round() / 255, grid.values)
    assert grid.values.min() >= 0
    assert grid.values.max() <= 1


class TestSpread:
    def chain(self, count: int) -> torch.Tensor:
        """Nodes in a row: each has the ones before and behind it."""
        near = torch.full((count, 6), -1)
        near[1:, 0], near[:-1, 1] = torch.arange(count - 1), torch.arange(1, count)
        return near

    def test_known_values_stay_and_gaps_are_bridged(self):
        values = torch.zeros(11, 1)
        values[-1] = 1
        known = torch.zeros(11, dtype=torch.bool)
        known[[0, -1]] = True
        found = spread(values, known, self.chain(11), 40)[:, 0]
        assert found[0] == 0
        assert found[-1] == 1
        assert (found.diff() > 0).all()
        assert float(found.diff().max()) < 0.2

    def test_nodes_out_of_reach_take_the_mean(self):
        values, known = torch.tensor([[0.2], [0.4], [9.0]]), torch.tensor([True, True, False])
        assert torch.allclose(spread(values, known, torch.full((3, 6), -1), 0)[2], torch.tensor(0.3))
