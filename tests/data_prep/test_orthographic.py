"""Cameras without perspective: parallel rays, the views of the dataset's normal maps, refusals."""

import math

import pytest
import torch

from body_models import InputError
from data_prep.orthographic import BACK, OrthographicCamera, orthographic_view
from data_prep.people.views import HALF, from_view, to_view


@pytest.mark.parametrize("yaw", [0.0, 0.7, -2.0])
def test_rays_look_level_from_the_yaw_with_rows_downwards(yaw):
    centre = torch.tensor([0.3, 0.9, -0.2])
    origins, directions = orthographic_view(centre, yaw, HALF, 12, 12).rays()
    towards = torch.tensor([math.sin(yaw), 0.0, math.cos(yaw)])
    right = torch.tensor([math.cos(yaw), 0.0, -math.sin(yaw)])
    assert torch.allclose(directions, -towards.expand_as(directions), atol=1e-6)
    offsets = origins - centre
    assert torch.allclose(offsets @ towards, torch.full((12, 12), BACK * HALF), atol=1e-5)
    steps = HALF * (2 * torch.arange(12) + 1 - 12) / 12
    assert torch.allclose(offsets @ right, steps.expand(12, 12), atol=1e-5)
    assert torch.allclose(-offsets[..., 1], steps[:, None].expand(12, 12), atol=1e-5)


@pytest.mark.parametrize("yaw", [0.0, 1.1])
def test_directions_in_a_view_are_along_its_axes(yaw):
    camera = orthographic_view(torch.zeros(3), yaw, HALF, 3, 3)
    right, down, forward = camera.camera_from_world[:3, :3]
    assert torch.allclose(to_view(torch.stack([right, -down, -forward]), yaw), torch.eye(3), atol=1e-6)
    assert torch.allclose(from_view(torch.eye(3), yaw), torch.stack([right, -down, -forward]), atol=1e-6)


def test_a_wide_picture_has_square_pixels_about_its_middle():
    camera = orthographic_view(torch.tensor([1.0, 2.0, 3.0]), 0.4, 0.5, 6, 4)
    origins, directions = camera.rays()
    assert origins.shape == directions.shape == (4, 6, 3)
    assert torch.allclose(origins.mean((0, 1)), camera.center, atol=1e-5)
    steps = (origins[0, 1] - origins[0, 0]).norm(), (origins[1, 0] - origins[0, 0]).norm()
    assert torch.allclose(torch.stack(steps), torch.full((2,), 0.25), atol=1e-5)
    assert torch.allclose(directions, directions[0, 0].expand_as(directions))
    assert torch.allclose(camera.center + 2.0 * directions[0, 0], torch.tensor([1.0, 2.0, 3.0]), atol=1e-5)


@pytest.mark.parametrize("half", [0.0, -1.0, math.inf, math.nan])
def test_windows_without_a_size(half):
    with pytest.raises(InputError, match="above zero"):
        OrthographicCamera(torch.eye(4), 3, 3, half)


def test_empty_pictures_and_no_motions():
    with pytest.raises(InputError, match="is empty"):
        OrthographicCamera(torch.eye(4), 0, 3, 1.0)
    for matrix in (2 * torch.eye(4), torch.full((4, 4), torch.nan)):
        with pytest.raises(InputError, match="no rigid motion"):
            OrthographicCamera(matrix, 3, 3, 1.0)
