import math

import pytest
import torch
import trimesh

from avatars.meshing.detail import displace_by_normals
from body_models.errors import InputError
from data_prep.surface import Surface


def ball(subdivisions: int = 5, radius: float = 0.25) -> tuple[torch.Tensor, torch.Tensor]:
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return torch.tensor(mesh.vertices, dtype=torch.float32), torch.tensor(mesh.faces)


def wrinkled(vertices: torch.Tensor, height: float = 0.003, wavelength: float = 0.08) -> torch.Tensor:
    """Heights of ring-shaped folds on the ball."""
    return height * torch.sin(2 * math.pi / wavelength * vertices[:, 1] + 0.3)


def folded_ball() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Vertices, faces, true heights, and normals of the ball with folds."""
    vertices, faces = ball()
    heights = wrinkled(vertices)
    folded = vertices + heights[:, None] * torch.nn.functional.normalize(vertices, dim=1)
    return vertices, faces, heights, Surface(folded, faces).vertex_normals


def angle(first: torch.Tensor, second: torch.Tensor) -> float:
    return math.degrees(float((first * second).sum(1).clamp(-1, 1).arccos().mean()))


def test_folds_come_back_from_their_normals():
    vertices, faces, heights, normals = folded_ball()
    found = displace_by_normals(vertices, faces, normals, reach=2.0)
    error = (found.displacements - found.displacements.mean() - heights + heights.mean()).square().mean().sqrt()
    assert error < 0.12 * heights.square().mean().sqrt()
    mesh_normals = Surface(found.vertices, faces).vertex_normals
    assert angle(mesh_normals, normals) < 0.1 * angle(Surface(vertices, faces).vertex_normals, normals)


def test_a_short_reach_keeps_short_folds_only():
    vertices, faces, heights, normals = folded_ball()
    spread = [displace_by_normals(vertices, faces, normals, reach=reach).displacements.std() for reach in (0.02, 0.3)]
    assert spread[0] < 0.2 * heights.std()
    assert spread[1] > 0.8 * heights.std()


def test_the_coarse_normals_move_nothing():
    vertices, faces = ball(3)
    vertices = vertices + 0.002 * torch.randn(vertices.shape, generator=torch.Generator().manual_seed(0))
    own = Surface(vertices, faces).vertex_normals
    assert displace_by_normals(vertices, faces, own).displacements.abs().max() < 1e-7
    other = torch.nn.functional.normalize(vertices, dim=1)
    assert displace_by_normals(vertices, faces, other, coarse_normals=other).displacements.abs().max() < 1e-7


def test_turning_and_moving_the_mesh_turns_and_moves_the_result():
    vertices, faces, _, normals = folded_ball()
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))[0]
    turn = turn * torch.linalg.det(turn)
    here = displace_by_normals(vertices, faces, normals)
    there = displace_by_normals(vertices @ turn.T + 1.0, faces, normals @ turn.T)
    assert torch.allclose(here.vertices @ turn.T + 1.0, there.vertices, atol=2e-5)


def test_the_limit_is_kept_and_steep_normals_do_no_harm():
    vertices, faces = ball(4)
    wild = torch.nn.functional.normalize(torch.randn(vertices.shape, generator=torch.Generator().manual_seed(0)), dim=1)
    tilted = torch.nn.functional.normalize(vertices + torch.tensor([0.0, 3.0, 0.0]), dim=1)
    for normals in (wild, tilted, -vertices):
        for limit in (0.002, 0.02):
            found = displace_by_normals(vertices, faces, normals, limit=limit)
            assert found.displacements.abs().max() <= limit + 1e-7
            assert found.vertices.isfinite().all()


def test_normals_that_are_none_count_as_coarse():
    vertices, faces = ball(3)
    normals = torch.zeros_like(vertices)
    normals[::2] = torch.nan
    assert displace_by_normals(vertices, faces, normals).displacements.abs().max() < 1e-7


def test_an_open_mesh_with_loose_vertices():
    vertices, faces, _, normals = folded_ball()
    vertices, normals = (torch.cat([values, values[:3]]) for values in (vertices, normals))
    found = displace_by_normals(vertices, faces[: len(faces) // 2], normals)
    assert found.vertices.isfinite().all()
    assert torch.equal(found.vertices[-3:], vertices[-3:])


@pytest.mark.parametrize(("reach", "limit"), [(0.0, 0.02), (0.3, -1.0), (float("nan"), 0.02)])
def test_options_that_make_no_sense(reach, limit):
    vertices, faces = ball(1)
    with pytest.raises(InputError, match="above zero"):
        displace_by_normals(vertices, faces, vertices, reach=reach, limit=limit)
