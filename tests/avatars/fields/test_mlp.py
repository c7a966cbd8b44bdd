import pytest
import torch

from avatars.fields.mlp import Mlp, positional_encoding
from body_models.errors import InputError


def sphere(radius, count=100):
    directions = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
    return radius * torch.nn.functional.normalize(directions, dim=1)


def test_encoding_keeps_the_point_and_doubles_frequencies():
    points = torch.rand(5, 3)
    encoded = positional_encoding(points, 3)
    assert encoded.shape == (5, 3 + 6 * 3)
    assert torch.equal(encoded[:, :3], points)
    assert torch.allclose(encoded[:, 15:18], torch.sin(4 * points))
    assert torch.equal(positional_encoding(points, 0), points)


@pytest.mark.parametrize(("skip", "join"), [(None, None), (2, None), (None, 0), (2, 2), (1, 3), (3, 3)])
def test_shapes_with_skip_and_join(skip, join):
    network = Mlp(7, 2, width=16, depth=3, skip=skip, join=join, condition=4 if join is not None else 0)
    condition = None if join is None else torch.rand(5, 4)
    output = network(torch.rand(5, 7), condition)
    assert output.shape == (5, 2)
    assert network(torch.zeros(0, 7), None if join is None else torch.zeros(0, 4)).shape == (0, 2)


@pytest.mark.parametrize(("width", "depth", "skip"), [(7, 3, 2), (16, 1, 0)])
def test_sizes_at_which_the_input_cannot_join_again(width, depth, skip):
    with pytest.raises(InputError, match="input of 7 numbers in again"):
        Mlp(7, 2, width=width, depth=depth, skip=skip)


def test_input_and_condition_matter():
    torch.manual_seed(0)
    network = Mlp(3, 1, width=16, depth=3, skip=2, join=2, condition=4)
    inputs, condition = torch.rand(5, 3, requires_grad=True), torch.rand(5, 4, requires_grad=True)
    gradients = torch.autograd.grad(network(inputs, condition).sum(), [inputs, condition])
    assert all(gradient.abs().max() > 0 for gradient in gradients)


@pytest.mark.parametrize("octaves", [0, 4])
@pytest.mark.parametrize("seed", range(3))
def test_geometric_start_is_about_a_sphere(octaves, seed):
    torch.manual_seed(seed)
    network = Mlp(3 + 6 * octaves, 1, width=128, depth=8, skip=4, geometric=True)

    def field(points):
        return network(positional_encoding(points, octaves))[:, 0]

    assert field(torch.zeros(1, 3)) > 0.3
    assert (field(sphere(0.3)) > 0).all()
    assert (field(sphere(2.5)) < 0).all()


def test_gradient():
    torch.manual_seed(0)
    network = Mlp(3, 2, width=8, depth=2, skip=1).double()
    assert torch.autograd.gradcheck(network, torch.rand(3, 3, dtype=torch.float64, requires_grad=True))
