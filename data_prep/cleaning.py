"""Repair a raw scan just enough for fitting: merged corners, sound faces, outward winding, one person."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import trimesh
from jaxtyping import Bool, Float, Int
from scipy.ndimage import label
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from body_models.errors import InputError
from data_prep.mesh_files import RawMesh

MIN_FACES = 100
MAX_BROKEN_SHARE = 0.01
MERGE_TOLERANCE = 1e-6
"""Corners nearer than this share of the bounding diagonal are one vertex: 2 micrometres on a person."""
FLOATER_AREA = 1e-3
FLOATER_GAP = 0.05
PERSON_GAP = 0.01
"""Pieces nearer than one to two of these shares of the bounding diagonal belong together."""
PERSON_AREA = 0.3


def clean(mesh: RawMesh) -> tuple[RawMesh, list[str]]:
    """Return the mesh fit for use, and one plain note for each thing that was changed (any unit, any axes).

    Raises InputError for a mesh that is no scan: hardly any faces, no extent, broken numbers, two people.
    """
    notes: list[str] = []
    vertices, faces = _drop_broken(mesh, notes)
    _check_size(mesh.name, vertices, faces)
    vertices, faces = _drop_unreferenced(vertices, faces)
    vertices, faces = merge_vertices(vertices, faces)
    faces = _drop_bad_faces(vertices, faces, notes)
    vertices, faces = _drop_floaters(vertices, faces, notes)
    faces = orient(vertices, faces, notes)
    vertices, faces = _drop_unreferenced(vertices, faces)
    _check_size(mesh.name, vertices, faces)
    if count_people(vertices, faces) > 1:
        raise InputError(f"{mesh.name}: seems to hold two people or more; split it: one file for each person and pose")
    merged = len(mesh.vertices) - len(vertices)
    if merged:
        notes.insert(0, f"merged or dropped {merged:,} duplicate or unused vertices")
    return replace(mesh, vertices=vertices, faces=faces), notes


def merge_vertices(
    vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> tuple[Float[np.ndarray, "merged 3"], Int[np.ndarray, "face 3"]]:
    """Make corners at the same place one vertex, as files with a vertex per corner need."""
    low, high = np.percentile(vertices, (1, 99), axis=0)  # stray points must not coarsen the grid
    cell = MERGE_TOLERANCE * float(np.linalg.norm(high - low))
    if cell == 0:
        return vertices, faces
    quantised = np.rint(np.clip((vertices - low) / cell, -1e15, 1e15)).astype(np.int64)
    kept, inverse = trimesh.grouping.unique_rows(quantised)
    return vertices[kept], inverse[faces]


def orient(
    vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"], notes: list[str]
) -> Int[np.ndarray, "face 3"]:
    """Wind neighbouring faces alike and the surface outwards.

    Outwards is decided once for the whole mesh by its signed volume; on its own only a closed part that lies
    beside everything else turns, for one inside something may be a true cavity, like a mouth.
    """
    pairs, agree, open_faces = _face_pairs(faces)
    parts, flip = _consistent_flips(len(faces), pairs, agree)
    faces = np.where(flip[:, None], faces[:, ::-1], faces)
    inside_out = _signed_volumes(vertices, faces, np.zeros(len(faces), np.int64))[0] < 0
    if inside_out:
        faces = faces[:, ::-1].copy()
        notes.append("turned the whole surface: it was inside out")
    inverted = _inverted_parts(vertices, faces, parts, open_faces)
    faces = np.where(inverted[parts][:, None], faces[:, ::-1], faces)
    if flip.any() or inverted.any():
        count = int((flip ^ inverted[parts]).sum())
        notes.append(f"turned {count:,} faces wound against their neighbours or inside out")
    return faces


def count_people(vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]) -> int:
    """Number of person-like groups of parts standing side by side, at least 1 (any unit, Y or Z up).

    Parts close together are one group, so a person cut into many pieces counts once. Groups count as people when
    they have comparable area, stand apart along one axis, and each is tall along another.
    """
    groups = _proximity_groups(vertices, faces, PERSON_GAP)
    areas = np.bincount(groups[faces[:, 0]], weights=_areas(vertices, faces))
    large = np.flatnonzero(areas >= PERSON_AREA * areas.max())
    boxes = [np.stack([vertices[groups == group].min(0), vertices[groups == group].max(0)]) for group in large]
    whole = np.ptp(vertices, axis=0)
    separate = {index for pair in combinations(range(len(boxes)), 2) if _apart(boxes, pair, whole) for index in pair}
    return max(len(separate), 1)


def _apart(boxes: list[Float[np.ndarray, "2 3"]], pair: tuple[int, int], whole: Float[np.ndarray, "3"]) -> bool:
    """Whether two boxes stand side by side as two people would, for either guess of the up axis."""
    (low_a, high_a), (low_b, high_b) = boxes[pair[0]], boxes[pair[1]]
    size_a, size_b = high_a - low_a, high_b - low_b
    overlap = np.minimum(high_a, high_b) - np.maximum(low_a, low_b)
    beside = overlap <= 0.25 * np.minimum(size_a, size_b)
    for up in (1, 2):
        tall = min(size_a[up] / size_a.max(), size_b[up] / size_b.max()) >= 0.6
        full = min(size_a[up], size_b[up]) >= 0.55 * whole[up]
        if tall and full and beside[[0, 3 - up]].any():
            return True
    return False


def _drop_broken(mesh: RawMesh, notes: list[str]) -> tuple[Float[np.ndarray, "vertex 3"], Int[np.ndarray, "face 3"]]:
    broken = ~np.isfinite(mesh.vertices).all(1)
    share = float(broken.mean()) if len(broken) else 0.0
    if share > MAX_BROKEN_SHARE:
        raise InputError(f"{mesh.name}: {share:.0%} of its vertices are not finite numbers; export the scan again")
    if not broken.any():
        return mesh.vertices, mesh.faces
    notes.append(f"dropped {int(broken.sum()):,} vertices that are not finite numbers, with their faces")
    return _drop_unreferenced(mesh.vertices, mesh.faces[~broken[mesh.faces].any(1)])


def _check_size(name: str, vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]) -> None:
    if len(faces) < MIN_FACES:
        raise InputError(f"{name}: only {len(faces)} sound faces; a body scan has thousands. Check what was exported")
    used = vertices[np.unique(faces)]
    spread = np.linalg.svd(used - used.mean(0), compute_uv=False)
    if spread[-1] <= 1e-6 * spread[0]:
        raise InputError(f"{name}: flat or without extent; export the surface of the whole body")


def _areas(vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]) -> Float[np.ndarray, " face"]:
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)


def _drop_bad_faces(
    vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"], notes: list[str]
) -> Int[np.ndarray, "kept 3"]:
    extents = np.ptp(np.percentile(vertices, (1, 99), axis=0), axis=0)
    sound = faces[_areas(vertices, faces) > MERGE_TOLERANCE**2 * float(extents @ extents)]
    kept = sound[np.sort(trimesh.grouping.unique_rows(np.sort(sound, axis=1))[0])]
    if len(kept) < len(faces):
        notes.append(f"dropped {len(faces) - len(kept):,} degenerate or duplicate faces")
    return kept


def _drop_floaters(
    vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"], notes: list[str]
) -> tuple[Float[np.ndarray, "used 3"], Int[np.ndarray, "kept 3"]]:
    vertices, faces = _drop_unreferenced(vertices, faces)
    if len(faces) == 0:
        return vertices, faces
    groups = _proximity_groups(vertices, faces, FLOATER_GAP)[faces[:, 0]]
    areas = np.bincount(groups, weights=_areas(vertices, faces))
    tiny = (areas < FLOATER_AREA * areas.sum()) & (areas > 0)
    if not tiny.any():
        return vertices, faces
    notes.append(f"dropped {int(tiny.sum()):,} tiny parts floating far from the body")
    return _drop_unreferenced(vertices, faces[~tiny[groups]])


def _drop_unreferenced(
    vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> tuple[Float[np.ndarray, "used 3"], Int[np.ndarray, "face 3"]]:
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    return vertices[used], (np.cumsum(used) - 1)[faces]


def _proximity_groups(
    vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"], gap: float
) -> Int[np.ndarray, " vertex"]:
    """Group of each vertex: joined by a face, or by a voxel grid whose cells are `gap` of the diagonal wide."""
    low = vertices.min(0)
    cells = ((vertices - low) / (gap * np.linalg.norm(np.ptp(vertices, axis=0)))).astype(np.int64)
    occupied = np.zeros(cells.max(0) + 1, bool)
    occupied[tuple(cells.T)] = True
    blob = label(occupied, structure=np.ones((3, 3, 3)))[0][tuple(cells.T)].astype(np.int64) - 1
    count = int(blob.max()) + 1
    pairs = np.concatenate([blob[faces[:, :2]], blob[faces[:, 1:]]])
    links = coo_matrix((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(links, directed=False)[1].astype(np.int64)[blob]


def _face_pairs(
    faces: Int[np.ndarray, "face 3"],
) -> tuple[Int[np.ndarray, "pair 2"], Bool[np.ndarray, " pair"], Int[np.ndarray, " open"]]:
    """Faces sharing an edge that has just the two, whether they are wound alike, and faces at all other edges."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    owner = np.tile(np.arange(len(faces)), 3)
    forward = edges[:, 0] < edges[:, 1]
    key = edges.min(1) * (int(faces.max()) + 1) + edges.max(1)
    order = np.argsort(key, kind="stable")
    _, start, uses = np.unique(key[order], return_index=True, return_counts=True)
    first = order[start[uses == 2]]
    second = order[start[uses == 2] + 1]
    open_faces = owner[order[np.repeat(uses != 2, uses)]]
    return np.stack([owner[first], owner[second]], axis=1), forward[first] != forward[second], np.unique(open_faces)


