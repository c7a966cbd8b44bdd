from dataclasses import replace

import pytest
import torch

from avatars.deform.sampled import SampledSkinning
from avatars.deform.skinning import DeformationField, Skinning, forward_skin
from avatars.models.head_deformation import mixed_offsets
from avatars.models.imavatar import PUBLISHED, HeadSizes, Imavatar, ImavatarOptions
from avatars.render import SurfaceField
from body_models import InputError
from body_models.skeleton import transform_points
from tests.avatars.small_head import COARSE, SMALL_MLP, expression, head_body, small_model

STILL = (torch.zeros(1, 5, 3), torch.zeros(1, 3))


def some_frames(model, count=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    poses = 0.2 * torch.randn(count, 5, 3, generator=generator)
    places = 0.1 * torch.randn(count, 3, generator=generator)
    return [v.to(model.joints) for v in (poses, places, torch.rand(count, 52, generator=generator))]


def points_in(model, count=60):
    share = torch.rand(count, 3, generator=torch.Generator().manual_seed(1)).to(model.joints)
    return model.box[0] + share * (model.box[1] - model.box[0])


def shaken(model):
    with torch.no_grad():
        for field in (model.weights, model.offsets):
            for parameter in field.parameters():
                parameter.add_(2e-3 * torch.randn(parameter.shape).to(parameter))
    return model


def with_correctives():
    body = head_body()
    sizes = HeadSizes(52, 36)
    box = torch.stack([body.vertices.amin(0) - 0.1, body.vertices.amax(0) + 0.1])
    return Imavatar(COARSE, body.skeleton, sizes, body.joints, body.canonical_pose, box)


@pytest.mark.parametrize("options", [COARSE, replace(COARSE, ghost=False), SMALL_MLP])
def test_the_canonical_pose_without_expression_moves_nothing(options):
    model = small_model(options)
    assert model.bones == 5 + options.ghost
    field = model.deformation(model.canonical_pose[None], torch.zeros(1, 3), torch.zeros(1, 52))
    assert isinstance(field, DeformationField)
    points = points_in(model)
    assert torch.allclose(forward_skin(field, points, torch.zeros(60, dtype=torch.long)), points, atol=1e-5)


def test_the_ghost_goes_where_the_root_goes_and_keeps_its_rotation():
    model = small_model()
    model.ghost_rotation.copy_(torch.tensor([0.0, 0.3, 0.1]))
    poses, places, _ = some_frames(model)
    transforms = model.transforms(poses, places)
    assert transforms.shape == (2, 6, 4, 4)
    roots = transform_points(transforms[:, [0, 5]], model.joints[0].expand(2, 2, 3))
    assert torch.allclose(roots[:, 0], roots[:, 1], atol=1e-6)
    assert torch.equal(transforms[0, 5, :3, :3], transforms[1, 5, :3, :3])
    without = small_model(replace(COARSE, ghost=False)).transforms(poses, places)
    assert torch.allclose(transforms[:, :5], without, atol=1e-6)


def test_the_grid_deforms_as_the_exact_fields_do():
    model = shaken(small_model())
    frames = some_frames(model)
    points, frame = points_in(model), torch.arange(60) % 2
    sampled = model.deformation(*frames)
    assert isinstance(sampled, SampledSkinning)
    coefficients = model.coefficients(frames[0], frames[2])
    transforms = model.transforms(*frames[:2])
    exact = Skinning(model.weights, transforms, sampled.starts, model.offsets, coefficients)
    assert torch.allclose(forward_skin(sampled, points, frame), forward_skin(exact, points, frame), atol=1e-5)
    again = model.motion.sampled(transforms, coefficients)
    assert torch.allclose(forward_skin(again, points, frame), forward_skin(exact, points, frame), atol=1e-5)


def test_offsets_are_mixed_as_their_basis_says():
    field = shaken(small_model()).offsets
    coefficients = torch.randn(3, 52, generator=torch.Generator().manual_seed(0))
    expected = torch.einsum("fk,nkc->fnc", coefficients, field.at_nodes().unflatten(1, (-1, 3)))
    assert torch.allclose(mixed_offsets(field, coefficients), expected, atol=1e-5)


def test_prepared_weights_are_kept_until_they_change():
    model = small_model()
    first = model.deformation(*STILL, torch.zeros(1, 52))
    assert model.deformation(*STILL, torch.zeros(1, 52)).prepared is first.prepared
    with torch.no_grad():
        model.weights.logits.add_(1.0)
    assert model.deformation(*STILL, torch.zeros(1, 52)).prepared is not first.prepared


@pytest.mark.parametrize("options", [COARSE, SMALL_MLP])
def test_gradients_reach_poses_places_expressions_and_fields(options):
    model = shaken(small_model(options).double())
    points, frame = points_in(model, 12), torch.arange(12) % 2
    frames = [value.requires_grad_() for value in some_frames(model)]
    value = forward_skin(model.deformation(*frames), points, frame).square().sum()
    inputs = [*frames, *model.weights.parameters(), *model.offsets.parameters()]
    gradients = torch.autograd.grad(value, inputs)
    generator = torch.Generator().manual_seed(2)
    steps = [1e-6 * torch.randn(given.shape, generator=generator, dtype=torch.float64) for given in inputs]
    sides = []
    for sign in (1.0, -2.0):
        with torch.no_grad():
            for given, step in zip(inputs, steps, strict=True):
                given.add_(sign * step)
            sides.append(forward_skin(model.deformation(*frames), points, frame).square().sum())
    expected = sum(float((g * s).sum()) for g, s in zip(gradients, steps, strict=True))
    assert all(bool(gradient.abs().max() > 0) for gradient in gradients)
    assert float(sides[0] - sides[1]) / 2 == pytest.approx(expected, rel=1e-5)


def test_pose_correctives_count_from_the_canonical_pose():
    model = with_correctives()
    canonical = model.coefficients(model.canonical_pose[None], torch.ones(1, 52))
    assert canonical.shape == (1, 88)
    assert torch.equal(canonical[0, 52:], torch.zeros(36))
    assert model.coefficients(torch.zeros(1, 5, 3), torch.ones(1, 52))[0, 52:].abs().max() > 0.1
    assert model.deformation(*STILL, torch.zeros(1, 52)).offsets is not None


def test_nothing_lies_beyond_the_box():
    model = small_model()
    middle = model.box.mean(0)
    beyond = middle.repeat(6, 1) + torch.cat([torch.eye(3), -torch.eye(3)]) * (model.box[1] - middle + 0.01)
    assert torch.allclose(model.sdf(beyond).clamp_max(0.01), torch.full((6,), 0.01), atol=1e-6)
    floor = middle.clone()
    floor[1] = model.box[0, 1] + 1e-4  # within the neck
    assert model.sdf(floor[None]).item() == pytest.approx(-1e-4, abs=1e-6)
    down = torch.tensor([[0.0, -1.0, 0.0]])
    assert torch.equal(model.gradient(floor[None]), down)
    assert torch.equal(model.surface(floor[None])[1], down)


@pytest.mark.parametrize("conditioned", [False, True])
def test_the_gradient_is_the_slope_of_the_signed_distance(conditioned):
    model = small_model(replace(COARSE, conditioned=conditioned)).double()
    assert (model.geometry.residual is not None) == conditioned
    with torch.no_grad():
        model.geometry.base.add_(1e-3 * torch.randn(model.geometry.base.shape))
        if conditioned:
            model.geometry.residual.weight.add_(torch.randn(1, 8))
    points = points_in(model, 40).requires_grad_()
    (expected,) = torch.autograd.grad(model.sdf(points).sum(), points)
    assert torch.allclose(model.gradient(points), expected, atol=1e-8)


def test_shades_are_unit_normals_and_colours_that_learn():
    model = small_model()
    poses, places, expressions = some_frames(model)
    surface = model.posed(poses, places, expressions.requires_grad_())
    assert isinstance(surface, SurfaceField)
    body = head_body()
    points, frame = body.canonical()[::100], torch.arange(len(body.vertices[::100])) % 2
    shade = surface.shade(points, frame)
    assert torch.allclose(shade.normals.norm(dim=1), torch.ones(len(points)), atol=1e-4)
    assert 0 <= shade.colours.min().item() <= shade.colours.max().item() <= 1
    shade.colours.sum().backward()
    assert expressions.grad is not None
    assert expressions.grad.abs().max() > 0
    assert model.geometry.feature.weight.grad.abs().max() > 0


def test_the_condition_is_expression_and_jaw():
    model = small_model()
    poses, _, expressions = some_frames(model)
    assert torch.equal(model.condition(poses, expressions), torch.cat([expressions, poses[:, 2]], 1))


def test_networks_start_uniform_and_still():
    model = small_model(SMALL_MLP)
    points = points_in(model)
    assert torch.allclose(model.weights(points), torch.full((60, 6), 1 / 6), atol=1e-6)
    assert torch.equal(model.offsets(points), torch.zeros(60, 52, 3))
    assert model.sdf(model.box.mean(0, keepdim=True)).item() < 0


def test_the_published_sizes():
    assert (PUBLISHED.network, PUBLISHED.geometry_width, PUBLISHED.colour_depth) == ("mlp", 512, 4)


def test_unfitting_input_is_refused():
    model = small_model()
    with pytest.raises(InputError, match="7 joints"):
        model.transforms(torch.zeros(1, 7, 3), torch.zeros(1, 3))
    with pytest.raises(InputError, match="51 expression"):
        model.deformation(*STILL, torch.zeros(1, 51))
    with pytest.raises(InputError, match="'net'"):
        ImavatarOptions(network="net")
    with pytest.raises(InputError, match="below"):
        ImavatarOptions(below=0.0)
    with pytest.raises(InputError, match="colour_depth must be 1 or more, not 0"):
        ImavatarOptions(colour_depth=0)
    with pytest.raises(InputError, match="geometry_octaves must be 0 or more"):
        ImavatarOptions(geometry_octaves=-1)
    assert expression(jawOpen=1.0).sum() == 1
