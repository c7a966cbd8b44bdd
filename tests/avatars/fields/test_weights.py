import pytest
import torch

from avatars.deform.skinning import Skinning, forward_skin
from avatars.fields.grid import GridSpec
from avatars.fields.weights import GridSkinning, GridWeights, MlpWeights
from body_models.skeleton import rigid, rotation_matrices

SPEC = GridSpec((-0.5, -0.5, -0.5), 0.25, (5, 5, 5))
BONES = 4


def random_weights(count, seed=0):
    logits = 3 * torch.randn(count, BONES, generator=torch.Generator().manual_seed(seed))
    return torch.softmax(logits, 1)


def grid_weights():
    field = GridWeights(SPEC, BONES)
    field.start_from(random_weights(SPEC.count))
    return field


def random_transforms(frames, seed=1):
    generator = torch.Generator().manual_seed(seed)
    turns = rotation_matrices(torch.randn(frames, BONES, 3, generator=generator))
    return rigid(turns, torch.randn(frames, BONES, 3, generator=generator))


def points_and_frames(count=64, frames=3):
    generator = torch.Generator().manual_seed(5)
    points = 1.4 * torch.rand(count, 3, generator=generator) - 0.7
    return points, torch.randint(frames, (count,), generator=generator)


def test_start_from_comes_back_at_the_nodes():
    weights = random_weights(SPEC.count)
    field = grid_weights()
    assert torch.allclose(field.at_nodes(), weights, atol=1e-3)
    assert torch.allclose(field(SPEC.nodes()), weights, atol=1e-3)


def test_start_from_one_hot_rows_leaves_every_bone_reachable():
    field = GridWeights(SPEC, BONES)
    field.start_from(torch.eye(BONES)[torch.arange(SPEC.count) % BONES])
    weights = field.at_nodes()
    assert weights.min() > 0
    assert weights.max(1).values.min() > 0.999


@pytest.mark.parametrize("make", [grid_weights, lambda: MlpWeights(BONES, width=16, depth=2)])
def test_rows_are_convex(make):
    weights = make()(points_and_frames()[0])
    assert weights.shape == (64, BONES)
    assert weights.min() >= 0
    assert torch.allclose(weights.sum(1), torch.ones(64), atol=1e-5)


def test_blending_at_nodes_equals_blending_at_points():
    field, transforms = grid_weights(), random_transforms(3)
    points, frame = points_and_frames()
    fast, plain = GridSkinning(field, transforms), Skinning(field, transforms)
    assert torch.allclose(fast.blend(points, frame), plain.blend(points, frame), atol=1e-5)


def test_gradients_of_both_blends_agree():
    gradients = []
    for skinning in (GridSkinning, Skinning):
        field = grid_weights().double()
        transforms = random_transforms(3).double().requires_grad_()
        points, frame = points_and_frames()
        points = points.double().requires_grad_()
        loss = forward_skin(skinning(field, transforms), points, frame).square().sum()
        gradients.append(torch.autograd.grad(loss, [field.logits, transforms, points]))
    for fast, plain in zip(*gradients, strict=True):
        assert torch.allclose(fast, plain, atol=1e-9)


def test_a_single_frame_blends_like_one_of_several():
    field, transforms = grid_weights(), random_transforms(2)
    points, _ = points_and_frames()
    frame = torch.zeros(len(points), dtype=torch.long)
    alone = Skinning(field, transforms[:1]).blend(points, frame)
    assert torch.allclose(alone, Skinning(field, transforms).blend(points, frame), atol=1e-6)


def test_equal_transforms_move_rigidly_whatever_the_weights():
    field = grid_weights()
    transforms = random_transforms(1)[:, :1].expand(1, BONES, 4, 4)
    points, _ = points_and_frames()
    moved = forward_skin(GridSkinning(field, transforms), points, torch.zeros(len(points), dtype=torch.long))
    expected = points @ transforms[0, 0, :3, :3].T + transforms[0, 0, :3, 3]
    assert torch.allclose(moved, expected, atol=1e-5)


def test_mlp_weights_train():
    torch.manual_seed(0)
    field = MlpWeights(BONES, width=16, depth=2)
    points = points_and_frames()[0]
    field(points)[:, 0].mean().backward()
    gradients = [parameter.grad for parameter in field.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.abs().max() > 0 for gradient in gradients)
