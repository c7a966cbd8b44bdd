from dataclasses import replace

import pytest
import torch

from avatars.deform.search import Roots
from avatars.models.snarf import OUTSIDE, hard_maximum, soft_maximum
from avatars.models.start import segment_tails, snarf_from_body, weights_off_surface
from data_prep.surface import Surface
from tests.avatars.small_body import OPTIONS, small_body, small_poses, small_snarf

NO_PLACE = torch.zeros(2, 3)


def random_roots(count=40, points=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    point = torch.randint(points - 1, (count,), generator=generator).sort().values  # the last point has none
    logits = 8 * torch.randn(count, generator=generator).clamp(-1.5, 1.5)
    return logits, Roots(torch.zeros(count, 3), point, points)


def posed_points(poses, count=300, spread=0.03):
    body, generator = small_body(), torch.Generator().manual_seed(0)
    vertices = body.pose_vertices(poses, poses.new_zeros(len(poses), 3))
    frame = torch.randint(len(poses), (count,), generator=generator)
    picked = torch.randint(vertices.shape[1], (count,), generator=generator)
    return vertices[frame, picked] + spread * torch.randn(count, 3, generator=generator), frame


@pytest.mark.parametrize("seed", range(3))
def test_the_soft_maximum_is_below_the_hard_and_above_the_mean(seed):
    logits, roots = random_roots(seed=seed)
    soft, hard = soft_maximum(logits, roots), hard_maximum(logits, roots)
    assert (soft <= hard + 1e-2).all()
    assert soft[-1] == OUTSIDE
    assert hard[-1] == OUTSIDE
    for point in roots.point.unique():
        own = logits[roots.point == point]
        assert hard[point] == own.max()
        assert torch.sigmoid(soft[point]) >= torch.sigmoid(own).mean() - 1e-6
        if len(own) == 1:
            assert torch.allclose(soft[point], own[0], atol=1e-2)


def test_maxima_have_finite_gradients_and_bear_no_roots():
    logits, roots = random_roots()
    for mix in (soft_maximum, hard_maximum):
        leaf = (10 * logits).requires_grad_()
        mix(leaf, roots).sum().backward()
        assert leaf.grad.isfinite().all()
        empty = Roots(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), 4)
        assert torch.equal(mix(torch.zeros(0), empty), torch.full((4,), OUTSIDE))


def test_the_soft_maximum_has_the_right_gradient():
    logits, roots = random_roots(10, 4)
    assert torch.autograd.gradcheck(lambda x: soft_maximum(x, roots), (0.3 * logits).double().requires_grad_())


def test_training_is_below_evaluation():
    model, poses = small_snarf(), small_poses(2)
    points, frame = posed_points(poses)
    code = model.pose_code(poses)
    with torch.no_grad():
        soft = model.train()(points, frame, poses, NO_PLACE, code)
        hard = model.eval()(points, frame, poses, NO_PLACE, code)
    assert (soft <= hard.clamp_min(OUTSIDE - 0.2) + 1e-1).all()
    assert torch.equal(soft == OUTSIDE, hard == OUTSIDE)


@pytest.mark.parametrize("network", ["grid", "mlp"])
def test_a_training_step_reaches_every_part(network):
    torch.manual_seed(0)
    model = snarf_from_body(small_body(), replace(OPTIONS, network=network, weight_width=32)).train()
    poses = small_poses(2).requires_grad_()
    points, frame = posed_points(poses.detach())
    places = torch.zeros(2, 3, requires_grad=True)
    target = torch.rand(len(points)).round()

    def loss():
        logits = model(points, frame, poses, places, model.pose_code(poses))
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, target)

    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(4):
        optimiser.zero_grad()
        value = loss()
        value.backward()
        optimiser.step()
        losses.append(value.item())
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())
    assert poses.grad.isfinite().all()
    assert poses.grad.abs().max() > 0
    assert places.grad.abs().max() > 0
    for part in ("joint_shift", "weights", "occupancy"):
        assert max(g.abs().max() for name, g in gradients.items() if name.startswith(part)) > 0
    assert losses[-1] < losses[0]


def test_the_mlp_variant_evaluates_everywhere():
    torch.manual_seed(0)
    model = snarf_from_body(small_body(), replace(OPTIONS, network="mlp", pose_code=0)).eval()
    poses = small_poses(2)
    points, frame = posed_points(poses)
    with torch.no_grad():
        logits = model(points, frame, poses, NO_PLACE)
    assert logits.isfinite().all()
    assert model.pose_code(poses) is None


def test_training_on_points_without_roots_is_harmless():
    model, poses = small_snarf().train(), small_poses(2)
    frame = torch.zeros(5, dtype=torch.long)
    logits = model(torch.full((5, 3), 40.0), frame, poses, NO_PLACE, model.pose_code(poses))
    assert (logits == OUTSIDE).all()
    logits.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_beyond_the_box_everything_is_outside():
    model = small_snarf()
    points = torch.cat([model.box[:1] - 0.1, model.box[1:] + 0.1, model.box[1:] + 10])
    assert (model.canonical_logits(points, torch.zeros(3, OPTIONS.pose_code)) < -10).all()


def test_the_pose_changes_the_shape_once_the_residual_is_trained():
    model, poses = small_snarf().eval(), small_poses(2)
    with torch.no_grad():
        model.occupancy.decoder[-1].weight.normal_()
        points = small_body().canonical()[::200]
        codes = model.pose_code(poses)
        logits = [model.canonical_logits(points, code.expand(len(points), -1)) for code in codes]
    assert not torch.allclose(*logits)


def test_transforms_and_segments_at_the_canonical_pose_are_the_bodys():
    model, body = small_snarf(), small_body()
    identity = model.posed_from_canonical(body.canonical_pose[None], NO_PLACE[:1])[0]
    assert torch.allclose(identity, torch.eye(4).expand(24, 4, 4), atol=1e-5)
    bones = model.bone_segments()
    assert torch.allclose(bones[0], body.pose_joints(body.canonical_pose, torch.zeros(3)), atol=1e-5)
    lengths = (bones[1] - bones[0]).norm(dim=1)
    assert (lengths > 0.01).all()
    assert (lengths < 0.6).all()


def test_segments_end_inside_or_near_the_body():
    tails = segment_tails(small_body())
    distance = Surface(small_body().vertices, small_body().faces).signed_distance(tails)
    assert (distance < 0.03).all()


def test_weights_off_the_surface_are_the_surfaces():
    model, body = small_snarf(), small_body()
    surface = Surface(body.canonical(), body.faces)
    weights = weights_off_surface(surface, body.skinning_weights, model.weight_grid.patches[0])
    assert weights.min() > -1e-6
    assert torch.allclose(weights.sum(1), torch.ones(len(weights)), atol=1e-5)
    learned = model.weights(body.canonical())
    assert (learned - body.skinning_weights).abs().sum(1).mean() < 0.5
