import pytest
import torch
import trimesh

from body_models.errors import InputError
from data_prep.mesh_files import read_meshes
from data_prep.sampling import (
    BURIED_PROBE,
    CUBE_SCALE,
    blended_normals,
    label_points,
    sample_near,
    sample_occupancy,
    sample_outer_surface,
    sample_uniform,
)
from data_prep.surface import Surface
from tests.shared_data import shared


def surface_of(*meshes: trimesh.Trimesh) -> Surface:
    starts = torch.tensor([0, *(len(mesh.vertices) for mesh in meshes)]).cumsum(0)
    vertices = [torch.tensor(mesh.vertices, dtype=torch.float32) for mesh in meshes]
    faces = [torch.tensor(mesh.faces) + start for mesh, start in zip(meshes, starts, strict=False)]
    return Surface(torch.cat(vertices), torch.cat(faces))


def ball(radius: float = 1.0, subdivisions: int = 5) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions, radius)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_labels_and_distances_on_a_sphere():
    samples = sample_occupancy(surface_of(ball()), 20_000, 20_000, 0.05, random())
    radius = samples.points.norm(dim=-1)
    assert (samples.distance - (radius - 1)).abs().max() < 2e-3
    away = (radius - 1).abs() > 2e-3
    assert torch.equal(samples.occupied[away], (radius < 1)[away])
    assert torch.equal(samples.occupied, samples.distance.signbit())
    assert samples.points.shape == (40_000, 3)


def test_uniform_points_come_first_and_give_the_volume():
    samples = sample_occupancy(surface_of(ball()), 50_000, 100, 1e-3, random())
    uniform = samples.points[:50_000]
    assert 0.999 * CUBE_SCALE < uniform.abs().max() <= CUBE_SCALE
    expected = 4 / 3 * torch.pi / (2 * CUBE_SCALE) ** 3
    assert samples.occupied[:50_000].float().mean().item() == pytest.approx(expected, abs=0.01)
    assert samples.distance[50_000:].abs().max() < 0.01


def test_the_cube_has_the_longest_edge_and_is_centred_on_the_box():
    box = trimesh.creation.box(extents=(1.0, 4.0, 2.0))
    box.apply_translation((5.0, 0.0, -3.0))
    points = sample_uniform(surface_of(box), 20_000, random())
    middle = (points.amin(0) + points.amax(0)) / 2
    assert (middle - torch.tensor([5.0, 0.0, -3.0])).abs().max() < 0.01
    assert (points.amax(0) - points.amin(0) - 4.4).abs().max() < 0.01


def test_near_points_scatter_by_sigma():
    surface = surface_of(ball())
    distance = label_points(surface, sample_near(surface, 20_000, 0.01, random())).distance
    assert distance.std().item() == pytest.approx(0.01, rel=0.03)
    assert abs(distance.mean().item()) < 1e-3


def test_a_hole_does_not_spoil_the_labels():
    whole = ball()
    holed = trimesh.Trimesh(whole.vertices, whole.faces[whole.triangles_center[:, 1] < 0.97], process=False)
    samples = sample_occupancy(surface_of(holed), 10_000, 10_000, 0.02, random())
    assert not holed.is_watertight
    radius = samples.points.norm(dim=-1)
    away = ((radius - 1).abs() > 2e-3) & ((samples.points - torch.tensor([0.0, 1.0, 0.0])).norm(dim=-1) > 0.5)
    assert torch.equal(samples.occupied[away], (radius < 1)[away])


def test_parts_within_another_are_not_sampled():
    surface = surface_of(ball(), ball(0.7))
    samples = sample_outer_surface(surface, 5000, random())
    assert samples.points.norm(dim=-1).min() > 0.99
    assert samples.points.shape == samples.normals.shape == samples.barycentric.shape == (5000, 3)
    again = surface.interpolate(surface.vertices, samples.face, samples.barycentric)
    torch.testing.assert_close(again, samples.points)
    assert samples.points.mean(dim=0).abs().max() < 0.05


def test_overlapping_parts_are_sampled_on_their_union():
    left, right = ball(), ball()
    right.apply_translation((1.0, 0.0, 0.0))
    points = sample_outer_surface(surface_of(left, right), 5000, random()).points
    nearest = torch.minimum(points.norm(dim=-1), (points - torch.tensor([1.0, 0.0, 0.0])).norm(dim=-1))
    assert nearest.min() > 1 - 2 * BURIED_PROBE


def test_the_skin_of_a_real_scan_is_what_is_sampled():
    mesh = read_meshes(shared("valid_black_m2") / "pose_00.ply", 1)[0]
    surface = Surface(torch.tensor(mesh.vertices, dtype=torch.float32), torch.tensor(mesh.faces))
    samples = sample_outer_surface(surface, 4000, random())
    assert not surface.inside(samples.points + BURIED_PROBE * samples.normals).any()
    assert surface.inside(samples.points - BURIED_PROBE * samples.normals).float().mean() > 0.95


def test_normals_blend_between_vertices_and_are_the_faces_where_they_cancel_out():
    surface = surface_of(ball(subdivisions=3))
    samples = surface.sample(500, random())
    smooth, true = blended_normals(surface, samples), torch.nn.functional.normalize(samples.points, dim=1)
    assert torch.allclose(smooth.norm(dim=1), torch.ones(500), atol=1e-5)
    assert (smooth - true).norm(dim=1).mean() < 0.2 * (samples.normals - true).norm(dim=1).mean()
    given = torch.tensor([0.0, 1.0, 0.0]).expand_as(surface.vertices)
    assert torch.allclose(blended_normals(surface, samples, given), given[0].expand(500, 3), atol=1e-6)
    assert torch.equal(blended_normals(surface, samples, 0 * given), samples.normals)


def test_seeds_reproduce():
    surface = surface_of(ball(), ball(0.5))
    first, again, other = (sample_occupancy(surface, 500, 500, 0.01, random(seed)) for seed in (3, 3, 4))
    assert torch.equal(first.points, again.points)
    assert torch.equal(first.distance, again.distance)
    assert not torch.equal(first.points, other.points)


@pytest.mark.parametrize(("uniform", "near"), [(0, 0), (0, 10), (10, 0)])
def test_empty_counts(uniform, near):
    samples = sample_occupancy(surface_of(ball()), uniform, near, 0.01, random())
    assert samples.points.shape == (uniform + near, 3)
    assert samples.occupied.shape == samples.distance.shape == (uniform + near,)


def test_bad_requests_are_refused():
    surface = surface_of(ball())
    for uniform, near in ((-1, 5), (5, -1)):
        with pytest.raises(InputError, match="-1 points"):
            sample_occupancy(surface, uniform, near, 0.01)
    for sigma in (-0.1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="sigma"):
            sample_near(surface, 5, sigma)


def test_a_surface_that_nobody_sees_is_refused():
    enclosed = [ball(0.9 - 0.001 * number, 3) for number in range(80)]
    with pytest.raises(InputError, match="visible from outside"):
        sample_outer_surface(surface_of(ball(), *enclosed), 100, random())
