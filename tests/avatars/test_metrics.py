import pytest
import torch
import trimesh

from avatars.metrics import chamfer_and_normal_consistency, iou
from body_models.errors import InputError
from data_prep.surface import Surface


def ball(radius: float = 1.0) -> Surface:
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    return Surface(torch.tensor(mesh.vertices, dtype=torch.float32), torch.tensor(mesh.faces))


def plane(height: float = 0.0, flipped: bool = False) -> Surface:
    vertices = torch.tensor([[0.0, height, 0.0], [0.0, height, 1.0], [1.0, height, 1.0], [1.0, height, 0.0]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    return Surface(vertices, faces.flip(-1) if flipped else faces)


def test_iou_counts_points():
    a = torch.tensor([True, True, False, False])
    b = torch.tensor([True, False, True, False])
    assert iou(a, b) == pytest.approx(1 / 3)
    assert iou(a, a) == 1.0
    assert iou(a, ~a) == 0.0
    assert iou(a, b) == iou(b, a)
    assert iou(torch.zeros(3, dtype=torch.bool), torch.zeros(3, dtype=torch.bool)) == 1.0


def test_identical_meshes_are_perfect():
    chamfer, consistency = chamfer_and_normal_consistency(ball(), ball(), 5000, torch.Generator().manual_seed(0))
    assert chamfer == pytest.approx(0.0, abs=1e-3)
    assert consistency == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("offset", [0.003, 0.05])
def test_a_moved_plane_is_as_far_as_it_moved(offset):
    chamfer, consistency = chamfer_and_normal_consistency(plane(), plane(offset), 1000)
    assert chamfer == pytest.approx(1000 * offset, rel=1e-4)
    assert consistency == pytest.approx(1.0, abs=1e-6)


def test_a_flipped_plane_faces_the_other_way():
    chamfer, consistency = chamfer_and_normal_consistency(plane(), plane(flipped=True), 1000)
    assert chamfer == pytest.approx(0.0, abs=1e-4)
    assert consistency == pytest.approx(-1.0, abs=1e-6)


def test_chamfer_of_concentric_balls_is_the_gap_and_symmetric():
    forward, _ = chamfer_and_normal_consistency(ball(1.0), ball(1.1), 20_000, torch.Generator().manual_seed(0))
    backward, _ = chamfer_and_normal_consistency(ball(1.1), ball(1.0), 20_000, torch.Generator().manual_seed(1))
    assert forward == pytest.approx(100.0, rel=5e-3)
    assert forward == pytest.approx(backward, rel=2e-3)


def test_the_seed_decides():
    first = chamfer_and_normal_consistency(ball(), ball(1.1), 500, torch.Generator().manual_seed(3))
    second = chamfer_and_normal_consistency(ball(), ball(1.1), 500, torch.Generator().manual_seed(3))
    assert first == second


def test_no_samples_teach():
    with pytest.raises(InputError, match="0 samples"):
        chamfer_and_normal_consistency(ball(), ball(), 0)
