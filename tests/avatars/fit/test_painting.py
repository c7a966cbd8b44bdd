"""Scans in known colours give an avatar in these colours, without holes."""

import dataclasses

import numpy as np
import pytest
import torch

from avatars.fields.grid import GridSpec
from avatars.fields.surface_colour import BlockGrid
from avatars.fit.options import ColourOptions
from avatars.fit.painting import Samples, empty_field, paint, painting_steps, part_boxes, solve
from avatars.models import Avatar, AvatarInfo
from body_models import InputError
from data_prep.paint import PaintedPoints, coded_bytes
from data_prep.pictures.mesh import linear_to_srgb
from data_prep.scans import Scan
from data_prep.surface import Surface
from tests.avatars.small_body import small_body, small_poses, small_snarf

COARSE = ColourOptions(samples=60_000, spacing=0.02, part_spacing=0.01)


def truth(canonical: torch.Tensor) -> torch.Tensor:
    """Linear colours of canonical points."""
    return (0.4 + 0.3 * torch.sin(canonical * torch.tensor([7.0, 5.0, 9.0]))).clamp(0.02, 1)


def scans(noise: float = 0.0, hidden: bool = False) -> list[Scan]:
    """The body in three poses, coloured by its canonical places; `hidden` leaves out all below the hips."""
    body, poses, made = small_body(), small_poses(3, scale=0.1), []
    for number, pose in enumerate(poses):
        vertices = body.pose_vertices(pose, torch.zeros(3))
        generator = torch.Generator().manual_seed(number)
        samples = Surface(vertices, body.faces).sample(20_000, generator)
        canonical = Surface(body.canonical(), body.faces).interpolate(
            body.canonical(), samples.face, samples.barycentric
        )
        coded = coded_bytes(truth(canonical).numpy())
        wrong = torch.rand(len(coded), generator=generator).numpy() < noise
        coded[wrong] = (255, 0, 255)
        shown = (canonical[:, 1] > 0).numpy() if hidden else np.ones(len(coded), bool)
        colours = PaintedPoints(samples.points.numpy()[shown], coded[shown])
        made.append(Scan(f"scan_{number}", vertices.numpy(), body.faces.numpy(), colours))
    return made


def avatar() -> Avatar:
    return Avatar(small_snarf(), small_poses(3, scale=0.1), torch.zeros(3, 3), AvatarInfo(("a", "b", "c")))


def error(found: Avatar, where: torch.Tensor) -> torch.Tensor:
    """Difference of coded colours (0 to 1) at canonical points."""
    colours = found.colours(where)
    assert colours is not None
    return (linear_to_srgb(colours) - linear_to_srgb(truth(where))).abs().mean(1)


@pytest.fixture(scope="module")
def surface_points() -> torch.Tensor:
    return avatar().body(96).canonical()


def test_colours_come_back(surface_points):
    found = avatar()
    found.colour = paint(found, scans(), COARSE)
    off = error(found, surface_points)
    assert float(off.median()) < 0.012
    assert float(off.quantile(0.95)) < 0.05
    colours = found.colours(surface_points)
    assert colours is not None
    assert 0 <= float(colours.min()) <= float(colours.max()) <= 1


def test_a_tenth_of_wrong_colours_does_little_harm(surface_points):
    clean, noisy = avatar(), avatar()
    clean.colour, noisy.colour = paint(clean, scans(), COARSE), paint(noisy, scans(noise=0.1), COARSE)
    assert float(error(noisy, surface_points).median()) < float(error(clean, surface_points).median()) + 0.015


def test_what_no_scan_saw_is_filled_from_what_lies_around_it(surface_points):
    found = avatar()
    found.colour = paint(found, scans(hidden=True), COARSE)
    colours = found.colours(surface_points)
    assert colours is not None
    lower = colours[surface_points[:, 1] < -0.1]
    seen = colours[surface_points[:, 1] > 0.02]
    assert torch.isfinite(colours).all()
    for channel in range(3):
        assert seen[:, channel].min() - 0.05 <= lower[:, channel].min()
        assert lower[:, channel].max() <= seen[:, channel].max() + 0.05


def test_some_scans_without_colours_are_left_out_and_none_with_any_gives_none():
    some = scans()
    plain = [dataclasses.replace(scan, colours=None) for scan in some]
    assert paint(avatar(), plain, COARSE) is None
    assert painting_steps(plain) == 0
    calls = []
    mixed = [some[0], plain[1], plain[2]]
    assert paint(avatar(), mixed, COARSE, lambda: calls.append(1)) is not None
    assert len(calls) == painting_steps(mixed) == 2


def test_posed_points_find_their_colours():
    found = avatar()
    found.colour = paint(found, scans(), COARSE)
    scan = scans()[1]
    shown = found.training_pose(1).colours(torch.from_numpy(scan.colours.points[:2000]))
    off = (linear_to_srgb(shown) - torch.from_numpy(scan.colours.coded[:2000]) / 255).abs().mean(1)
    assert float(off.median()) < 0.02
    far = found.training_pose(1).colours(torch.tensor([[0.0, 9.0, 0.0]]))  # no root: the nearest point's colour
    assert torch.isfinite(far).all()
    assert avatar().training_pose(1).colours(torch.zeros(2, 3)) is None


def test_head_and_hands_have_finer_grids():
    body = avatar().body(64)
    assert len(part_boxes(body)) == 3
    field = empty_field(body, avatar().model.box, COARSE)
    assert [grid.spec.spacing for grid in field.block_grids] == [0.02, 0.01, 0.01, 0.01]


def test_large_people_get_coarser_grids(monkeypatch):
    monkeypatch.setattr("avatars.fit.painting.MOST_NODES", 8000)
    field = empty_field(avatar().body(64), avatar().model.box, COARSE)
    assert sum(grid.count for grid in field.block_grids) <= 8000
    assert field.block_grids[0].spec.spacing > 0.02


def test_solving_without_samples_is_grey():
    grid = BlockGrid.about(torch.zeros(1, 3), GridSpec((-0.1, -0.1, -0.1), 0.01, (21, 21, 21)), 0.01)
    solve(grid, Samples(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0)))
    assert (grid.values == 0.5).all()


@pytest.mark.parametrize("wrong", [{"samples": -1}, {"spacing": 0.0}, {"part_spacing": 1.0}, {"spacing": np.nan}])
def test_sizes_that_cannot_be_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        ColourOptions(**wrong)
