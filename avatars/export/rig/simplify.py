"""A mesh within a budget of triangles: quadric edge collapse, then repairs of what that breaks."""

import fast_simplification
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from torch.nn.functional import normalize

from avatars.export.rig.options import FEWEST_FACES
from avatars.meshing import TriangleMesh
from body_models import InputError
from data_prep.surface import Surface

EAGERNESS = (4.0, 3.5, 4.5, 5.0, 7.0, 9.0)
"""How fast the collapse raises its threshold, patient first: another value gives another mesh where one is broken."""
UNFOLDING = 12
"""Rounds of smoothing about folded triangles."""
SPLITS = 32
"""Edges that are opened at most."""
FLAT = 1e-4
"""A triangle's height over its longest edge from which on it counts as one."""

Faces = Int[np.ndarray, "face 3"]


def simplified(vertices: Float[Tensor, "vertex 3"], faces: Int[Tensor, "face 3"], count: int) -> TriangleMesh:
    """A mesh of about `count` triangles, never more, near a given one; that one itself where the budget allows it.

    Edges collapse where it costs the least squared distance to the planes met so far (Garland and Heckbert, 1997), so
    that hands and faces keep more triangles than a back. Where the given mesh is a manifold, so is the result: faces
    that fell onto each other go, sheets that touch are parted, folds are smoothed away. Raises InputError for a budget
    below 200.
    """
    if count < FEWEST_FACES:
        raise InputError(
            f"A budget of {count} faces leaves no person to see; give at least {FEWEST_FACES} (30000 is usual)."
        )
    if len(faces) <= count:
        return TriangleMesh(vertices, faces)
    original, wanted = Surface(vertices, faces), int((_edge_sizes(faces.cpu().numpy()) == 1).sum())
    best, fewest = None, len(faces)
    for eagerness in EAGERNESS:
        mesh = _collapsed(vertices, faces, count, eagerness)
        excess = len(mesh.faces) - count
        if 0 < excess < count // 4:  # repairs add a few
            mesh = _collapsed(vertices, faces, count - 2 * excess, eagerness)
        if len(mesh.faces) > count:
            continue
        mesh, faults = _unfolded(mesh, original)
        sizes = _edge_sizes(mesh.faces.cpu().numpy())
        faults += int((sizes > 2).sum()) + max(0, int((sizes == 1).sum()) - wanted)
        if faults < fewest:
            best, fewest = mesh, faults
        if faults == 0:
            break
    if best is None:
        raise InputError(f"This mesh of {len(faces)} faces cannot be brought down to {count}; give a larger budget.")
    return best


def _collapsed(vertices: Tensor, faces: Tensor, count: int, eagerness: float) -> TriangleMesh:
    """One run of the collapse with its topology mended."""
    points, triangles = vertices.detach().cpu().double().numpy(), faces.cpu().numpy()
    points, triangles = fast_simplification.simplify(points, triangles, target_count=count, agg=eagerness)[:2]
    kept = _opened(*_parted(points, _without_pairs(triangles.astype(np.int64))))
    used, numbers = np.unique(kept[1], return_inverse=True)
    mesh = TriangleMesh(torch.from_numpy(kept[0][used]), torch.from_numpy(numbers.reshape(-1, 3)))
    return TriangleMesh(mesh.vertices.to(vertices), mesh.faces.to(faces))


def _without_pairs(faces: Faces) -> Int[np.ndarray, "left 3"]:
    """Without triangles that fell onto each other: of every two facing opposite ways neither is left, of equals one."""
    corners, size = np.sort(faces, 1), int(faces.max()) + 1
    keys, at, group = np.unique((corners[:, 0] * size + corners[:, 1]) * size + corners[:, 2], True, True)
    key, even = corners[at], _is_even(faces)
    balance = np.bincount(group, np.where(even, 1, -1), len(keys)).astype(int)
    first = np.full((2, len(keys)), -1)
    for side in (0, 1):
        rows = np.flatnonzero(even == bool(side))[::-1]
        first[side, group[rows]] = rows
    left = np.flatnonzero(balance)
    distinct = (key[left, 0] != key[left, 1]) & (key[left, 1] != key[left, 2])
    return faces[np.sort(first[(balance[left] > 0).astype(int), left][distinct])]


def _is_even(faces: Faces) -> Bool[np.ndarray, "face"]:
    """Whether a triangle's corners are an even permutation of the same corners in ascending order."""
    a, b, c = faces.T
    return ((a < b).astype(int) + (b < c) + (a < c)) % 2 == 1


def _parted(points: Float[np.ndarray, "vertex 3"], faces: Faces) -> tuple[np.ndarray, np.ndarray]:
    """The mesh with vertices doubled where several sheets touch at a vertex or along an edge.

    Corners of triangles stay one vertex only if one gets from one to the other over edges; at an edge of four
    triangles these are coupled by their angle about it.
    """
    starts, keys = faces.reshape(-1), _edge_keys(faces)
    order = np.argsort(keys, kind="stable")
    bounds = np.r_[0, np.flatnonzero(np.diff(keys[order])) + 1, len(order)]
    sizes = np.diff(bounds)
    simple = bounds[:-1][sizes == 2]
    couples = [np.stack([order[simple], order[simple + 1]], 1)]
    for begin, size in zip(bounds[:-1][sizes > 2], sizes[sizes > 2], strict=True):
        couples.append(_coupled(points, faces, order[begin : begin + size], starts))
    first, second = np.concatenate(couples).T
    same = starts[first] == starts[second]
    corner_of_end = _next(second)
    joined = (
        np.r_[first, _next(first)],
        np.r_[np.where(same, second, corner_of_end), np.where(same, corner_of_end, second)],
    )
    links = coo_matrix((np.ones(len(joined[0]), bool), joined), shape=(len(starts), len(starts)))
    count, label = connected_components(links, directed=False)
    place = np.empty(count, np.int64)
    place[label] = starts
    return points[place], label.reshape(-1, 3).astype(np.int64)