def _consistent_flips(
    face_count: int, pairs: Int[np.ndarray, "pair 2"], agree: Bool[np.ndarray, " pair"]
) -> tuple[Int[np.ndarray, " face"], Bool[np.ndarray, " face"]]:
    """Connected part of each face, and which faces to turn so that each part is wound alike.

    Works on the double cover: each face appears as itself and as its mirror, and a pair wound against each other
    links face to mirror. A part falls into two sheets; the faces outside its larger one turn. A part that falls into
    one sheet has no outside (a Moebius strip) and stays.
    """
    mirror = face_count
    a, b = pairs.T
    other = np.where(agree, b, b + mirror)
    links = np.stack([np.concatenate([a, a + mirror]), np.concatenate([other, (other + mirror) % (2 * mirror)])])
    graph = coo_matrix((np.ones(links.shape[1], np.int8), (links[0], links[1])), shape=(2 * mirror, 2 * mirror))
    sheet = connected_components(graph, directed=False)[1].astype(np.int64)
    own, mirrored = sheet[:mirror], sheet[mirror:]
    parts = np.unique(np.minimum(own, mirrored), return_inverse=True)[1].reshape(-1)
    in_low = own < mirrored
    low_count, high_count = np.bincount(parts, weights=in_low), np.bincount(parts, weights=own > mirrored)
    flip = np.where((low_count >= high_count)[parts], own > mirrored, in_low)
    return parts.astype(np.int64), flip


