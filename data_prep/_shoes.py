"""Shoes: the feet below the ankles replaced by lofts around their convex hulls, on soles."""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import ConvexHull, cKDTree

from data_prep._mesh_edit import Mesh, directed_edges

LEATHER = 0.005
"""Distance of the upper from the foot's hull (metres)."""
RIM = 0.009
SOLE = 0.015
"""Thickness of the sole below the foot (metres)."""


def put_on_shoes(mesh: Mesh, feet: Bool[np.ndarray, "face"]) -> tuple[Mesh, Bool[np.ndarray, "vertex"]]:
    """Replace the faces of both feet by shoes; returns the mesh and which of its vertices belong to a shoe.

    Values other than positions come from the nearest vertex of the foot.
    """
    edges = directed_edges(mesh.faces[feet])
    count = len(mesh.values)
    rim = edges[~np.isin(edges[:, 0] * count + edges[:, 1], edges[:, 1] * count + edges[:, 0])]
    foot_vertices = np.unique(mesh.faces[feet])
    values, faces = [mesh.values], [mesh.faces[~feet]]
    total = count
    for side in (1.0, -1.0):
        loop = _ordered_loop(rim[side * mesh.points[rim[:, 0], 0] > 0], mesh.points)
        foot = foot_vertices[side * mesh.points[foot_vertices, 0] > 0]
        points, shoe_faces = _loft(mesh.points[loop], mesh.points[foot])
        nearest = foot[cKDTree(mesh.points[foot]).query(points)[1]]
        values.append(np.concatenate([points, mesh.values[nearest, 3:]], axis=1))
        index = np.concatenate([loop, np.arange(total, total + len(points))])
        faces.append(index[shoe_faces])
        total += len(points)
    is_shoe = np.arange(total) >= count
    return _drop_unused(Mesh(np.concatenate(values), np.concatenate(faces)), is_shoe)


def _ordered_loop(edges: Int[np.ndarray, "edge 2"], points: Float[np.ndarray, "vertex 3"]) -> Int[np.ndarray, "loop"]:
    """Vertices of one closed chain of edges, from the rearmost on."""
    following = {int(start): int(end) for start, end in edges}
    loop = [min(following, key=lambda vertex: points[vertex, 2])]
    while following[loop[-1]] != loop[0]:
        loop.append(following[loop[-1]])
    return np.array(loop)


def _loft(
    collar: Float[np.ndarray, "loop 3"], foot: Float[np.ndarray, "vertex 3"]
) -> tuple[Float[np.ndarray, "new 3"], Int[np.ndarray, "face 3"]]:
    """New points and faces of one shoe under its collar; the faces count the collar's points first."""
    top, ground = float(collar[:, 1].min()), float(foot[:, 1].min())
    middle = (ground + 0.012 + top) / 2
    upper = [top, (3 * top + middle) / 4, (top + middle) / 2, (top + 3 * middle) / 4, middle]
    upper += list(np.linspace(middle, ground + 0.012, 4)[1:])
    levels = [(y, y, LEATHER, 1.0) for y in upper]
    levels += [(ground + 0.012, ground + 0.012, RIM, 1.0), (ground, ground + 0.012, RIM, 1.0)]
    levels += [(ground - SOLE, ground + 0.012, RIM, scale) for scale in (1.0, 0.7, 0.4)]
    planes = ConvexHull(foot).equations
    share = _arc_share(collar)
    turning = np.cross(collar - collar.mean(0), np.roll(collar, -1, axis=0) - collar.mean(0))[:, 1].sum()
    rings = [_ring(-np.sign(turning) * share, collar.mean(0), planes, *level) for level in levels]
    points = np.concatenate([*rings, rings[-1].mean(0, keepdims=True)])
    return points, _loft_faces(len(collar), len(rings) + 1)


def _ring(
    share: Float[np.ndarray, "loop"],
    ankle: Float[np.ndarray, "3"],
    planes: Float[np.ndarray, "plane 4"],
    height: float,
    slice_height: float,
    offset: float,
    scale: float,
) -> Float[np.ndarray, "loop 3"]:
    """One ring around the hull's horizontal slice, moved to a height; spaced evenly along the foot, heel first."""
    base = np.array([ankle[0], slice_height, ankle[2]])
    forward = np.array([[ankle[0], slice_height, ankle[2] + 1.0]]) - base
    length = 0.62 * float(_reach(base[None], forward, planes, 0.0)[0])
    turn, slide = _around_stadium(share)
    start = base + slide[:, None] * length * np.array([0.0, 0.0, 1.0])
    outward = np.stack([np.sin(turn), np.zeros_like(turn), -np.cos(turn)], axis=1)
    reach = _reach(start, outward, planes, offset)
    points = start + scale * reach[:, None] * outward
    points[:, 1] = height
    return points


def _around_stadium(
    share: Float[np.ndarray, "loop"],
) -> tuple[Float[np.ndarray, "loop"], Float[np.ndarray, "loop"]]:
    """Direction (radians from backwards) and position along the foot (0 to 1) of each share of the way around it."""
    way = np.abs(share) * 4  # quarter: heel to side, side, toes, side, side to heel
    turn = np.interp(
        way, [0.0, 0.6, 1.4, 2.0, 2.6, 3.4, 4.0], np.pi * np.array([0.0, 0.45, 0.55, 1.0, 1.45, 1.55, 2.0])
    )
    slide = np.interp(way, [0.0, 0.5, 1.5, 2.5, 3.5, 4.0], [0.0, 0.0, 1.0, 1.0, 0.0, 0.0])
    return np.copysign(turn, share), slide


def _reach(
    start: Float[np.ndarray, "ray 3"],
    outward: Float[np.ndarray, "ray 3"],
    planes: Float[np.ndarray, "plane 4"],
    offset: float,
) -> Float[np.ndarray, "ray"]:
    """Distance from inside a convex hull, grown by an offset, to its boundary."""
    slope, gap = outward @ planes[:, :3].T, offset - (start @ planes[:, :3].T + planes[:, 3])
    return np.where(slope > 1e-6, gap / np.maximum(slope, 1e-6), np.inf).min(1)


def _arc_share(loop: Float[np.ndarray, "loop 3"]) -> Float[np.ndarray, "loop"]:
    """Share of the loop's length before each of its points."""
    steps = np.linalg.norm(np.roll(loop, -1, axis=0) - loop, axis=1)
    return (np.cumsum(steps) - steps) / steps.sum()


def _loft_faces(count: int, rings: int) -> Int[np.ndarray, "face 3"]:
    """Faces between consecutive rings, the collar being the first, and a fan that closes the last."""
    here = np.arange(count)
    following = np.roll(here, -1)
    faces = []
    for ring in range(rings - 1):
        above, below = ring * count, (ring + 1) * count
        faces += [np.stack([above + here, above + following, below + following], 1)]
        faces += [np.stack([above + here, below + following, below + here], 1)]
    last = (rings - 1) * count
    faces.append(np.stack([last + here, last + following, np.full(count, rings * count)], 1))
    return np.concatenate(faces)


def _drop_unused(mesh: Mesh, flag: Bool[np.ndarray, "vertex"]) -> tuple[Mesh, Bool[np.ndarray, "kept"]]:
    kept = np.unique(mesh.faces)
    index = np.zeros(len(mesh.values), dtype=np.int64)
    index[kept] = np.arange(len(kept))
    return Mesh(mesh.values[kept], index[mesh.faces]), flag[kept]
