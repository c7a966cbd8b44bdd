import subprocess
import sys
import threading

import pytest
import torch
import trimesh

from body_models.errors import InputError
from data_prep.surface import PARALLEL_POINTS, Surface
from tests.shared_data import shared


def available_devices() -> list[str]:
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def surface_of(mesh: trimesh.Trimesh, device: str = "cpu") -> Surface:
    return Surface(
        torch.tensor(mesh.vertices, dtype=torch.float32, device=device), torch.tensor(mesh.faces, device=device)
    )


def sphere(device: str = "cpu", subdivisions: int = 5) -> Surface:
    return surface_of(trimesh.creation.icosphere(subdivisions=subdivisions), device)


def random_points(count: int, seed: int = 0, device: str = "cpu") -> torch.Tensor:
    return (torch.rand(count, 3, generator=torch.Generator().manual_seed(seed)) * 3 - 1.5).to(device)


@pytest.mark.parametrize("device", available_devices())
@pytest.mark.parametrize("count", [100, PARALLEL_POINTS + 1001])
def test_sphere_distances_are_radial(device, count):
    points = random_points(count, device=device)
    closest = sphere(device).closest(points)
    radius = points.norm(dim=-1)
    assert (closest.distance - (radius - 1).abs()).abs().max() < 2e-3
    assert (closest.point - points / radius[:, None]).norm(dim=-1)[radius > 0.1].max() < 0.1
    assert ((closest.point - points).norm(dim=-1) - closest.distance).abs().max() < 1e-5


@pytest.mark.parametrize("device", available_devices())
def test_signed_distance_and_inside_agree_with_the_radius(device):
    surface, points = sphere(device), random_points(30_000, device=device)
    signed, radius = surface.signed_distance(points), points.norm(dim=-1)
    assert (signed - (radius - 1)).abs().max() < 2e-3
    away = (radius - 1).abs() > 2e-3
    assert torch.equal(surface.inside(points)[away], (radius < 1)[away])


def test_closest_matches_trimesh_and_its_barycentrics_give_the_point():
    mesh = trimesh.creation.torus(0.8, 0.3)
    surface, points = surface_of(mesh), random_points(200)
    closest = surface.closest(points)
    _, expected, _ = trimesh.proximity.closest_point_naive(mesh, points.numpy())
    assert (closest.distance - torch.tensor(expected)).abs().max() < 1e-5
    assert (surface.interpolate(surface.vertices, closest.face, closest.barycentric) - closest.point).norm() < 1e-5
    assert (closest.barycentric.sum(-1) - 1).abs().max() < 1e-5


@pytest.mark.parametrize("device", available_devices())
def test_rays_hit_the_sphere_or_report_nothing(device):
    origins = torch.tensor([[0.1, 0.2, 3.0], [0.0, 0.0, 0.0], [0.0, 2.0, 3.0]], device=device)
    directions = torch.tensor([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]], device=device)
    hits = sphere(device).cast(origins, directions)
    expected = torch.tensor([3 - (1 - 0.05) ** 0.5, 1.0, torch.inf], device=device)
    assert torch.allclose(hits.distance, expected, atol=2e-3)
    assert hits.face[2] == -1
    assert (hits.face[:2] >= 0).all()


def test_ray_distance_counts_lengths_of_the_direction():
    hits = sphere().cast(torch.tensor([[0.0, 0.0, 3.0]]), torch.tensor([[0.0, 0.0, -0.5]]))
    assert hits.distance.item() == pytest.approx(4.0, abs=5e-3)


@pytest.mark.parametrize("device", available_devices())
def test_update_equals_a_new_surface(device):
    surface, points = sphere(device, 3), random_points(500, device=device)
    moved = surface.vertices * torch.tensor([0.5, 1.2, 0.8], device=device) + 0.2
    fresh = Surface(moved, surface.faces)
    surface.update(moved)
    assert torch.allclose(surface.closest(points).distance, fresh.closest(points).distance, atol=1e-6)
    assert torch.allclose(surface.signed_distance(points), fresh.signed_distance(points), atol=1e-6)
    assert torch.equal(surface.face_normals, fresh.face_normals)


def test_the_surface_keeps_its_own_vertices():
    vertices = torch.tensor(trimesh.creation.icosphere().vertices, dtype=torch.float32)
    surface = Surface(vertices, torch.tensor(trimesh.creation.icosphere().faces))
    vertices += 100
    assert surface.inside(torch.zeros(1, 3)).all()


