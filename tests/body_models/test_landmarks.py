import pytest
import torch

from body_models.landmarks import ContourLandmarks, Landmarks, landmarks_at_vertices
from body_models.skeleton import rigid, rotation_matrices

STEPS, POINTS, VERTICES = 79, 4, 30


def contour() -> ContourLandmarks:
    generator = torch.Generator().manual_seed(0)
    corners = torch.randint(0, VERTICES, (STEPS, POINTS, 3), generator=generator)
    weights = torch.softmax(torch.randn(STEPS, POINTS, 3, generator=generator), dim=-1)
    return ContourLandmarks(tuple("abcd"), corners, weights, joint=1)


def turned(degrees: torch.Tensor) -> torch.Tensor:
    """Transforms of two bones, the second turned about the vertical."""
    pose = torch.zeros(*degrees.shape, 2, 3)
    pose[..., 1, 1] = torch.deg2rad(degrees)
    return rigid(rotation_matrices(pose), torch.zeros_like(pose))


@pytest.mark.parametrize(
    ("degrees", "step"),
    [(0.0, 0), (0.4, 0), (0.6, 1), (39.0, 39), (80.0, 39), (-0.4, 0), (-0.6, 40), (-39.0, 78), (-80.0, 78)],
)
def test_step_of_a_yaw(degrees, step):
    rotation = turned(torch.tensor(-degrees))[1, :3, :3]
    mirrored = turned(torch.tensor(degrees))[1, :3, :3]
    found = {int(contour().step(rotation)), int(contour().step(mirrored))}
    assert step in found
    assert len(found) == (1 if abs(degrees) < 0.5 else 2)


def test_points_are_those_of_the_step():
    table, transforms = contour(), turned(torch.tensor([[0.0, 20.0, -20.0], [7.0, 90.0, -90.0]]))
    vertices = torch.randn(2, 3, VERTICES, 3)
    found = table.on(vertices, transforms)
    steps = table.step(transforms[..., 1, :3, :3])
    assert found.shape == (2, 3, POINTS, 3)
    for row in range(2):
        for column in range(3):
            step = steps[row, column]
            still = Landmarks(table.names, table.corners[step], table.weights[step])
            assert torch.allclose(found[row, column], still.on(vertices[row, column]), atol=1e-6)


def test_gradients_reach_the_vertices():
    vertices = torch.randn(VERTICES, 3, dtype=torch.float64, requires_grad=True)
    table, transforms = contour().to(torch.float64), turned(torch.tensor(12.0)).double()
    assert table.corners.dtype == torch.long
    assert torch.autograd.gradcheck(lambda points: table.on(points, transforms), vertices)


def test_landmarks_at_vertices_are_those_vertices():
    vertices = torch.randn(5, VERTICES, 3)
    found = landmarks_at_vertices({"nose": 3, "chin": 8})
    assert len(found) == 2
    assert torch.equal(found.on(vertices), vertices[:, [3, 8]])
