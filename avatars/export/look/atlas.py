"""Where each triangle of a mesh lies on its texture: charts by xatlas, oriented, evenly scaled and packed."""

from dataclasses import dataclass

import numpy as np
import torch
import xatlas
from jaxtyping import Float, Int
from scipy.sparse import coo_matrix, diags
from torch import Tensor

SMOOTHING = 6
"""Rounds of smoothing before charts are sought: creases of cloth would shatter the atlas."""
CHART_COST = 1.0
NORMAL_DEVIATION, ROUNDNESS, STRAIGHTNESS = 2.0, 0.1, 1.0
"""Found by trial on clothed bodies and heads: few charts that stretch little."""
AT_ONCE = 32_000
"""Triangles that are cut into charts together; the time this takes grows with their square."""
CELLS = 1024
"""Charts are packed to this grid at the finest; more is slower and fills no better."""
GAP = 4
"""Texels between charts, so that bilinear filtering and two levels of mip maps do not mix them."""
LOOSE = 0.65
"""Share of the picture that charts usually fill."""
TRIALS, FULL = 6, 0.985
"""The charts are scaled and packed again until they take this share of the picture's width, so often at most."""
STRETCH_MOST = 8.0
"""A chart is not enlarged by more than this over the others to even out its stretch."""

Points = Float[np.ndarray, "vertex 3"]
Faces = Int[np.ndarray, "face 3"]
Corners = Float[np.ndarray, "face 3 2"]


@dataclass(frozen=True)
class Atlas:
    """A mesh cut open along its seams; (0, 0) is the upper left corner of the picture, (1, 1) the lower right one."""

    index: Int[Tensor, "cut"]
    """The vertex of the mesh that each vertex of the cut mesh is."""
    faces: Int[Tensor, "face 3"]
    """In the order of the mesh, on vertices of the cut mesh."""
    uv: Float[Tensor, "cut 2"]


def unwrapped(vertices: Float[Tensor, "vertex 3"], faces: Int[Tensor, "face 3"], size: int) -> Atlas:
    """Lay a mesh (metres) out on a square picture of `size` texels, no two triangles on the same place.

    Seen from outside, no chart is mirrored. About every square metre gets the same number of texels.
    """
    points, triangles = vertices.detach().cpu().double().numpy(), faces.cpu().numpy()
    index, cut, corners, chart = _charts(points, triangles)
    corners = _evened(corners, chart, points, triangles)
    uv = np.zeros((len(index), 2))
    uv[cut.reshape(-1)] = corners.reshape(-1, 2)
    taken, packed, uv = _packed(uv, cut, chart, size)
    whole = torch.from_numpy(index[taken]).to(faces)
    return Atlas(whole, torch.from_numpy(packed).to(faces), torch.from_numpy(uv).to(vertices))


def _charts(points: Points, faces: Faces) -> tuple[np.ndarray, Faces, Corners, Int[np.ndarray, "face"]]:
    """Vertices of the cut mesh, its triangles, where their corners lie in their chart, and the number of that chart."""
    pieces = _pieces(points[faces].mean(1), np.arange(len(faces)))
    parts = [np.unique(faces[rows], return_inverse=True) for rows in pieces]
    found = _found_by_xatlas(_smoothed(points, faces), [(used, own.reshape(-1, 3)) for used, own in parts])
    index, cut, corners = np.zeros(0, np.int64), np.zeros_like(faces), np.zeros((len(faces), 3, 2))
    chart = np.full(len(faces), -1)
    for piece, rows in enumerate(pieces):
        own, numbers, uv = found[piece]
        cut[rows] = numbers.astype(np.int64) + len(index)
        corners[rows] = uv.astype(np.float64)[numbers] * [found.width, found.height]
        index = np.concatenate([index, parts[piece][0][own]])
        for number in range(found.get_mesh_chart_count(piece)):
            chart[rows[np.asarray(found.get_mesh_chart(piece, number).faces, np.int64)]] = chart.max() + 1
    return _with_lone_faces(points, faces, index, cut, corners, chart)


def _found_by_xatlas(points: Points, pieces: list[tuple[np.ndarray, np.ndarray]]) -> xatlas.Atlas:
    """Charts of pieces of a mesh, each given by its vertices and its triangles on these."""
    found, options, packing = xatlas.Atlas(), xatlas.ChartOptions(), xatlas.PackOptions()
    for vertices, faces in pieces:
        found.add_mesh(points[vertices].astype(np.float32), faces.astype(np.uint32))
    options.max_cost, options.normal_deviation_weight, options.normal_seam_weight = CHART_COST, NORMAL_DEVIATION, 0.0
    options.roundness_weight, options.straightness_weight = ROUNDNESS, STRAIGHTNESS
    packing.resolution, packing.rotate_charts = CELLS, False
    found.generate(options, packing)
    return found


def _pieces(middles: Float[np.ndarray, "face 3"], rows: Int[np.ndarray, "piece"]) -> list[Int[np.ndarray, "_"]]:
    """Triangles in halves of halves across their longest extent, until each piece is small enough for xatlas."""
    if len(rows) <= AT_ONCE:
        return [rows]
    own = middles[rows]
    order = rows[np.argsort(own[:, np.ptp(own, axis=0).argmax()], kind="stable")]
    return [piece for half in np.array_split(order, 2) for piece in _pieces(middles, half)]


