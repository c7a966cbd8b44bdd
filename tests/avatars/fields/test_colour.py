import pytest
import torch

from avatars.fields.colour import FIRST_COLOUR, ColourField
from avatars.fields.grid import GridSpec
from body_models.errors import InputError

GRIDS = [(GridSpec((-0.15, -0.15, -0.15), 0.05, (7, 7, 7)), 4)]


def fast():
    torch.manual_seed(0)
    return ColourField(5, 6, width=16, depth=2, octaves=0, grids=GRIDS)


def paper():
    torch.manual_seed(0)
    return ColourField(256, 53)


def inputs(field, count=30):
    generator = torch.Generator().manual_seed(1)
    points = 0.28 * torch.rand(count, 3, generator=generator) - 0.14
    normals = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    rest = [torch.randn(count, size, generator=generator) for size in (field.condition, field.feature_size)]
    return points, normals, *rest


@pytest.mark.parametrize("make", [fast, paper])
def test_first_colours_are_greyish_skin(make):
    field = make()
    colours = field(*inputs(field))
    assert colours.shape == (30, 3)
    assert (colours - torch.tensor(FIRST_COLOUR)).abs().max() < 0.12


@pytest.mark.parametrize("make", [fast, paper])
def test_colours_stay_within_bounds(make):
    field = make()
    points, *rest = inputs(field)
    colours = field(100 * points, *(1e4 * x for x in rest))
    assert colours.min() >= 0
    assert colours.max() <= 1
    assert field(*(x[:0] for x in inputs(field))).shape == (0, 3)


def test_every_input_matters_and_every_parameter_trains():
    field = fast()
    given = [x.requires_grad_() for x in inputs(field)]
    (field(*given) - 1).square().sum().backward()
    assert all(x.grad.abs().max() > 0 for x in given)
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in field.parameters())


def test_paper_size():
    assert sum(p.numel() for p in paper().parameters()) == pytest.approx(0.94e6, rel=5e-3)


def test_without_condition():
    field = ColourField(5, 0, width=8, depth=2)
    assert field(*inputs(field)).shape == (30, 3)


def test_conditions_beyond_those_seen_count_as_the_ends():
    field = fast()
    seen = torch.rand(200, 6, generator=torch.Generator().manual_seed(2))
    points, normals, _, feature = inputs(field)
    free = field(points, normals, torch.full((30, 6), 3.0), feature)
    field.limit_to(seen)
    far = field(points, normals, torch.full((30, 6), 3.0), feature)
    assert torch.equal(far, field(points, normals, torch.full((30, 6), 2.0), feature))
    assert not torch.allclose(far, free)
    middle = torch.full((30, 6), 0.5)
    within = field(points, normals, middle, feature)
    assert torch.equal(within, fast()(points, normals, middle, feature))
    assert (field.highest > 0.9).all()
    assert (field.lowest < 0.1).all()


@pytest.mark.parametrize("number", [2, 3])
def test_wrong_lengths_are_refused(number):
    field = fast()
    given = list(inputs(field))
    given[number] = given[number][:, :-1]
    with pytest.raises(InputError, match="condition" if number == 2 else "feature"):
        field(*given)


def test_bad_sizes():
    with pytest.raises(InputError, match="width"):
        ColourField(4, 4, width=0)
