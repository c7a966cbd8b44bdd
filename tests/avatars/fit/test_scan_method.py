from dataclasses import replace

import pytest
import torch

from avatars.fit.loop import LoopOptions, Method, optimise
from avatars.fit.options import FitOptions, LearningRates
from avatars.fit.pools import build_pools
from avatars.fit.progress import Progress
from avatars.models import SnarfOptions
from avatars.models.snarf import Snarf
from avatars.models.start import segment_tails
from data_prep.pockets import without_pockets
from data_prep.surface import Surface
from tests.avatars.fit.tiny import PosedSnarf, ScanMethod, body_method, body_pools, body_scans, small_options
from tests.avatars.small_body import OPTIONS, small_body, small_poses


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def total(method, step=0, seed=0):
    return sum(method.losses(step, generator(seed)).values())


def gradients(method):
    """Names of the parameters that the loss moves."""
    total(method).backward()
    named = method.module.named_parameters()
    return {name for name, value in named if value.grad is not None and value.grad.abs().sum() > 0}


FIELDS = {"snarf.weights.logits", "snarf.occupancy.base"}
PLACES = {"poses", "translations", "snarf.joint_shift"}


def test_gradients_reach_fields_poses_and_joints():
    method = body_method(small_options(), exact_poses=False, pose_noise=0.05)
    assert gradients(method) >= FIELDS | PLACES
    assert all(value.grad is None or value.grad.isfinite().all() for value in method.module.parameters())


@pytest.mark.parametrize(("refine", "exact"), [(True, True), (False, False), (False, True)])
def test_gradients_spare_poses_that_are_given(refine, exact):
    moved = gradients(body_method(small_options(refine_poses=refine), exact_poses=exact, pose_noise=0.05))
    assert moved >= FIELDS
    assert not moved & PLACES


@pytest.mark.parametrize("exact", [True, False])
def test_every_free_parameter_is_in_one_group(exact):
    method = body_method(small_options(), exact_poses=exact)
    assert isinstance(method, Method)
    grouped = [id(parameter) for group in method.parameter_groups() for parameter in group["params"]]
    free = {id(parameter) for parameter in method.module.parameters() if parameter.requires_grad}
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == free


def fitted(method, folder, steps=12):
    with Progress(quiet=True) as progress:
        optimise(method, LoopOptions(steps, device="cpu"), folder, False, progress)


def test_a_few_steps_lower_the_loss(tmp_path):
    method = body_method(small_options(rates=LearningRates(base=0.3)), exact_poses=True, off=3.0)
    before = total(method, seed=99).detach()
    fitted(method, tmp_path)
    assert total(method, seed=99).detach() < 0.8 * before


@torch.no_grad()
def misplaced(module):
    """Mean distance of the body's vertices from where they are in truth (metres)."""
    body = small_body()
    found = [body.pose_vertices(*placed) for placed in zip(module.poses, module.translations, strict=True)]
    truth = [body.pose_vertices(pose, torch.zeros(3)) for pose in small_poses(3, scale=0.1)]
    return float((torch.stack(found) - torch.stack(truth)).norm(dim=-1).mean())


def test_poses_move_towards_the_truth_and_given_ones_stay(tmp_path):
    options = small_options(rates=LearningRates(base=0.0, weights=0.0, pose=0.01, joints=0.0))
    method = body_method(options, exact_poses=False, pose_noise=0.06)
    before = misplaced(method.module)
    fitted(method, tmp_path / "free", steps=30)
    assert misplaced(method.module) < 0.6 * before
    given = body_method(small_options(), exact_poses=True, pose_noise=0.06)
    start = given.module.poses.detach().clone()
    fitted(given, tmp_path / "given", steps=2)
    assert torch.equal(given.module.poses, start)


def test_losses_follow_from_the_generator_alone():
    method = body_method(small_options(scans_per_step=2), exact_poses=True)
    assert torch.equal(total(method, seed=3), total(method, seed=3))
    assert not torch.equal(total(method, seed=3), total(method, seed=4))


def test_a_hidden_pose_code_is_the_neutral_shape():
    method = body_method(small_options(pose_dropout=1.0), exact_poses=True)
    decoder = method.module.snarf.occupancy.decoder[-1]
    torch.nn.init.normal_(decoder.weight, generator=generator())
    hidden = total(method)
    method.module.snarf.occupancy.pose_code.linear.bias.data.add_(3.0)
    assert torch.equal(total(method), hidden)
    method.options = replace(method.options, pose_dropout=0.0)
    assert not torch.equal(total(method), hidden)


@pytest.mark.parametrize("code", [0, 4])
def test_one_bootstrapped_step_of_mlps(code):
    sizes = SnarfOptions(network="mlp", width=40, depth=5, pose_code=code, weight_width=16)
    body = small_body()
    canonical = body.canonical()
    box = torch.stack([canonical.amin(0) - 0.1, canonical.amax(0) + 0.1])
    torch.manual_seed(0)
    snarf = Snarf(sizes, body.skeleton, body.joints, body.canonical_pose, box, segment_tails(body))
    module = PosedSnarf(snarf, small_poses(3, scale=0.1), torch.zeros(3, 3)).train()
    options = small_options(snarf=sizes, points=100, steps=100, bootstrap=0.02)
    method = ScanMethod(module, body, body_pools(), options, exact_poses=False)
    terms = method.losses(0, generator())
    assert set(terms) == {"occupancy", "joints", "bones", "weights"}
    assert all(term.isfinite() for term in terms.values())
    sum(terms.values()).backward()
    assert all(value.grad is None or value.grad.isfinite().all() for value in module.parameters())
    assert any(value.grad.abs().sum() > 0 for value in snarf.weights.parameters())
    assert set(method.losses(2, generator())) == {"occupancy", "joints"}


def test_hard_and_soft_labels_agree_on_the_sign():
    scan = body_scans()[0]
    surface = without_pockets(Surface(torch.as_tensor(scan.vertices), torch.as_tensor(scan.faces)))
    for soft in (True, False):
        pools = body_pools(soft)
        assert pools.points.shape == (3, 3000, 3)
        assert torch.equal(pools.labels[0] > 0.5, surface.signed_distance(pools.points[0]) < 0)
        assert set(pools.labels.unique().tolist()) <= {0.0, 1.0} or soft
    assert ((body_pools().labels > 0.05) & (body_pools().labels < 0.95)).any()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_pools_hold_near_and_uniform_points(share):
    options = FitOptions(pool=501, near_share=share, near_sigma=0.001, snarf=OPTIONS)
    pools = build_pools(body_scans()[:1], options, seed=0)
    assert pools.points.shape == (1, 501, 3)
    body = replace(small_body(), vertices=torch.as_tensor(body_scans()[0].vertices))
    far = Surface(body.vertices, body.faces).closest(pools.points[0]).distance.median()
    assert (far < 0.01) if share else (far > 0.05)


def test_a_draw_is_scan_by_scan():
    pools = body_pools()
    points, labels = pools.draw(torch.tensor([2, 0]), 50, generator())
    assert points.shape == (100, 3)
    assert labels.shape == (100,)
    assert all((pools.points[2] == point).all(1).any() for point in points[:50])
    assert all((pools.points[0] == point).all(1).any() for point in points[50:])
