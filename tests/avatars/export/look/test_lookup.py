import torch
import trimesh

from avatars.export.look.lookup import found_on, mended
from data_prep.surface import Surface


def sheet(thickness=0.004):
    """A thin closed slab about the plane z = 0."""
    mesh = trimesh.creation.box(extents=(1.0, 1.0, thickness)).subdivide_to_size(0.2)
    vertices, faces = torch.tensor(mesh.vertices).float(), torch.tensor(mesh.faces).long()
    return Surface(vertices, faces)


def test_thin_parts_do_not_take_the_other_side():
    surface = sheet()
    sides = torch.zeros_like(surface.vertices)
    sides[:, 2] = surface.vertices[:, 2].sign()
    points = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) * 0.8 - 0.4
    points[:, 2] = -0.003  # beneath the slab, though what looks upwards is sought
    upwards = torch.tensor([0.0, 0.0, 1.0]).expand(200, 3)
    found = found_on(surface, sides, points, upwards)
    assert bool(found.right.all())
    assert torch.allclose(found.points[:, 2], torch.full((200,), 0.002), atol=1e-5)
    assert torch.allclose(found.points[:, :2], points[:, :2], atol=1e-5)
    assert torch.allclose(found.normals, upwards, atol=1e-5)


def test_what_faces_nothing_is_not_right():
    surface = sheet()
    sides = torch.zeros_like(surface.vertices)
    sides[:, 2] = surface.vertices[:, 2].sign()
    points = torch.tensor([[0.1, 0.1, 0.01], [0.1, 0.1, 2.0]])
    found = found_on(surface, sides, points, torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]))
    assert found.right.tolist() == [True, False]


def test_points_on_the_surface_are_found_where_they_are():
    surface = sheet(0.3)
    samples = surface.sample(300, torch.Generator().manual_seed(2))
    found = found_on(surface, surface.vertex_normals, samples.points, samples.normals)
    assert torch.allclose(found.points[found.right], samples.points[found.right], atol=1e-5)


def test_unknown_values_come_from_near_ones_of_the_same_side():
    generator = torch.Generator().manual_seed(4)
    points = torch.rand(2000, 3, generator=generator)
    points[:, 2] = 0.0
    normals = torch.zeros(2000, 3)
    normals[:, 2] = torch.where(torch.arange(2000) % 2 == 0, 1.0, -1.0)
    values = torch.cat([points[:, :1], normals[:, 2:]], 1)
    known = torch.rand(2000, generator=generator) < 0.8
    broken = torch.where(known[:, None], values, 77.0)
    whole = mended(broken, known, points, normals)
    assert torch.equal(whole[known], values[known])
    assert float((whole - values).abs().max()) < 0.1


def test_nothing_to_mend_and_nothing_to_mend_from():
    points, values = torch.rand(5, 3), torch.rand(5, 2)
    assert torch.equal(mended(values, torch.ones(5, dtype=torch.bool), points, points), values)
    assert torch.equal(mended(values, torch.zeros(5, dtype=torch.bool), points, points), values)
    one = mended(values, torch.tensor([True, False, False, False, False]), points, points)
    assert torch.allclose(one, values[:1].expand(5, 2))
