import numpy as np
import pytest
import torch
import trimesh

from avatars.assess.people_scores import chamfer_matrix, compare_sets, person_cloud
from body_models.errors import InputError
from data_prep.surface import Surface


def people(sizes: list[float], seed: int = 0, points: int = 1500) -> list[torch.Tensor]:
    """Upright ellipsoids of some heights."""
    mesh = trimesh.creation.icosphere(subdivisions=3)
    shape, faces = torch.tensor(mesh.vertices, dtype=torch.float32), torch.tensor(mesh.faces)
    surfaces = [Surface(shape * torch.tensor([0.2, size / 2, 0.15]), faces) for size in sizes]
    return [person_cloud(surface, seed + number, points) for number, surface in enumerate(surfaces)]


TALL, SMALL = [1.6, 1.8, 2.0, 2.2], [0.8, 0.9, 1.0, 1.1]


def test_a_set_matches_itself():
    scores = compare_sets(people(TALL), people(TALL))
    assert scores.matching_mm == 0.0
    assert scores.coverage == 1.0


def test_drawn_again_the_same_people_cannot_be_told_apart_and_others_can():
    again, others = compare_sets(people(TALL, 9), people(TALL)), compare_sets(people(SMALL), people(TALL))
    assert again.coverage == 1.0
    assert again.neighbour_accuracy <= 0.5
    assert others.neighbour_accuracy == 1.0
    assert others.matching_mm > 3 * again.matching_mm
    assert "coverage 100 %" in again.line()


def test_samples_that_are_all_alike_cover_little():
    scores = compare_sets(people([1.8, 1.8, 1.8, 1.8], 5), people(TALL))
    assert scores.coverage == 0.25


def test_the_matrix_is_symmetric_and_in_millimetres():
    clouds = people(TALL)
    matrix = chamfer_matrix(clouds)
    assert np.allclose(matrix, chamfer_matrix(clouds, clouds))
    assert np.allclose(matrix, matrix.T)
    grid = torch.stack(torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij"), -1).reshape(-1, 2)
    plane = torch.cat([grid, torch.zeros(81, 1)], 1)
    assert chamfer_matrix([plane], [plane + torch.tensor([0.0, 0.0, 0.05])]) == pytest.approx(50.0, rel=1e-4)


def test_what_cannot_be_compared():
    with pytest.raises(InputError, match="1 people are too few samples"):
        compare_sets(people([1.8]), people(TALL))
    with pytest.raises(InputError, match="empty or not finite"):
        chamfer_matrix([torch.zeros(0, 3)])
    with pytest.raises(InputError, match="empty or not finite"):
        chamfer_matrix([torch.full((5, 3), torch.nan)])
