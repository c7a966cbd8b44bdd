import pytest
import torch

from avatars.deform.sampled import SampledSkinning
from avatars.deform.skinning import Skinning, forward_skin
from avatars.fields.affine import MANY_FRAMES
from avatars.fields.offsets import GridOffsets, MlpOffsets
from avatars.fields.patches import patched_grid
from avatars.fields.weights import GridWeights, MlpWeights
from body_models.skeleton import rigid, rotation_matrices

PART = torch.tensor([[-0.2, -0.2, -0.2], [0.1, 0.1, 0.1]])
GRID = patched_grid(torch.full((3,), -0.5), torch.full((3,), 0.5), 0.25, [PART], 0.06)
BONES = 4
TREE = (-1, 0, 1, 1)


def random_weights(count, seed=0):
    logits = 3 * torch.randn(count, BONES, generator=torch.Generator().manual_seed(seed))
    return torch.softmax(logits, 1)


def grid_weights(parents=None):
    field = GridWeights(GRID, BONES, parents)
    field.start_from(random_weights(GRID.count))
    return field


def grid_offsets(coefficients=3):
    field = GridOffsets(GRID, coefficients)
    field.start_from(0.05 * torch.randn(GRID.count, coefficients, 3, generator=torch.Generator().manual_seed(7)))
    return field


def random_transforms(frames, seed=1):
    generator = torch.Generator().manual_seed(seed)
    turns = rotation_matrices(torch.randn(frames, BONES, 3, generator=generator))
    return rigid(turns, torch.randn(frames, BONES, 3, generator=generator))


def points_and_frames(count=64, frames=3):
    generator = torch.Generator().manual_seed(5)
    points = 1.4 * torch.rand(count, 3, generator=generator) - 0.7
    return points, torch.randint(frames, (count,), generator=generator)


def sampled(field, transforms, offsets=None, coefficients=None):
    shifts = None
    if offsets is not None:
        shifts = torch.einsum("nkx,fk->fnx", offsets.at_nodes().unflatten(1, (-1, 3)), coefficients)
    return SampledSkinning(GRID, field.at_nodes(), transforms, shifts)


def exact(field, transforms, offsets=None, coefficients=None):
    return Skinning(field, transforms, sampled(field, transforms).starts, offsets, coefficients)


@pytest.mark.parametrize("parents", [None, TREE])
def test_start_from_comes_back_at_the_nodes_but_the_rim(parents):
    weights, field = random_weights(GRID.count), grid_weights(parents)
    own = torch.ones(GRID.count, dtype=torch.bool)
    own[field.rim] = False
    assert torch.allclose(torch.softmax(field.at_nodes(), 1)[own], weights[own], atol=1e-4)
    assert torch.allclose(field(GRID.patches[0].nodes()[:10]), weights[:10], atol=1e-3)


@pytest.mark.parametrize("parents", [None, TREE])
def test_start_from_one_hot_rows_leaves_every_bone_reachable(parents):
    field = GridWeights(GRID, BONES, parents)
    field.start_from(torch.eye(BONES)[torch.arange(GRID.count) % BONES])
    weights = torch.softmax(field.at_nodes()[: GRID.patches[0].count], 1)
    assert weights.min() > 0
    assert weights.max(1).values.min() > 0.999


@pytest.mark.parametrize("parents", [None, TREE])
@pytest.mark.parametrize("make", [grid_weights, lambda p: MlpWeights(BONES, width=16, depth=2, parents=p)])
def test_rows_are_convex(make, parents):
    weights = make(parents)(points_and_frames()[0])
    assert weights.shape == (64, BONES)
    assert weights.min() >= 0
    assert torch.allclose(weights.sum(1), torch.ones(64), atol=1e-5)


@pytest.mark.parametrize("frames", [1, 3, MANY_FRAMES + 1])
@pytest.mark.parametrize("shifted", [False, True])
def test_sampled_and_exact_deformation_agree(frames, shifted):
    field, transforms = grid_weights(), random_transforms(frames)
    extra = (grid_offsets(), torch.randn(frames, 3)) if shifted else ()
    points, frame = points_and_frames(frames=frames)
    fast, plain = sampled(field, transforms, *extra), exact(field, transforms, *extra)
    assert torch.allclose(fast.blend(points, frame), plain.blend(points, frame), atol=1e-5)
    assert torch.allclose(fast.shifted(points, frame), plain.shifted(points, frame), atol=1e-5)
    assert torch.allclose(fast.jacobian(points, frame), plain.jacobian(points, frame), atol=1e-3)


def test_gradients_of_both_deformations_agree():
    gradients = []
    for make in (sampled, exact):
        field, offsets = grid_weights().double(), grid_offsets().double()
        transforms = random_transforms(3).double().requires_grad_()
        coefficients = torch.eye(3, dtype=torch.float64).requires_grad_()
        points, frame = points_and_frames()
        points = points.double().requires_grad_()
        loss = forward_skin(make(field, transforms, offsets, coefficients), points, frame).square().sum()
        gradients.append(torch.autograd.grad(loss, [field.logits, offsets.basis, transforms, coefficients, points]))
    for fast, plain in zip(*gradients, strict=True):
        assert torch.allclose(fast, plain, atol=1e-9)


def test_equal_transforms_move_rigidly_whatever_the_weights():
    transforms = random_transforms(1)[:, :1].expand(1, BONES, 4, 4)
    points, _ = points_and_frames()
    moved = forward_skin(sampled(grid_weights(), transforms), points, torch.zeros(len(points), dtype=torch.long))
    expected = points @ transforms[0, 0, :3, :3].T + transforms[0, 0, :3, 3]
    assert torch.allclose(moved, expected, atol=1e-5)


@pytest.mark.parametrize("parents", [None, TREE])
def test_mlp_weights_train(parents):
    torch.manual_seed(0)
    field = MlpWeights(BONES, width=16, depth=2, parents=parents)
    field(points_and_frames()[0])[:, 0].mean().backward()
    gradients = [parameter.grad for parameter in field.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.abs().max() > 0 for gradient in gradients)


def test_mlp_offsets_start_silent_and_train():
    torch.manual_seed(0)
    field = MlpOffsets(5, width=16)
    offsets = field(points_and_frames()[0])
    assert offsets.shape == (64, 5, 3)
    assert offsets.abs().max() == 0
    (offsets - 1).square().sum().backward()
    assert field.last.weight.grad.abs().max() > 0
