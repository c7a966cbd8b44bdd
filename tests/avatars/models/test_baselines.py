"""Baselines invert what they should, learn in the harness of SNARF, and stay finite where blends fold."""

import pytest
import torch

from avatars.fit.baseline_method import Baseline, BaselineMethod
from avatars.fit.loop import step_generator
from avatars.fit.options import FitOptions
from avatars.models.baselines import (
    BackwardSkinning,
    NearestVertexSkinning,
    PoseConditionedOccupancy,
)
from avatars.models.baselines.inverse import apply_inverse
from body_models import InputError
from data_prep.surface import Surface
from tests.avatars.fit.tiny import body_method, body_pools
from tests.avatars.small_body import OPTIONS, small_body, small_poses, small_snarf

FIT = FitOptions(steps=10, points=300, pool=3000, refine_poses=False, snarf=OPTIONS)
NOWHERE = torch.zeros(3, 3)


def small_baseline(name: str) -> Baseline:
    """An untrained baseline of the free body."""
    if name == "nearest":
        return NearestVertexSkinning(small_snarf(), small_body())
    if name == "backward":
        torch.manual_seed(0)
        return BackwardSkinning(small_snarf())
    torch.manual_seed(0)
    return PoseConditionedOccupancy(small_body().skeleton, small_body().joints, width=32)


def trained(model: Baseline, steps: int) -> list[float]:
    """Losses of a short fit."""
    method = BaselineMethod(model, small_poses(3, scale=0.1), NOWHERE, body_pools(), FIT)
    optimiser = torch.optim.Adam(method.parameter_groups())
    losses = []
    for step in range(steps):
        loss = method.losses(step, step_generator(0, step))["occupancy"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def test_apply_inverse_undoes_affine_transforms():
    transforms = torch.eye(3, 4) + 0.3 * torch.randn(50, 3, 4, generator=torch.Generator().manual_seed(0))
    points = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    moved = (transforms[..., :3] * points[:, None]).sum(-1) + transforms[..., 3]
    steady = torch.linalg.det(transforms[..., :3]).abs() > 0.05
    torch.testing.assert_close(apply_inverse(transforms, moved)[steady], points[steady], atol=1e-4, rtol=0)


@pytest.mark.parametrize("fold", [torch.zeros(1, 3, 4), torch.eye(3, 4)[None] * torch.tensor([1.0, -1e-9, 1.0, 1.0])])
def test_apply_inverse_is_finite_where_space_is_flattened(fold):
    assert apply_inverse(fold, torch.ones(1, 3)).isfinite().all()


def test_nearest_vertex_carries_the_body_back_to_its_canonical_surface():
    body, pose = small_body(), small_poses(1, scale=0.1)
    vertices = body.pose_vertices(pose[0], torch.tensor([0.4, 0.1, -0.3]))[::7]
    model = NearestVertexSkinning(small_snarf(), body)
    frame = torch.zeros(len(vertices), dtype=torch.long)
    place = torch.tensor([[0.4, 0.1, -0.3]])
    back = model.carry_back(vertices, frame, pose, place, model.weights(vertices, frame, pose, place))
    off = (back - body.canonical()[::7]).norm(dim=1)
    assert off.median() < 1e-6
    assert off.max() < 2e-3


def test_nearest_vertex_shows_no_ghosts_far_from_the_body():
    model, pose = small_baseline("nearest").eval(), small_poses(1, scale=0.8)
    points = 3 * torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) - 1.5
    surface = Surface(small_body().pose_vertices(pose[0], torch.zeros(3)), small_body().faces)
    far = points[surface.closest(points).distance > 0.15]
    logits = model(far, torch.zeros(len(far), dtype=torch.long), pose, torch.zeros(1, 3), model.pose_code(pose))
    assert (logits < 0).all()


def test_nearest_vertex_fills_the_depth_of_the_trunk():
    model, pose = small_baseline("nearest").eval(), small_body().canonical_pose[None]
    points = 0.6 * torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) - 0.3
    distance = Surface(small_body().canonical(), small_body().faces).signed_distance(points)
    deep = points[distance < -0.09]
    logits = model(deep, torch.zeros(len(deep), dtype=torch.long), pose, torch.zeros(1, 3), model.pose_code(pose))
    assert len(deep) > 0
    assert (logits > 0).all()


def test_nearest_vertex_refuses_points_that_are_not_numbers():
    model = small_baseline("nearest")
    with pytest.raises(InputError):
        model(torch.full((2, 3), torch.nan), torch.zeros(2, dtype=torch.long), small_poses(1), torch.zeros(1, 3))


def test_backward_weights_sum_to_one_and_move_with_the_root():
    model = small_baseline("backward")
    assert isinstance(model, BackwardSkinning)
    points = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    frame, pose = torch.zeros(20, dtype=torch.long), small_poses(1)
    here = model.weights(points, frame, pose, torch.zeros(1, 3))
    there = model.weights(points + 2.0, frame, pose, torch.full((1, 3), 2.0))
    torch.testing.assert_close(here.sum(1), torch.ones(20))
    torch.testing.assert_close(here, there, atol=1e-3, rtol=0)


def test_backward_start_learns_the_body_weights():
    model = small_baseline("backward")
    assert isinstance(model, BackwardSkinning)
    body, poses = small_body(), small_poses(2, scale=0.1)
    generator = torch.Generator().manual_seed(0)
    vertices, frame = body.pose_vertices(poses[0], torch.zeros(3)), torch.zeros(len(body.vertices), dtype=torch.long)

    def misfit() -> float:
        with torch.no_grad():
            weights = model.weights(vertices, frame, poses, NOWHERE[:2])
        return (weights - body.skinning_weights).abs().sum(1).mean().item()

    before = misfit()
    model.start_from(body, poses, NOWHERE[:2], 60, generator)
    assert misfit() < 0.4 * before


def test_pose_conditioned_occupancy_moves_with_the_root_and_ignores_the_code():
    model = small_baseline("pose-conditioned").eval()
    points = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    frame, pose = torch.zeros(20, dtype=torch.long), small_poses(1)
    turned, quarter = pose.clone(), torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    pose[:, 0], turned[:, 0] = 0.0, torch.tensor([0.0, torch.pi / 2, 0.0])
    root = small_body().joints[0]
    moved = (points - root) @ quarter.T + root + 1.0
    here = model(points, frame, pose, torch.zeros(1, 3))
    there = model(moved, frame, turned, torch.ones(1, 3), torch.ones(1, 5))
    torch.testing.assert_close(here, there, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["nearest", "backward", "pose-conditioned"])
def test_every_baseline_learns(name):
    losses = trained(small_baseline(name), 8)
    assert torch.tensor(losses).isfinite().all()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["nearest", "backward", "pose-conditioned"])
def test_no_points_give_no_logits(name):
    model, nothing = small_baseline(name), torch.zeros(0, dtype=torch.long)
    pose = small_poses(1)
    assert model(torch.zeros(0, 3), nothing, pose, torch.zeros(1, 3), model.pose_code(pose)).shape == (0,)


def test_a_baseline_is_shown_the_same_points_as_snarf():
    shown = []

    def note(self: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        shown.append(inputs[0])

    baseline, method = small_baseline("pose-conditioned"), body_method(FIT, exact_poses=True)
    baseline.register_forward_pre_hook(note)
    method.module.snarf.register_forward_pre_hook(note)
    fitted = BaselineMethod(baseline, small_poses(3, scale=0.1), NOWHERE, body_pools(), FIT)
    fitted.losses(0, step_generator(0, 0))
    method.losses(0, step_generator(0, 0))
    torch.testing.assert_close(shown[0], shown[1])