def _signed_volumes(
    vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"], parts: Int[np.ndarray, " face"]
) -> Float[np.ndarray, " part"]:
    """Volume that each part encloses about the middle of the surface: positive when it is wound outwards."""
    areas = _areas(vertices, faces)
    middle = (vertices[faces].mean(1) * areas[:, None]).sum(0) / areas.sum()
    a, b, c = (vertices[faces[:, corner]] - middle for corner in range(3))
    return np.bincount(parts, weights=np.einsum("fi,fi->f", a, np.cross(b, c)) / 6)


def _inverted_parts(
    vertices: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
    parts: Int[np.ndarray, " face"],
    open_faces: Int[np.ndarray, " open"],
) -> Bool[np.ndarray, " part"]:
    """Closed parts wound inwards that stick out of the bounding box of every larger part."""
    volumes = _signed_volumes(vertices, faces, parts)
    closed = np.ones(len(volumes), bool)
    closed[parts[open_faces]] = False
    inverted = closed & (volumes < 0)
    if not inverted.any():
        return inverted
    corners = vertices[faces]
    low, high = np.full((len(volumes), 3), np.inf), np.full((len(volumes), 3), -np.inf)
    np.minimum.at(low, parts, corners.min(1))
    np.maximum.at(high, parts, corners.max(1))
    for part in np.flatnonzero(inverted):
        within = ((low <= low[part]) & (high >= high[part])).all(1)
        within[part] = False
        inverted[part] = not within.any()
    return inverted
