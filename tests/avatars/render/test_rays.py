import torch

from avatars.render.rays import box_interval, orthogonal_pair
from tests.avatars.render.shapes import double, view_directions


def test_orthogonal_pairs_are_right_handed_unit_and_orthogonal_for_every_direction() -> None:
    directions = view_directions()
    u, v = orthogonal_pair(3 * directions)
    unit = torch.nn.functional.normalize(directions, dim=1)
    frames = torch.stack([u, v, unit], 1)
    assert torch.allclose(frames @ frames.mT, torch.eye(3).double().expand_as(frames), atol=1e-12)
    assert torch.allclose(torch.linalg.cross(u, v), unit, atol=1e-12)


def test_boxes_are_entered_and_left_where_they_end() -> None:
    origins = torch.tensor([[0.0, 0.0, -3.0], [0.0, 0.0, 0.0], [0.0, 5.0, -3.0]], dtype=torch.float64)
    directions = double(0.0, 0.0, 1.0).repeat(3, 1)
    lower, upper = -torch.ones(3, 3).double(), torch.ones(3, 3).double()
    near, far = box_interval(origins, directions, lower, upper)
    assert near.tolist() == [2.0, 0.0, 3.0]  # the last one passes by, at 3 m
    assert far.tolist() == [4.0, 1.0, 3.0]
