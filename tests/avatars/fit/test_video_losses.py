import math

import pytest
import torch

from avatars.fit.video_losses import (
    anchor_loss,
    colour_loss,
    eikonal_loss,
    mask_loss,
    offset_loss,
    prior_loss,
    psnr,
    skinning_loss,
    smooth_loss,
)


def test_colour_counts_all_rays_and_less_where_the_background_shines_through():
    rgb, shown = torch.zeros(2, 3), torch.full((2, 3), 0.5)
    assert colour_loss(rgb, shown, torch.tensor([1.0, 0.5]), 10) == pytest.approx(0.075)


def test_mask_pulls_the_surface_to_the_person_and_off_the_background():
    sdf = torch.zeros(2, requires_grad=True)
    mask_loss(sdf, torch.tensor([1.0, 0.0]), 200.0, 2).backward()
    assert sdf.grad is not None
    assert sdf.grad[0] > 0 > sdf.grad[1]


def test_mask_is_the_cross_entropy_of_a_sigmoid():
    found = mask_loss(torch.tensor([0.01]), torch.tensor([1.0]), 200.0, 1)
    assert found == pytest.approx(-math.log(1 / (1 + math.exp(2.0))), rel=1e-5)


def test_the_prior_counts_near_its_surface_only():
    near = torch.tensor([True, False])
    assert skinning_loss(torch.ones(2, 3), torch.zeros(2, 3), near, 2) == pytest.approx(1.5)
    assert offset_loss(torch.ones(2, 4, 3), torch.zeros(2, 4, 3), near, 2) == pytest.approx(1.5)
    assert offset_loss(torch.ones(2, 0, 3), torch.zeros(2, 0, 3), near, 2) == 0


def test_regular_fields_cost_nothing():
    unit = torch.tensor([[0.0, 1.0, 0.0], [0.6, 0.8, 0.0]])
    assert eikonal_loss(unit) == pytest.approx(0.0, abs=1e-9)
    assert smooth_loss(unit, unit) == 0
    assert anchor_loss(torch.zeros(4)) == 0
    assert prior_loss(torch.zeros(2, 5, 3), torch.zeros(2, 3), torch.zeros(2, 7)) == 0


def test_no_points_no_loss():
    assert eikonal_loss(torch.zeros(0, 3)) == 0
    assert smooth_loss(torch.zeros(0, 3), torch.zeros(0, 3)) == 0


def test_the_anchor_lets_go_of_what_is_far_off():
    near, far = torch.tensor([0.002], requires_grad=True), torch.tensor([0.04], requires_grad=True)
    (anchor_loss(near) + anchor_loss(far)).backward()
    assert near.grad is not None
    assert far.grad is not None
    assert near.grad > 50 * far.grad > 0


def test_psnr_of_a_tenth_is_twenty_decibels():
    shown = torch.rand(6, 3, generator=torch.Generator().manual_seed(0))
    assert psnr(shown + 0.1, shown, torch.ones(6)) == pytest.approx(20.0, abs=1e-4)
    weight = torch.tensor([1.0, 1, 1, 1, 1, 0])
    broken = shown.clone()
    broken[5] = 9.0
    assert psnr(broken + 0.1, shown, weight) == pytest.approx(20.0, abs=1e-4)
