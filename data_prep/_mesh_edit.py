"""Edits of a closed triangle mesh with values at its vertices: split edges, cut along a level, extrude, smooth."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Mesh:
    """Triangles wound outward and one row of values a vertex, the position (metres) in the first three columns."""

    values: Float[np.ndarray, "vertex channel"]
    faces: Int[np.ndarray, "face 3"]

    @property
    def points(self) -> Float[np.ndarray, "vertex 3"]:
        """Vertex positions (metres)."""
        return self.values[:, :3]


def split_long_edges(mesh: Mesh, length: float, vertices: Bool[np.ndarray, "vertex"]) -> Mesh:
    """Halve each edge longer than `length` (metres) that touches a chosen vertex; neighbours stay joined."""
    edges = unique_edges(mesh.faces)
    lengths = np.linalg.norm(mesh.points[edges[:, 0]] - mesh.points[edges[:, 1]], axis=1)
    chosen = edges[(lengths > length) & vertices[edges].any(1)]
    return _split(mesh, chosen, np.full(len(chosen), 0.5))


def cut_along_zero(mesh: Mesh, channel: int, snap: float = 0.25) -> Mesh:
    """Make edges run along the zero level of one channel; vertices nearer than `snap` of an edge slide onto it."""
    edges = unique_edges(mesh.faces)
    values = mesh.values.copy()
    both = np.concatenate([edges, edges[:, ::-1]])
    start, end = values[both, channel].T
    share = np.where(start * end < 0, start / np.where(start == end, 1.0, start - end), np.inf)
    order = np.argsort(-share)
    slide = order[share[order] < snap]  # the nearest crossing of a vertex comes last and wins
    source, target = both[slide].T
    values[source] += share[slide, None] * (mesh.values[target] - mesh.values[source])
    values[source, channel] = 0.0
    start, end = values[edges, channel].T
    crossing = start * end < 0
    cut = _split(
        Mesh(values, mesh.faces), edges[crossing], (start / np.where(start == end, 1.0, start - end))[crossing]
    )
    cut.values[len(values) :, channel] = 0.0
    return cut


def extrude_faces(mesh: Mesh, chosen: Bool[np.ndarray, "face"], beside: Bool[np.ndarray, "face"]) -> Mesh:
    """Detach the chosen faces where they meet faces of `beside`; a ring of walls, still without height, joins them.

    The first faces of the result are the old ones, in order; the walls follow.
    """
    faces = mesh.faces[chosen]
    count = len(mesh.values)
    inner = directed_edges(faces)
    outer = directed_edges(mesh.faces[beside & ~chosen])
    rim = inner[np.isin(inner[:, 0] * count + inner[:, 1], outer[:, 1] * count + outer[:, 0])]
    original = np.unique(rim)
    copy_of = np.arange(count)
    copy_of[original] = count + np.arange(len(original))
    start, end = rim.T
    walls = [np.stack([start, end, copy_of[end]], 1), np.stack([start, copy_of[end], copy_of[start]], 1)]
    all_faces = np.concatenate([np.where(chosen[:, None], copy_of[mesh.faces], mesh.faces), *walls])
    return Mesh(np.concatenate([mesh.values, mesh.values[original]]), all_faces)


def directed_edges(faces: Int[np.ndarray, "face 3"]) -> Int[np.ndarray, "edge 2"]:
    """The three sides of each face in the order of its winding."""
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def unique_edges(faces: Int[np.ndarray, "face 3"]) -> Int[np.ndarray, "edge 2"]:
    """Each edge once, its smaller vertex first."""
    corners = np.sort(directed_edges(faces), axis=1)
    count = int(faces.max()) + 1
    keys = np.unique(corners[:, 0] * count + corners[:, 1])
    return np.stack([keys // count, keys % count], axis=1)


def neighbour_mean(faces: Int[np.ndarray, "face 3"], vertex_count: int) -> sparse.csr_matrix:
    """Matrix that replaces each vertex's value by the mean of its neighbours."""
    return mean_of(unique_edges(faces), vertex_count)


