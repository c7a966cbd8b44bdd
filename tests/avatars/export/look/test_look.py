import math

import numpy as np
import pytest
import torch

from avatars.export.look import textured
from body_models import InputError
from data_prep.pictures.mesh import linear_to_srgb
from data_prep.surface import Surface
from tests.avatars.export.look.look_cases import (
    ball,
    looked_up,
    rig_from,
    shaded_normals,
    smooth_colours,
    source_from,
)

SIZE = 256


@pytest.fixture(scope="module")
def source():
    return source_from(*ball(5, bumps=0.05), smooth_colours)


@pytest.fixture(scope="module")
def plain():
    return rig_from(*ball(3, bumps=0.05))


@pytest.fixture(scope="module")
def baked(plain, source):
    return textured(plain, source, SIZE)


@pytest.fixture(scope="module")
def spots(plain):
    return Surface(plain.vertices, plain.faces).sample(4000, torch.Generator().manual_seed(0))


def degrees(first, second):
    return torch.rad2deg(torch.acos((first * second).sum(1).clamp(-1, 1)))


def test_the_mesh_stays_what_it_is(plain, baked):
    rig, look = baked
    assert torch.equal(rig.vertices[rig.faces], plain.vertices[plain.faces])
    assert torch.equal(rig.morphs[:, rig.faces], plain.morphs[:, plain.faces])
    assert torch.equal(rig.weights[rig.faces], plain.weights[plain.faces])
    assert rig.uv.shape == (len(rig.vertices), 2)
    assert rig.tangents.shape == (len(rig.vertices), 4)
    assert look.colour.shape == look.normal.shape == (SIZE, SIZE, 3)
    assert not look.unlit


def test_colours_come_back_everywhere(baked, source, spots):
    rig, look = baked
    surface = Surface(rig.vertices, rig.faces)
    read = looked_up(look.colour, surface.interpolate(rig.uv, spots.face, spots.barycentric))
    nearest = Surface(source.vertices, source.faces).closest(spots.points).point
    error = (read - linear_to_srgb(smooth_colours(nearest))).abs() * 255
    assert float(error.quantile(0.999)) < 2
    assert float(error.max()) < 4


def test_normals_come_back_through_the_frames_of_a_renderer(baked, source, spots):
    rig, look = baked
    fine = Surface(source.vertices, source.faces)
    nearest = fine.closest(spots.points)
    wanted = torch.nn.functional.normalize(fine.interpolate(source.normals, nearest.face, nearest.barycentric), dim=1)
    error = degrees(shaded_normals(rig, look.normal, spots.face, spots.barycentric), wanted)
    surface = Surface(rig.vertices, rig.faces)
    plain = surface.interpolate(rig.normals, spots.face, spots.barycentric)
    without = degrees(torch.nn.functional.normalize(plain, dim=1), wanted)
    assert float(error.mean()) < 1.0
    assert float(error.quantile(0.99)) < 3.0
    assert float(error.mean()) < 0.5 * float(without.mean())


def test_a_smooth_copy_has_a_flat_normal_map(spots):
    source, rig = source_from(*ball(5)), rig_from(*ball(3))
    _, look = textured(rig, source, SIZE)
    assert look.colour is None
    tilt = np.abs(look.normal.astype(int) - [128, 128, 255])
    assert tilt.mean() < 3


def test_seams_do_not_show(baked, plain):
    rig, look = baked
    sides = {}
    for face, corners in enumerate(plain.faces.tolist()):
        for k in range(3):
            key = tuple(sorted((corners[k], corners[(k + 1) % 3])))
            sides.setdefault(key, []).append((face, k, corners[k] == key[0]))
    shares, faces = ([], []), ([], [])
    for (face, k, forward), (other, j, along) in sides.values():
        if len(set(rig.faces[face].tolist()) & set(rig.faces[other].tolist())) == 2:
            continue
        for part in (0.1, 0.35, 0.5, 0.8):
            for side, (own, corner, ahead) in enumerate([(face, k, forward), (other, j, along)]):
                share = [0.0, 0.0, 0.0]
                share[corner], share[(corner + 1) % 3] = (part, 1 - part) if ahead else (1 - part, part)
                shares[side].append(share)
                faces[side].append(own)
    surface = Surface(rig.vertices, rig.faces)
    own, shares = [torch.tensor(side) for side in faces], [torch.tensor(side) for side in shares]
    assert len(own[0]) > 100
    colours = [looked_up(look.colour, surface.interpolate(rig.uv, f, s)) for f, s in zip(own, shares, strict=True)]
    assert float((colours[0] - colours[1]).abs().max()) * 255 < 3
    normals = [shaded_normals(rig, look.normal, f, s) for f, s in zip(own, shares, strict=True)]
    assert float(degrees(*normals).mean()) < 1
    assert float(degrees(*normals).max()) < 5


def test_the_same_comes_out_again(plain, source, baked):
    rig, look = textured(plain, source, SIZE)
    assert np.array_equal(look.colour, baked[1].colour)
    assert np.array_equal(look.normal, baked[1].normal)
    assert torch.equal(rig.tangents, baked[0].tangents)


def test_what_was_never_seen_is_filled_from_beside_it(plain, source):
    def half_seen(points):
        return torch.where(points[:, :1] > 0.2, torch.nan, torch.tensor([0.1, 0.5, 0.2]))

    _, look = textured(plain, source_from(source.vertices, source.faces, half_seen, unlit=True), SIZE)
    expected = (linear_to_srgb(torch.tensor([0.1, 0.5, 0.2])) * 255).round().numpy()
    assert np.abs(look.colour - expected).max() <= 1
    assert look.unlit
    assert look.normal is None


def test_small_things_are_looked_at_no_finer_than_they_are(plain):
    asked = []

    def colour(points):
        asked.append(len(points))
        return smooth_colours(points * 30)

    little, light = ball(4, radius=0.01), ball(2, radius=0.01)
    rig, look = textured(rig_from(*light), source_from(*little, colour), 512)
    assert look.colour.shape == (512, 512, 3)
    assert sum(asked) < 64**2
    spots = Surface(rig.vertices, rig.faces).sample(500, torch.Generator().manual_seed(0))
    read = looked_up(look.colour, Surface(rig.vertices, rig.faces).interpolate(rig.uv, spots.face, spots.barycentric))
    assert float((read - linear_to_srgb(smooth_colours(spots.points * 30))).abs().mean()) * 255 < 6


@pytest.mark.parametrize("size", [-1, 0, 63, 8193])
def test_sizes_that_make_no_sense(plain, source, size):
    with pytest.raises(InputError, match="64 to 8192"):
        textured(plain, source, size)


def test_the_smallest_picture(plain, source):
    rig, look = textured(plain, source, 64)
    assert look.colour.shape == (64, 64, 3)
    assert math.isfinite(float(rig.uv.sum()))
