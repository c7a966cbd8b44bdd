import pytest
import torch

from body_models.errors import InputError
from data_prep.camera import Camera, look_at

UP = torch.tensor([0.0, 1.0, 0.0])


def example(width: int = 40, height: int = 30) -> Camera:
    return look_at(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0.2, 1.0, -0.3]), UP, 40.0, width, height)


def test_projecting_ray_points_gives_pixel_centres():
    camera = example()
    origins, directions = camera.rays()
    pixels, depth = camera.project(origins + 2.5 * directions)
    y, x = torch.meshgrid(torch.arange(30) + 0.5, torch.arange(40) + 0.5, indexing="ij")
    assert (pixels - torch.stack([x, y], dim=-1)).abs().max() < 1e-3
    assert (depth > 0).all()
    assert (directions.norm(dim=-1) - 1).abs().max() < 1e-6
    assert torch.allclose(origins[3, 5], torch.tensor([1.0, 2.0, 4.0]), atol=1e-5)


def test_target_lands_in_the_middle_at_its_distance():
    camera = example()
    pixel, depth = camera.project(torch.tensor([0.2, 1.0, -0.3]))
    assert torch.allclose(pixel, torch.tensor([20.0, 15.0]), atol=1e-4)
    assert depth.item() == pytest.approx((torch.tensor([0.8, 1.0, 4.3])).norm().item(), abs=1e-5)


def test_axes_follow_opencv():
    camera = look_at(torch.tensor([0.0, 0.0, 3.0]), torch.zeros(3), UP, 60.0, 100, 100)
    pixels, _ = camera.project(torch.tensor([[0.1, 0.0, 0.0], [0.0, 0.1, 0.0]]))
    assert pixels[0, 0] > 50  # world +X is on the right of a camera that faces -Z
    assert pixels[1, 1] < 50  # world up is towards row 0
    rotation = camera.camera_from_world[:3, :3]
    assert torch.allclose(rotation @ rotation.T, torch.eye(3), atol=1e-6)
    assert torch.linalg.det(rotation).item() == pytest.approx(1.0, abs=1e-6)


def test_field_of_view_spans_the_height():
    camera = look_at(torch.tensor([0.0, 0.0, 2.0]), torch.zeros(3), UP, 90.0, 64, 32)
    pixels, _ = camera.project(torch.tensor([[0.0, 2.0, 0.0], [0.0, -2.0, 0.0]]))
    assert torch.allclose(pixels[:, 1], torch.tensor([0.0, 32.0]), atol=1e-4)


def test_points_behind_have_negative_depth():
    _, depth = example().project(torch.tensor([[2.0, 3.0, 9.0]]))
    assert depth.item() < 0


def test_resizing_scales_pixels():
    camera, points = example(), torch.rand(5, 3)
    small, _ = camera.resized(20, 60).project(points)
    assert torch.allclose(small, camera.project(points)[0] * torch.tensor([0.5, 2.0]), atol=1e-4)


def test_a_camera_keeps_float64():
    camera = look_at(torch.tensor([0.0, 0.0, 2.0]).double(), torch.zeros(3).double(), UP.double(), 45.0, 8, 8)
    assert camera.rays()[1].dtype == torch.float64


def test_impossible_cameras_teach():
    eye = torch.tensor([0.0, 2.0, 0.0])
    with pytest.raises(InputError, match="up that is not along"):
        look_at(eye, torch.zeros(3), UP, 40.0, 8, 8)
    with pytest.raises(InputError, match="different points"):
        look_at(eye, eye, UP, 40.0, 8, 8)
    with pytest.raises(InputError, match="field of view of 180"):
        look_at(eye, torch.ones(3), UP, 180.0, 8, 8)
    with pytest.raises(InputError, match="empty"):
        look_at(eye, torch.ones(3), UP, 40.0, 0, 8)
    with pytest.raises(InputError, match="intrinsics cannot be inverted"):
        Camera(torch.zeros(3, 3), torch.eye(4), 8, 8)