def _next(corner: Int[np.ndarray, "corner"]) -> Int[np.ndarray, "corner"]:
    """The following corner of the same triangle."""
    return np.where(corner % 3 == 2, corner - 2, corner + 1)


def _coupled(
    points: np.ndarray, faces: np.ndarray, sides: Int[np.ndarray, "side"], starts: np.ndarray
) -> Int[np.ndarray, "couple 2"]:
    """Sides of triangles that lie on one edge, two by two so that each couple bounds one wedge of what is inside.

    About the edge, a triangle that runs along it has its outside behind it, one that runs against it before it.
    """
    a, b = sorted((int(starts[sides[0]]), int(starts[_next(sides[:1])][0])))
    axis = points[b] - points[a]
    across = points[starts[_next(_next(sides))]] - points[a]
    first = across[0] - axis * (across[0] @ axis) / max(float(axis @ axis), 1e-30)
    second = np.cross(axis / max(float(np.linalg.norm(axis)), 1e-15), first)
    turned = sides[np.argsort(np.arctan2(across @ second, across @ first), kind="stable")]
    along = starts[turned] == a
    begin = int(np.argmax(~along & np.roll(along, 1)))
    turned, along = np.roll(turned, -begin), np.roll(along, -begin)
    return np.array(list(zip(turned[~along], turned[along], strict=False)), np.int64).reshape(-1, 2)


def _opened(points: Float[np.ndarray, "vertex 3"], faces: Faces) -> tuple[np.ndarray, np.ndarray]:
    """The mesh with edges of more than two triangles, where sheets meet at both ends, split on one of the sheets."""
    for _ in range(SPLITS):
        keys = _edge_keys(faces)
        edges, sizes = np.unique(keys, return_counts=True)
        if sizes.max() <= 2:
            break
        couples = _coupled(points, faces, np.flatnonzero(keys == edges[sizes.argmax()]), faces.reshape(-1))
        if len(couples) == 0:
            break
        points, faces = _split(points, faces, couples[0])
    return points, faces


def _split(points: np.ndarray, faces: np.ndarray, couple: Int[np.ndarray, "2"]) -> tuple[np.ndarray, np.ndarray]:
    """The mesh with a new vertex on the side that two triangles share, drawn a little towards their far corners."""
    starts, ends, far = (faces.reshape(-1)[side] for side in (couple, _next(couple), _next(_next(couple))))
    new = len(points)
    place = 0.75 * points[starts].mean(0) + 0.25 * points[far].mean(0)
    halves = [np.stack([starts, [new, new], far], 1), np.stack([[new, new], ends, far], 1)]
    kept = np.delete(faces, couple // 3, axis=0)
    return np.concatenate([points, place[None]]), np.concatenate([kept, *halves])


def _unfolded(mesh: TriangleMesh, original: Surface) -> tuple[TriangleMesh, int]:
    """The mesh with the corners of folded triangles moved among their neighbours, on the original surface.

    Also how many stayed folded.
    """
    starts, ends = mesh.faces.reshape(-1), mesh.faces.roll(-1, 1).reshape(-1)
    count = torch.bincount(torch.cat([starts, ends]), minlength=len(mesh.vertices))[:, None]
    folded = _folded(mesh, original)
    for _ in range(UNFOLDING):
        if not bool(folded.any()):
            break
        total = torch.zeros_like(mesh.vertices).index_add_(0, starts, mesh.vertices[ends])
        middle = total.index_add_(0, ends, mesh.vertices[starts]) / count
        moving = mesh.faces[folded].unique()
        vertices = mesh.vertices.clone()
        vertices[moving] = original.closest(0.5 * (middle + vertices)[moving]).point.to(vertices)
        mesh = TriangleMesh(vertices, mesh.faces)
        folded = _folded(mesh, original)
    return mesh, int(folded.sum())


def _folded(mesh: TriangleMesh, original: Surface) -> Bool[Tensor, "face"]:
    """Triangles without an area, or that look away from the original surface under them and from their neighbours."""
    corners = mesh.vertices[mesh.faces]
    first, second, third = corners.unbind(1)
    cross = torch.linalg.cross(second - first, third - first)
    longest = (corners - corners.roll(1, 1)).norm(dim=2).amax(1)
    flat = cross.norm(dim=1) <= FLAT * longest.square()
    around = torch.zeros_like(mesh.vertices).index_add_(0, mesh.faces.reshape(-1), cross.repeat_interleave(3, 0))
    near = normalize(around, dim=1)[mesh.faces].sum(1)
    under = original.face_normals[original.closest(corners.mean(1)).face].to(cross)
    return flat | ((cross * under).sum(1) < 0) & ((cross * near).sum(1) < 0)


def _edge_sizes(faces: Faces) -> Int[np.ndarray, "edge"]:
    """How many triangles each edge has."""
    return np.unique(_edge_keys(faces), return_counts=True)[1]


def _edge_keys(faces: Faces) -> Int[np.ndarray, "side"]:
    """One number for each side of each triangle, the same for all triangles on an edge."""
    starts, ends = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    return np.minimum(starts, ends) * (int(faces.max()) + 1) + np.maximum(starts, ends)
