import pytest
import torch

from avatars.fields.displacement import GridDisplacement
from avatars.fields.grid import interpolate
from avatars.fields.patches import patched_grid
from body_models import InputError

LOW, HIGH = torch.full((3,), -0.1), torch.full((3,), 0.1)
PART = torch.stack([torch.zeros(3), torch.full((3,), 0.05)])


def some_field(moved=True):
    torch.manual_seed(0)
    field = GridDisplacement(patched_grid(LOW, HIGH, 0.05, [PART], 0.025), 4, 8)
    if moved:
        torch.nn.init.normal_(field.last.weight)
    return field


def test_it_starts_at_zero():
    assert torch.equal(some_field(moved=False).at_nodes(torch.randn(2, 4)), torch.zeros(2, some_field().grid.count, 3))


def test_frames_do_not_mix():
    field, conditions = some_field(), torch.randn(3, 4)
    every = field.at_nodes(conditions)
    assert torch.allclose(every[1], field.at_nodes(conditions[1:2])[0], atol=1e-6)
    assert (every[0] - every[1]).abs().max() > 1e-4


def test_it_is_continuous_across_the_rim_of_a_patch():
    field = some_field()
    values = field.at_nodes(torch.randn(1, 4))[0]
    edge = field.grid.nodes()[field.rim]
    corners = field.grid.patches[0].corners(edge)
    assert torch.allclose(values[field.rim], interpolate(values, *corners), atol=1e-6)


def test_every_parameter_learns():
    field = some_field()
    field.at_nodes(torch.randn(2, 4)).square().sum().backward()
    assert all(bool(parameter.grad.any()) for parameter in field.parameters())


def test_sizes_below_one_are_refused():
    with pytest.raises(InputError, match="not 0 and 8"):
        GridDisplacement(patched_grid(LOW, HIGH, 0.05), 0, 8)
