"""Fewer triangles, the same person."""

from collections import Counter

import pytest
import torch
import trimesh
from torch import Tensor

from avatars.export.rig.simplify import simplified
from avatars.export.rig.source import source_of
from avatars.meshing import TriangleMesh
from body_models import InputError
from data_prep.surface import Surface
from tests.avatars.small_avatar import small_avatar


def ball(subdivisions: int = 5, squeeze: float = 1.0) -> TriangleMesh:
    sphere = trimesh.creation.icosphere(subdivisions)
    vertices = torch.tensor(sphere.vertices, dtype=torch.float32) * torch.tensor([1.0, 1.0, squeeze])
    return TriangleMesh(vertices, torch.tensor(sphere.faces))


def edge_counts(faces: Tensor) -> Counter[int]:
    sides = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).sort(1).values
    return Counter(sides.unique(dim=0, return_counts=True)[1].tolist())


def check_sound(mesh: TriangleMesh) -> None:
    """Closed, wound one way, every vertex used, no triangle without an area."""
    solid = mesh.to_trimesh()
    assert set(edge_counts(mesh.faces)) == {2}
    assert solid.is_winding_consistent
    assert solid.volume > 0
    assert len(mesh.faces.unique()) == len(mesh.vertices)
    assert bool((Surface(mesh.vertices, mesh.faces).face_areas > 0).all())


@pytest.mark.parametrize("count", [200, 1000, 5000])
def test_a_ball_stays_a_ball(count: int) -> None:
    full = ball()
    mesh = simplified(full.vertices, full.faces, count)
    assert 0.9 * count <= len(mesh.faces) <= count
    check_sound(mesh)
    centres = mesh.vertices[mesh.faces].mean(1)
    assert bool(((Surface(mesh.vertices, mesh.faces).face_normals * centres).sum(1) > 0).all())
    assert float((mesh.vertices.norm(dim=1) - 1).abs().max()) < 4 / count**0.5 * 0.5


@pytest.mark.parametrize("count", [500, 1500, 3000, 6000])
def test_a_body_keeps_its_shape_and_stays_a_manifold(count: int) -> None:
    source = source_of(small_avatar(), 96)
    assert set(edge_counts(source.faces)) == {2}
    mesh = simplified(source.vertices, source.faces, count)
    assert len(mesh.faces) <= count
    check_sound(mesh)
    original = Surface(source.vertices, source.faces)
    found = original.closest(Surface(mesh.vertices, mesh.faces).sample(4000, torch.Generator().manual_seed(0)).points)
    assert float(found.distance.mean()) < 4.0 / count


def test_a_thin_sheet_is_not_glued_together() -> None:
    full = ball(squeeze=0.004)
    mesh = simplified(full.vertices, full.faces, 600)
    assert set(edge_counts(mesh.faces)) == {2}


def test_touching_parts_come_apart_instead_of_sharing_an_edge() -> None:
    parts = [ball(4), ball(4)]
    parts[1] = TriangleMesh(parts[1].vertices + torch.tensor([2.0, 0.0, 0.0]), parts[1].faces)
    faces = torch.cat([parts[0].faces, parts[1].faces + len(parts[0].vertices)])
    mesh = simplified(torch.cat([part.vertices for part in parts]), faces, 400)
    check_sound(mesh)


def test_an_open_mesh_may_stay_open() -> None:
    full = ball()
    upper = full.faces[(full.vertices[full.faces][..., 1] > -0.3).all(1)]
    mesh = simplified(full.vertices, upper, 1000)
    assert set(edge_counts(mesh.faces)) == {1, 2}
    assert len(mesh.faces) <= 1000


def test_a_budget_that_the_mesh_meets_changes_nothing() -> None:
    full = ball(3)
    mesh = simplified(full.vertices, full.faces, len(full.faces))
    assert mesh.vertices is full.vertices
    assert mesh.faces is full.faces


def test_the_same_mesh_comes_out_every_time() -> None:
    full = ball(4)
    first, second = (simplified(full.vertices, full.faces, 900) for _ in range(2))
    assert torch.equal(first.vertices, second.vertices)
    assert torch.equal(first.faces, second.faces)


@pytest.mark.parametrize("count", [-5, 0, 199])
def test_tiny_budgets_are_refused(count: int) -> None:
    full = ball(2)
    with pytest.raises(InputError, match="at least 200"):
        simplified(full.vertices, full.faces, count)
