import pytest
import torch

from avatars.fields.grid import GridSpec
from avatars.fields.radiance import FIRST_DENSITY, RadianceField
from body_models import InputError

SPEC = GridSpec.covering(torch.full((3,), -0.1), torch.full((3,), 0.1), 0.05)


def small_field(condition=3):
    torch.manual_seed(0)
    return RadianceField([(SPEC, 2)], condition, width=8, feature_size=4)


def some_points(rays=4, samples=5):
    generator = torch.Generator().manual_seed(1)
    points = 0.2 * torch.rand(rays, samples, 3, generator=generator) - 0.1
    directions = torch.nn.functional.normalize(torch.randn(rays, 3, generator=generator), dim=1)
    return points, directions, torch.randn(rays, 3, generator=generator)


def test_space_starts_as_thin_fog_of_skin():
    field = small_field()
    points, directions, condition = some_points()
    density, colour = field(points, directions, field.tell(condition))
    assert density.shape == (4, 5)
    assert torch.allclose(density.log(), torch.tensor(FIRST_DENSITY).log().expand(4, 5), atol=0.3)
    assert (colour > 0.3).all()
    assert (colour < 0.8).all()


def test_density_alone_is_the_same_density():
    field = small_field()
    points, directions, condition = some_points()
    told = field.tell(condition)
    assert torch.equal(field(points, directions, told)[0], field.density_at(points, told))


def test_rays_do_not_mix():
    field = small_field()
    points, directions, condition = some_points()
    whole = field(points, directions, field.tell(condition))
    for ray in range(len(points)):
        alone = field(points[ray : ray + 1], directions[ray : ray + 1], field.tell(condition[ray : ray + 1]))
        assert torch.allclose(whole[0][ray], alone[0][0], atol=1e-6)
        assert torch.allclose(whole[1][ray], alone[1][0], atol=1e-6)


def test_condition_changes_density_and_direction_only_colour():
    field = small_field()
    points, directions, condition = some_points()
    density, colour = field(points, directions, field.tell(condition))
    other, _ = field(points, directions, field.tell(condition + 1))
    same, shaded = field(points, -directions, field.tell(condition))
    assert not torch.allclose(density, other)
    assert torch.equal(density, same)
    assert not torch.allclose(colour, shaded)


def test_gradients_are_those_of_finite_differences():
    field = small_field().double()
    points, directions, condition = (value.double().requires_grad_() for value in some_points(2, 2))

    def outputs(points, directions, condition):
        return field(points, directions, field.tell(condition))

    assert torch.autograd.gradcheck(outputs, (points, directions, condition))


def test_sizes_and_conditions_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="width 0"):
        RadianceField([(SPEC, 2)], 3, width=0)
    with pytest.raises(InputError, match="condition of 3 numbers a frame, not 4"):
        small_field().tell(torch.zeros(1, 4))