def test_normals_point_outward():
    surface = sphere(subdivisions=4)
    assert (surface.vertex_normals - surface.vertices).norm(dim=-1).max() < 0.02
    centers = surface.vertices[surface.faces].mean(dim=1)
    assert (surface.face_normals * centers).sum(-1).min() > 0.99


def test_samples_are_uniform_by_area_repeatable_and_on_the_surface():
    box = surface_of(trimesh.creation.box(extents=(1.0, 2.0, 4.0)))
    samples = box.sample(40_000, torch.Generator().manual_seed(1))
    again = box.sample(40_000, torch.Generator().manual_seed(1))
    assert torch.equal(samples.points, again.points)
    assert box.closest(samples.points).distance.max() < 1e-6
    share = torch.bincount(samples.face, minlength=12) / 40_000
    assert (share - box.face_areas / box.face_areas.sum()).abs().max() < 0.01
    assert samples.points.mean(dim=0).abs().max() < 0.03


def test_winding_number_closes_small_holes():
    mesh = trimesh.creation.icosphere(subdivisions=4)
    faces = torch.tensor(mesh.faces)
    keep = torch.rand(len(faces), generator=torch.Generator().manual_seed(0)) > 0.1
    holed = Surface(torch.tensor(mesh.vertices, dtype=torch.float32), faces[keep])
    points = random_points(5000)
    away = (points.norm(dim=-1) - 1).abs() > 0.15
    assert torch.equal(holed.inside(points)[away], (points.norm(dim=-1) < 1)[away])


def test_inside_of_a_real_open_multi_part_body():
    mesh = trimesh.load(shared("valid_black_m2") / "pose_00.ply", process=False)
    surface = surface_of(mesh)
    samples = surface.sample(20_000, torch.Generator().manual_seed(0))
    height = mesh.bounds[1, 1]
    far = torch.tensor([[0.0, height + 0.1, 0.0], [0.0, 0.3, 1.0], [0.0, 0.02, 0.3]])
    deep = torch.tensor([[0.0, 0.62 * height, 0.03], [0.0, 0.72 * height, 0.0], [0.0, 0.95 * height, 0.03]])
    assert not surface.inside(far).any()
    assert surface.inside(deep).all()
    outward = surface.inside(samples.points + 0.003 * samples.normals)
    inward = surface.inside(samples.points - 0.003 * samples.normals)
    assert outward.float().mean() < 0.15  # the mouth, the eyes and overlapping cloth are inside
    assert inward.float().mean() > 0.9


def test_empty_queries():
    surface, nothing = sphere(subdivisions=1), torch.zeros(0, 3)
    assert surface.closest(nothing).point.shape == (0, 3)
    assert surface.inside(nothing).shape == (0,)
    assert surface.signed_distance(nothing).shape == (0,)
    assert surface.cast(nothing, nothing).face.shape == (0,)
    assert surface.sample(0).points.shape == (0, 3)


def test_queries_from_several_threads_agree():
    surface, points = sphere(), random_points(60_000)
    expected, found = surface.signed_distance(points), {}
    threads = [
        threading.Thread(target=lambda key=key: found.update({key: surface.signed_distance(points)}))
        for key in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert all(torch.equal(expected, result) for result in found.values())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_not_finite_points_are_refused_by_row(bad):
    points = random_points(5)
    points[3, 1] = bad
    surface = sphere(subdivisions=1)
    for query in (surface.closest, surface.inside, surface.signed_distance, lambda p: surface.cast(p, p)):
        with pytest.raises(InputError, match="row 3"):
            query(points)
    with pytest.raises(InputError, match="row 3"):
        Surface(points, torch.tensor([[0, 1, 2]]))


def test_bad_meshes_are_refused():
    vertices = torch.rand(4, 3)
    with pytest.raises(InputError, match="no faces"):
        Surface(vertices, torch.zeros(0, 3, dtype=torch.int64))
    with pytest.raises(InputError, match="0 to 4"):
        Surface(vertices, torch.tensor([[0, 1, 4]]))
    with pytest.raises(InputError, match="has an area"):
        Surface(vertices[:1].expand(4, 3), torch.tensor([[0, 1, 2]]))
    with pytest.raises(InputError, match="new Surface"):
        sphere(subdivisions=1).update(vertices)
    with pytest.raises(InputError, match="-1 surface samples"):
        sphere(subdivisions=1).sample(-1)


def test_import_is_silent_and_lazy():
    code = (
        "import sys, data_prep.surface as s; assert 'warp' not in sys.modules; import torch;"
        "s.Surface(torch.eye(3), torch.tensor([[0, 1, 2]])).closest(torch.zeros(1, 3))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr == ""
