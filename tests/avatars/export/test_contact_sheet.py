from functools import cache

import numpy as np
import pytest
import torch

from avatars.export.contact_sheet import SheetPose, people_row, people_sheet, sheet_person, sheet_poses
from body_models import Body, InputError, Motion, load_anny

SIZE = 64


@cache
def body(height: float = 0.0) -> Body:
    model = load_anny()
    return model.body(torch.tensor([height]))


def sheet(count: int) -> np.ndarray:
    poses = sheet_poses(body())[:2]
    return people_sheet([sheet_person(body(), poses, f"person_{i:03d}") for i in range(count)], poses, SIZE)


def figure(picture: np.ndarray) -> np.ndarray:
    """Rows in which the person is: everything but the bright background."""
    return np.flatnonzero((picture.astype(int).min(-1) < 200).any(1))


def test_a_row_a_pose_a_column_a_person():
    few = sheet(3)
    assert few.shape == (2 * SIZE + 16, 3 * round(0.7 * SIZE), 3)
    many = sheet(9)
    assert many.shape == (2 * (2 * SIZE + 16), 8 * round(0.7 * SIZE), 3)
    left = round(0.7 * SIZE)
    assert (many[2 * SIZE + 16 : -16, left:] == 255).all()
    assert (many[2 * SIZE + 16 : -16, :left] < 200).any()


def test_people_stand_on_the_floor_and_small_ones_look_small():
    poses = sheet_poses(body())
    people = [sheet_person(body(height), poses) for height in (0.0, -2.0)]
    for person in people:
        assert torch.allclose(person.posed[..., 1].amin(1), torch.zeros(len(poses)), atol=1e-5)
    sizes = [person.posed[0, :, 1].max() for person in people]
    rows = [figure(picture) for picture in people_row(people, poses, len(poses) - 1, 100, 140)]
    ratio = len(rows[1]) / len(rows[0])
    assert ratio == pytest.approx(float(sizes[1] / sizes[0]), abs=0.05)


def test_the_own_poses_differ_and_one_shows_normals():
    poses = sheet_poses(body())
    assert [pose.style for pose in poses] == ["shaded", "shaded", "shaded", "normal"]
    assert (poses[0].rotations - poses[1].rotations).abs().max() > 0.3


def test_poses_of_a_motion():
    still = torch.zeros(9, len(body().skeleton), 3)
    still[:, 1] = torch.linspace(0, 1, 9)[:, None]
    motion = Motion("bend", body().skeleton, body().joints, still, torch.zeros(9, 3), 30.0)
    poses = sheet_poses(body(), motion)
    assert [float(pose.rotations[1, 0]) for pose in poses] == [0.25, 0.5, 0.75, 0.25]


def test_an_empty_sheet():
    with pytest.raises(InputError, match="0 people"):
        people_sheet([], sheet_poses(body()))
    person = sheet_person(body(), [SheetPose(body().canonical_pose)])
    with pytest.raises(InputError, match="0 poses"):
        people_sheet([person], [])
