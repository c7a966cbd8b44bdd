import math

import pytest
import torch
from torch import Tensor

from avatars.meshing import TriangleMesh, extract_surface
from body_models.errors import InputError
from data_prep.surface import Surface

LOWER, UPPER = torch.tensor([-1.0, -1.0, -1.0]), torch.tensor([1.0, 1.0, 1.0])


class Counted:
    """A field that remembers how many points it was asked for."""

    def __init__(self, distance) -> None:
        self.distance, self.points, self.largest = distance, 0, 0

    def __call__(self, points: Tensor) -> Tensor:
        self.points += len(points)
        self.largest = max(self.largest, len(points))
        return -self.distance(points)


def sphere(points: Tensor, radius: float = 0.7) -> Tensor:
    return points.norm(dim=-1) - radius


def torus(points: Tensor) -> Tensor:
    ring = points[:, [0, 2]].norm(dim=-1) - 0.6
    return torch.stack([ring, points[:, 1]], dim=-1).norm(dim=-1) - 0.2


def capsule(points: Tensor, start: Tensor, end: Tensor, radius: float) -> Tensor:
    axis = end - start
    along = ((points - start) @ axis / axis.dot(axis)).clamp(0, 1)
    return (points - start - along[:, None] * axis).norm(dim=-1) - radius


@pytest.mark.parametrize("resolution", [32, 64, 100])
@pytest.mark.parametrize("distance", [sphere, torus])
def test_vertices_lie_on_the_surface(distance, resolution):
    mesh = extract_surface(Counted(distance), LOWER, UPPER, resolution)
    assert distance(mesh.vertices).abs().max() < 0.2 * (2.2 / resolution)
    assert mesh.to_trimesh().is_watertight
    assert mesh.to_trimesh().is_winding_consistent


@pytest.mark.parametrize(("distance", "volume"), [(sphere, 4 / 3 * math.pi * 0.7**3), (torus, 2 * math.pi**2 * 0.024)])
def test_faces_point_outward_and_enclose_the_volume(distance, volume):
    mesh = extract_surface(Counted(distance), LOWER, UPPER, 96).to_trimesh()
    assert mesh.volume == pytest.approx(volume, rel=5e-3)


def test_two_resolutions_agree():
    rough = extract_surface(Counted(torus), LOWER, UPPER, 64)
    fine = extract_surface(Counted(torus), LOWER, UPPER, 128)
    assert Surface(fine.vertices, fine.faces).closest(rough.vertices).distance.max() < 2e-3


def test_adaptive_equals_dense():
    adaptive = extract_surface(Counted(torus), LOWER, UPPER, 64, coarse=16)
    dense = extract_surface(Counted(torus), LOWER, UPPER, 64, coarse=64)
    assert torch.allclose(adaptive.vertices, dense.vertices, atol=1e-5)
    assert torch.equal(adaptive.faces, dense.faces)


def test_few_points_are_evaluated_and_the_chunk_is_kept():
    field = Counted(sphere)
    extract_surface(field, LOWER, UPPER, 256, chunk=10_000)
    assert field.points < 0.05 * 257**3
    assert field.largest <= 10_000


def test_box_and_level_only_move_the_grid():
    offset = torch.tensor([3.0, -1.0, 0.5])
    mesh = extract_surface(lambda points: 2.5 - sphere(points - offset), LOWER + offset, UPPER + offset, 64, level=2.5)
    assert sphere(mesh.vertices - offset).abs().max() < 5e-3


def test_the_cube_holds_the_longest_edge_in_every_direction():
    flat = torch.tensor([1.0, 1.0, 0.1])
    mesh = extract_surface(Counted(sphere), -flat, flat, 64)
    assert mesh.to_trimesh().is_watertight
    assert mesh.vertices.amax(dim=0).min() > 0.69


def test_a_finger_thinner_than_a_coarse_cell_survives():
    palm, tip = torch.tensor([-0.5, 0.013, 0.017]), torch.tensor([0.9, 0.043, 0.031])

    def hand(points: Tensor) -> Tensor:
        return torch.minimum(sphere(points - palm, 0.3), capsule(points, palm, tip, 0.02))

    mesh = extract_surface(Counted(hand), LOWER, UPPER, 256)
    assert mesh.vertices[:, 0].max() > 0.91
    assert mesh.to_trimesh().body_count == 1
    assert mesh.to_trimesh().is_watertight


def test_keep_largest_drops_specks_only():
    centers = torch.tensor([[-0.5, 0.0, 0.0], [0.6, 0.0, 0.0], [0.0, 0.9, 0.0]])
    radii = torch.tensor([0.4, 0.2, 0.03])

    def three(points: Tensor) -> Tensor:
        return ((points[:, None] - centers).norm(dim=-1) - radii).amin(dim=-1)

    everything = extract_surface(Counted(three), LOWER, UPPER, 128)
    kept = extract_surface(Counted(three), LOWER, UPPER, 128, keep_largest=True)
    assert everything.to_trimesh().body_count == 3
    assert kept.to_trimesh().body_count == 2
    assert kept.to_trimesh().is_watertight
    assert three(kept.vertices).abs().max() < 2e-3


def test_no_gradient_is_recorded():
    weight = torch.tensor(0.7, requires_grad=True)
    mesh = extract_surface(lambda points: weight - points.norm(dim=-1), LOWER, UPPER, 32)
    assert not mesh.vertices.requires_grad


def test_fields_without_a_surface_teach():
    with pytest.raises(InputError, match="outside"):
        extract_surface(Counted(lambda points: sphere(points - 10)), LOWER, UPPER, 32)
    with pytest.raises(InputError, match="inside"):
        extract_surface(Counted(lambda points: sphere(points, 10)), LOWER, UPPER, 32)
    with pytest.raises(InputError, match="not finite"):
        extract_surface(lambda points: points[:, 0] * torch.nan, LOWER, UPPER, 32)


@pytest.mark.parametrize(
    ("lower", "upper", "resolution", "coarse", "message"),
    [
        (UPPER, LOWER, 32, 32, "upper corner"),
        (LOWER, LOWER, 32, 32, "upper corner"),
        (LOWER * torch.nan, UPPER, 32, 32, "upper corner"),
        (LOWER, UPPER, 1, 32, "resolution 1 "),
        (LOWER, UPPER, 4096, 32, "resolution 4096"),
        (LOWER, UPPER, 64, 0, "coarse grid"),
    ],
)
def test_bad_boxes_and_grids_teach(lower, upper, resolution, coarse, message):
    with pytest.raises(InputError, match=message):
        extract_surface(Counted(sphere), lower, upper, resolution, coarse=coarse)


def test_to_trimesh_keeps_the_order():
    mesh = TriangleMesh(torch.rand(5, 3), torch.tensor([[0, 1, 2], [4, 3, 2]]))
    assert torch.equal(torch.tensor(mesh.to_trimesh().vertices).float(), mesh.vertices)
    assert mesh.to_trimesh().faces.tolist() == mesh.faces.tolist()
