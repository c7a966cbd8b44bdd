import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from avatars.export.look import atlas as atlases
from avatars.export.look.atlas import GAP, unwrapped
from tests.avatars.export.look.look_cases import ball, figure

SIZE = 512


@pytest.fixture(scope="module")
def shape():
    return figure()


@pytest.fixture(scope="module")
def atlas(shape):
    return unwrapped(*shape, SIZE)


def covered(uv, faces, size, within=1e-3):
    """How many triangles each texel's centre lies inside of, and the last of them."""
    count, owner = np.zeros((size, size), int), np.full((size, size), -1)
    for number, corners in enumerate((uv[faces] * size).double().numpy()):
        left, top = np.floor(corners.min(0)).astype(int).clip(0)
        right, bottom = np.ceil(corners.max(0)).astype(int)
        y, x = np.mgrid[top:bottom, left:right] + 0.5
        sides = np.roll(corners, -1, 0) - corners
        depth = [s[0] * (y - c[1]) - s[1] * (x - c[0]) for s, c in zip(sides, corners, strict=True)]
        inside = np.abs(np.sign(np.stack([np.where(np.abs(d) > within, d, 0) for d in depth])).sum(0)) == 3
        count[top:bottom, left:right] += inside
        owner[top:bottom, left:right][inside] = number
    return count, owner


def charts_of(atlas):
    """Number of the chart of each face, by vertices in common."""
    first, second = atlas.faces.numpy()[:, :2].reshape(-1), atlas.faces.numpy()[:, 1:].reshape(-1)
    links = coo_matrix((np.ones(len(first)), (first, second)), shape=(len(atlas.index),) * 2)
    return connected_components(links, directed=False)[1][atlas.faces[:, 0].numpy()]


def test_every_face_keeps_its_corners(shape, atlas):
    assert torch.equal(atlas.index[atlas.faces], shape[1])
    assert set(atlas.index.tolist()) == set(range(len(shape[0])))


def test_places_lie_in_the_picture(atlas):
    assert float(atlas.uv.min()) >= 0
    assert float(atlas.uv.max()) <= 1


def test_no_triangle_lies_on_another(atlas):
    count, _ = covered(atlas.uv, atlas.faces, SIZE)
    assert (count > 1).sum() == 0
    assert count.mean() > 0.3  # and a good part of the picture is used


def test_charts_keep_their_distance(atlas):
    chart = charts_of(atlas)
    _, owner = covered(atlas.uv, atlas.faces, SIZE)
    at = np.where(owner >= 0, chart[owner], -1)
    for number in np.unique(chart):
        others = (at >= 0) & (at != number)
        if (at == number).any():
            assert distance_transform_edt(~others)[at == number].min() >= GAP - 1


def test_no_chart_is_mirrored(atlas):
    first, second, third = atlas.uv[atlas.faces].double().unbind(1)
    along, across = second - first, third - first
    down = along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0]
    assert float((down < 0).double().mean()) > 0.999  # v points down, so that counter-clockwise is negative


def test_texels_are_spread_evenly(shape, atlas):
    def areas(corners):
        return torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=1)

    flat, real = areas(torch.nn.functional.pad(atlas.uv[atlas.faces], (0, 1))), areas(shape[0][shape[1]])
    for number in np.unique(charts_of(atlas)):
        own = torch.from_numpy(charts_of(atlas) == number)
        assert 0.7 < float(flat[own].sum() / real[own].sum() * real.sum() / flat.sum()) < 1.4


def test_the_same_comes_out_again(shape, atlas):
    again = unwrapped(*shape, SIZE)
    assert torch.equal(again.uv, atlas.uv)
    assert torch.equal(again.faces, atlas.faces)


def test_specks_and_flat_triangles_are_carried_along():
    vertices, faces = ball(2)
    speck = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]) * 1e-3 + 0.5
    tetrahedron = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    flat = torch.tensor([[0, 0, 1]])
    whole = torch.cat([vertices, speck])
    triangles = torch.cat([faces, len(vertices) + tetrahedron, flat])
    atlas = unwrapped(whole, triangles, 256)
    assert torch.equal(atlas.index[atlas.faces], triangles)
    assert bool(atlas.uv.isfinite().all())
    first, second, third = atlas.uv[atlas.faces[len(faces) : -1]].double().unbind(1)
    area = (second - first)[:, 0] * (third - first)[:, 1] - (second - first)[:, 1] * (third - first)[:, 0]
    assert bool((area != 0).all())


def test_large_meshes_are_cut_in_pieces(shape, monkeypatch):
    monkeypatch.setattr(atlases, "AT_ONCE", 500)
    atlas = unwrapped(*shape, SIZE)
    assert torch.equal(atlas.index[atlas.faces], shape[1])
    count, _ = covered(atlas.uv, atlas.faces, SIZE)
    assert (count > 1).sum() == 0
    assert count.mean() > 0.3


@pytest.mark.parametrize("size", [64, 100, 1024])
def test_small_and_odd_pictures_hold_all_charts(shape, size):
    atlas = unwrapped(*shape, size)
    count, _ = covered(atlas.uv, atlas.faces, size)
    assert (count > 1).sum() == 0
    assert 0 <= float(atlas.uv.min()) <= float(atlas.uv.max()) <= 1