def mean_of(edges: Int[np.ndarray, "edge 2"], vertex_count: int) -> sparse.csr_matrix:
    """Matrix that replaces each vertex's value by the mean over the given edges; a vertex without one keeps its own."""
    ones = np.ones(len(edges))
    half = sparse.coo_matrix((ones, (edges[:, 0], edges[:, 1])), shape=(vertex_count, vertex_count))
    adjacency = (half + half.T).tocsr()
    degree = np.asarray(adjacency.sum(1)).ravel()
    return sparse.diags(1 / np.maximum(degree, 1)) @ adjacency + sparse.diags((degree == 0).astype(float))


def smooth(
    values: Float[np.ndarray, "vertex channel"],
    mean: sparse.csr_matrix,
    moving: Bool[np.ndarray, "vertex"],
    iterations: int,
) -> Float[np.ndarray, "vertex channel"]:
    """Laplacian smoothing of the moving vertices' values, the others held."""
    rows = mean[moving]
    values = values.copy()
    for _ in range(iterations):
        values[moving] = 0.5 * values[moving] + 0.5 * (rows @ values)
    return values


def low_pass(
    points: Float[np.ndarray, "vertex 3"],
    mean: sparse.csr_matrix,
    moving: Bool[np.ndarray, "vertex"],
    iterations: int,
) -> Float[np.ndarray, "vertex 3"]:
    """Take small relief off without shrinking.

    Taubin, "A signal processing approach to fair surface design", SIGGRAPH 1995.
    """
    rows = mean[moving]
    points = points.copy()
    for _ in range(iterations):
        for step in (0.5, -0.515):
            points[moving] += step * (rows @ points - points[moving])
    return points


def vertex_normals(
    points: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> Float[np.ndarray, "vertex 3"]:
    """Unit mean of the adjacent face normals, weighted by area."""
    corners = points[faces]
    crosses = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    columns = [np.bincount(faces.ravel(), np.repeat(crosses[:, axis], 3), len(points)) for axis in range(3)]
    normals = np.stack(columns, axis=1)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def _split(mesh: Mesh, edges: Int[np.ndarray, "edge 2"], share: Float[np.ndarray, "edge"]) -> Mesh:
    """Insert a vertex into each given edge, at a share of its length, and divide the faces around it."""
    count = len(mesh.values)
    order = np.argsort(edges[:, 0] * count + edges[:, 1])
    edges, share = edges[order], share[order, None]
    keys = np.append(edges[:, 0] * count + edges[:, 1], np.iinfo(np.int64).max)
    added = (1 - share) * mesh.values[edges[:, 0]] + share * mesh.values[edges[:, 1]]
    sides = np.sort(np.stack([mesh.faces, np.roll(mesh.faces, -1, axis=1)], axis=-1), axis=-1)
    side_keys = sides[..., 0] * count + sides[..., 1]
    found = np.searchsorted(keys, side_keys)
    middle = np.where(keys[found] == side_keys, count + found, -1)
    return Mesh(np.concatenate([mesh.values, added]), _divide_faces(mesh.faces, middle))


def _divide_faces(faces: Int[np.ndarray, "face 3"], middle: Int[np.ndarray, "face 3"]) -> Int[np.ndarray, "divided 3"]:
    """Triangles of the faces whose sides (corner i to i + 1) got a vertex `middle` (-1: none)."""
    split = middle >= 0
    marked = split.sum(1)
    # roll so that the one split side comes first, or the corner between the two split sides
    roll = np.where(
        marked == 1, split.argmax(1), np.where(marked == 2, (split & np.roll(split, 1, axis=1)).argmax(1), 0)
    )
    turned = (np.arange(3) + roll[:, None]) % 3
    a, b, c = np.take_along_axis(faces, turned, 1).T
    ab, bc, ca = np.take_along_axis(middle, turned, 1).T
    patterns = {
        0: [(a, b, c)],
        1: [(a, ab, c), (ab, b, c)],
        2: [(a, ab, ca), (ab, b, c), (ab, c, ca)],
        3: [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)],
    }
    pieces = [np.stack(t, 1)[marked == number] for number, triangles in patterns.items() for t in triangles]
    return np.concatenate(pieces)
