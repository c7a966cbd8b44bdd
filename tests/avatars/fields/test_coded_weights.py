"""Skinning weights of many people: what a code changes, and slopes against finite differences."""

import pytest
import torch

from avatars.fields.coded_weights import CodedWeights, GridCodedWeights, MlpCodedWeights
from avatars.fields.patches import patched_grid

LOWER, UPPER = torch.tensor([-0.5, -0.5, -0.5]), torch.tensor([0.5, 0.5, 0.5])
STEP = 1e-3


def fields():
    torch.manual_seed(0)
    grid, coarse = patched_grid(LOWER, UPPER, 0.1), patched_grid(LOWER, UPPER, 0.25)
    field = GridCodedWeights(grid, coarse, bones=3, code=4, rank=2)
    field.start_from(torch.softmax(torch.randn(grid.count, 3), 1))
    torch.nn.init.normal_(field.patterns, std=0.3)
    return {"grid": field, "mlp": MlpCodedWeights(grid, bones=3, code=4, width=16, depth=2)}


@pytest.fixture(scope="module", params=["grid", "mlp"])
def field(request):
    return fields()[request.param]


def queries():
    generator = torch.Generator().manual_seed(1)
    points = 0.9 * (torch.rand(50, 3, generator=generator) - 0.5)
    return points, torch.arange(50) % 2, torch.randn(2, 4, generator=generator)


def test_both_kinds_are_coded_weights(field):
    assert isinstance(field, CodedWeights)


def test_a_code_of_zeros_gives_the_mean_weights(field):
    nodes = field.grid.nodes()[:200]
    values = field.log_weights(nodes, torch.zeros(200).long(), field.tables(torch.zeros(1, 4)))
    assert torch.allclose(values, field.mean_at_nodes()[:200], atol=1e-4)


def test_each_point_follows_the_code_of_its_own_person(field):
    points, subject, codes = queries()
    both = field.log_weights(points, subject, field.tables(codes))
    alone = field.log_weights(points, torch.zeros(50).long(), field.tables(codes[1:]))
    assert torch.allclose(both[subject == 1], alone[subject == 1], atol=1e-5)
    assert (both[subject == 0] - alone[subject == 0]).abs().max() > 1e-2, "codes make a difference"


def test_slopes_are_derivatives(field):
    points, subject, codes = queries()
    tables = field.tables(codes)
    values, slopes = field.with_slopes(points, subject, tables)
    assert torch.allclose(values, field.log_weights(points, subject, tables), atol=1e-4)
    for axis in range(3):
        step = STEP * torch.eye(3)[axis]
        ahead, behind = (field.log_weights(points + s, subject, tables) for s in (step, -step))
        error = ((ahead - behind) / (2 * STEP) - slopes[:, axis]).abs().amax(1)
        scale = slopes.abs().max()
        assert error.median() < 2e-3 * scale, "apart from points whose step crosses into another cell"


def test_gradients_reach_codes_and_networks(field):
    points, subject, codes = queries()
    codes.requires_grad_()
    field.log_weights(points, subject, field.tables(codes)).square().sum().backward()
    assert codes.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in field.parameters())
