"""Surfaces of many people: the start, who is told apart, and where nothing can be."""

import pytest
import torch

from avatars.fields.eigen_volumes import EigenVolumes
from avatars.fields.encoding import FeatureGrids
from avatars.fields.generator import VolumeGenerator
from avatars.fields.grid import GridSpec
from avatars.fields.patches import patched_grid
from avatars.fields.people_occupancy import GridPeopleOccupancy, MlpPeopleOccupancy, PeopleOccupancy, coarse_normals

LOWER, UPPER = torch.full((3,), -0.5), torch.full((3,), 0.5)
RADIUS, REACH = 0.25, 0.15


def ball_field():
    torch.manual_seed(0)
    volumes_grid = GridSpec.covering(LOWER, UPPER, 0.1)
    volumes = EigenVolumes(volumes_grid, torch.arange(volumes_grid.count), 4, 3, 0.1)
    shared = FeatureGrids([(GridSpec.covering(LOWER, UPPER, 0.2), 2)])
    field = GridPeopleOccupancy(patched_grid(LOWER, UPPER, 0.05), volumes, shared, REACH, width=8, feature_size=5)
    field.start_from(field.base_grid.nodes().norm(dim=1) - RADIUS)
    return field


def mlp_field():
    torch.manual_seed(0)
    generator = VolumeGenerator(LOWER, UPPER, 4, channels=(8, 6, 4), start=(2, 2, 2))
    return MlpPeopleOccupancy(generator, torch.zeros(3), edge=0.01, width=32, depth=3, octaves=2)


def queries(count=60):
    generator = torch.Generator().manual_seed(1)
    points = 0.9 * (torch.rand(count, 3, generator=generator) - 0.5)
    return points, torch.arange(count) % 2, torch.randn(2, 4, generator=generator)


@pytest.mark.parametrize("make", [ball_field, mlp_field])
def test_both_kinds_tell_people_apart(make):
    field = make()
    assert isinstance(field, PeopleOccupancy)
    if make is ball_field:
        torch.nn.init.normal_(field.last.weight)
    points, subject, codes = queries()
    both = field(points, subject, field.shape(codes))
    alone = field(points, torch.zeros_like(subject), field.shape(codes[1:]))
    assert both.feature.shape == (60, field.feature_size)
    assert torch.allclose(both.sdf[subject == 1], alone.sdf[subject == 1], atol=1e-5)
    assert not torch.allclose(both.sdf[subject == 0], alone.sdf[subject == 0], atol=1e-5)


@pytest.mark.parametrize("make", [ball_field, mlp_field])
def test_gradients_reach_codes_and_networks(make):
    field = make()
    if make is ball_field:
        torch.nn.init.normal_(field.last.weight)
    points, subject, codes = queries()
    codes.requires_grad_()
    found = field(points, subject, field.shape(codes))
    (found.sdf.square().sum() + found.feature.square().sum()).backward()
    assert codes.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in field.parameters())


def test_every_code_begins_at_the_given_surface():
    field = ball_field()
    points, subject, codes = queries()
    found = field(points, subject, field.shape(codes)).sdf
    assert torch.allclose(found, points.norm(dim=1) - RADIUS, atol=0.02)


def test_nothing_is_beyond_the_reach():
    field = ball_field()
    torch.nn.init.constant_(field.last.bias, -100.0)
    points, subject, codes = queries(400)
    base = field(points, subject, field.shape(codes)).sdf
    far = points.norm(dim=1) - RADIUS > REACH + 0.08
    assert far.any()
    assert (base[far] > 0).all()
    assert (base[points.norm(dim=1) < RADIUS] < 0).all(), "near the surface the decoder has its say"


def test_coarse_normals_of_a_ball_point_outwards():
    points = torch.nn.functional.normalize(queries()[0], dim=1) * RADIUS
    normals = coarse_normals(lambda at, _: at.norm(dim=1) - RADIUS, points, torch.zeros(60).long())
    assert torch.allclose(normals, points / RADIUS, atol=1e-3)