def _with_lone_faces(
    points: Points, faces: Faces, index: np.ndarray, cut: Faces, corners: Corners, chart: Int[np.ndarray, "face"]
) -> tuple[np.ndarray, Faces, Corners, Int[np.ndarray, "face"]]:
    """Triangles that got no chart, as those of specks that smoothing made vanish, get one each."""
    lone = np.flatnonzero(chart < 0)
    first, second, third = points[faces[lone]].transpose(1, 0, 2)
    along, across = second - first, third - first
    length = np.maximum(np.linalg.norm(along, axis=1), 1e-12)
    reach = (along * across).sum(1) / length
    height = np.linalg.norm(np.cross(along, across), axis=1) / length
    still = np.zeros_like(length)
    cut, corners, chart = cut.copy(), corners.copy(), chart.copy()
    corners[lone] = np.stack([still, still, length, still, reach, height], 1).reshape(-1, 3, 2)
    cut[lone] = len(index) + np.arange(3 * len(lone)).reshape(-1, 3)
    chart[lone] = chart.max(initial=-1) + 1 + np.arange(len(lone))
    return np.concatenate([index, faces[lone].reshape(-1)]), cut, corners, chart


def _smoothed(points: Points, faces: Faces) -> Points:
    """Each vertex drawn towards the middle of its neighbours, several times."""
    starts, ends = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    pairs = np.r_[starts, ends], np.r_[ends, starts]
    near = coo_matrix((np.ones(2 * len(starts)), pairs), shape=(len(points), len(points))).tocsr()
    near.data[:] = 1.0
    counts = np.asarray(near.sum(1)).reshape(-1)
    mean = diags(1 / np.maximum(counts, 1)) @ near
    for _ in range(SMOOTHING):
        points = np.where(counts[:, None] > 0, 0.5 * points + 0.5 * (mean @ points), points)
    return points


def _evened(corners: Corners, chart: Int[np.ndarray, "face"], points: Points, faces: Faces) -> Corners:
    """Charts scaled to the area that their triangles have on the mesh itself, and turned over where mirrored."""
    count = int(chart.max()) + 1
    flat = _signed_areas(corners)
    first, second, third = points[faces].transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(second - first, third - first), axis=1) / 2
    drawn = np.bincount(chart, np.abs(flat), count)
    scale = np.sqrt(np.bincount(chart, area, count) / np.maximum(drawn, 1e-12))
    usual = np.sqrt(area.sum() / max(float(drawn.sum()), 1e-12))
    scale = np.clip(scale, usual / STRETCH_MOST, usual * STRETCH_MOST)
    mirrored = np.bincount(chart, flat, count) > 0  # v points down in the picture, so that unmirrored ones are negative
    signs = np.stack([np.where(mirrored, -1.0, 1.0), np.ones(count)], 1)
    return corners * (scale[:, None] * signs)[chart][:, None]


def _signed_areas(corners: Corners) -> Float[np.ndarray, "face"]:
    along, across = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return (along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0]) / 2


def _packed(
    uv: Float[np.ndarray, "cut 2"], faces: Faces, chart: Int[np.ndarray, "face"], size: int
) -> tuple[np.ndarray, Faces, Float[np.ndarray, "packed 2"]]:
    """The charts without overlap in the unit square, as large as a few trials allow."""
    cells = min(size, CELLS)
    padding = -(-GAP * cells // size) if size >= 512 else max(1, size // 128)
    total = np.abs(_signed_areas(uv[faces])).sum()
    scale = float(np.sqrt(LOOSE * cells**2 / max(total, 1e-12)))
    trials = []
    for _ in range(TRIALS):
        side, mesh = _pack(uv * scale, faces, chart, padding)
        trials.append((side <= cells, scale / max(side, cells), max(side, cells), mesh))
        if FULL * cells <= side <= cells:
            break
        scale *= (1 + FULL) / 2 * cells / side
    _, _, side, (index, packed, placed) = max(trials, key=lambda trial: trial[:2])
    return index, packed, placed / side


def _pack(
    uv: Float[np.ndarray, "cut 2"], faces: Faces, chart: Int[np.ndarray, "face"], padding: int
) -> tuple[int, tuple[np.ndarray, Faces, np.ndarray]]:
    """The longer side of the picture (cells) that the charts take, and the mesh with its places on it."""
    atlas = xatlas.Atlas()
    atlas.add_uv_mesh(uv.astype(np.float32), faces.astype(np.uint32), chart.astype(np.uint32)[:, None])
    packing = xatlas.PackOptions()
    packing.padding, packing.texels_per_unit = padding, 1.0
    packing.rotate_charts, packing.bilinear = False, False
    atlas.generate(xatlas.ChartOptions(), packing)
    index, packed, placed = atlas[0]
    mesh = index.astype(np.int64), packed.astype(np.int64), placed * np.array([atlas.width, atlas.height], np.float32)
    return max(atlas.width, atlas.height), mesh
