"""Pockets inside a scan that only a narrow slit opens: the mouth of a game character, a pouch, a closed fist."""

import math
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import label
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn.functional import normalize

from data_prep.scans import Scan
from data_prep.surface import Surface

SEEDS = 10_000
"""Points of the surface that look for a way out, a square metre."""
MOST_SEEDS = 100_000
RAYS = (4, 20)
"""Rays of a point; the later ones for those that the earlier ones left in the dark."""
LIFT = 0.0005
"""How far above the surface rays begin (metres)."""
BURIED = 0.002
"""Surface with the body's inside so far before it is covered by another part, no wall of a pocket (metres)."""
LINK = 0.025
"""Dark points nearer than this are of one pocket (metres)."""
FEWEST = 8
"""Dark points of a pocket: about as many square centimetres."""
WIDE = 0.01
"""Creases narrower than this are no pockets (metres)."""
MARGIN = 0.02
"""How far about a pocket the way out is looked for (metres)."""
SPACING = 0.004
"""Slits narrower than this are shut; those from about three times this are open (metres)."""
MOST_NODES = 300_000
"""Pockets that need more places to be looked at than this (20 cm across) are left alone."""

CHECKED = 500
"""Places of a pocket that must have become inside."""


def without_pockets(surface: Surface) -> Surface:
    """The surface without the walls of its pockets, whose space then counts as inside; itself where it has none.

    A pocket is empty space at least `WIDE` across from which nothing as thick as `SPACING` gets out. What the walls
    enclosed besides (teeth, a tongue) goes with them.
    """
    count = min(math.ceil(SEEDS * float(surface.face_areas.sum())), MOST_SEEDS)
    seeds = surface.sample(count, torch.Generator(surface.device).manual_seed(0))
    dark = _is_dark(surface, seeds.points, seeds.normals).nonzero()[:, 0]
    points, normals = seeds.points[dark], seeds.normals[dark]
    across = surface.cast(points + LIFT * normals, normals).distance
    walls = (across > WIDE) & ~surface.inside(points + BURIED * normals)
    closed = surface
    for group in _groups(points[walls]):
        space = enclosed_space(surface, group)
        if len(space) == 0:
            continue
        shut = _walls(closed, space)
        if bool(shut.all()):
            continue
        candidate = Surface(closed.vertices, closed.faces[~shut])
        if bool(candidate.inside(space[:: 1 + len(space) // CHECKED]).all()):
            closed = candidate
    return closed


def full_scan(scan: Scan) -> Scan:
    """A scan without the walls of its pockets and what only they used; colours stay as they are."""
    vertices, faces = torch.as_tensor(scan.vertices), torch.as_tensor(scan.faces, dtype=torch.int64)
    kept = without_pockets(Surface(vertices, faces)).faces
    used, numbers = torch.unique(kept, return_inverse=True)
    return replace(scan, vertices=scan.vertices[used.numpy()], faces=numbers.numpy())


def enclosed_space(surface: Surface, walls: Float[Tensor, "wall 3"]) -> Float[Tensor, "place 3"]:
    """Places on a grid about points of a pocket's walls from which there is no way out; none where it is open."""
    lower, upper = walls.amin(0) - MARGIN, walls.amax(0) + MARGIN
    axes = [torch.arange(float(low), float(high), SPACING) for low, high in zip(lower, upper, strict=True)]
    shape = tuple(len(axis) for axis in axes)
    if shape[0] * shape[1] * shape[2] > MOST_NODES:
        return walls.new_zeros(0, 3)
    nodes = torch.cartesian_prod(*axes).to(walls)
    distance = surface.signed_distance(nodes)
    parts = torch.from_numpy(label((distance > SPACING / 2).reshape(shape).cpu().numpy())[0]).to(walls.device)
    border = [parts.select(axis, end).reshape(-1) for axis in range(3) for end in (0, -1)]
    wide = torch.unique(parts.reshape(-1)[distance > WIDE / 2])
    kept = wide[~torch.isin(wide, torch.cat(border)) & (wide > 0)]
    return nodes[torch.isin(parts.reshape(-1), kept)]


def _is_dark(
    surface: Surface, points: Float[Tensor, "point 3"], normals: Float[Tensor, "point 3"]
) -> Bool[Tensor, "point"]:
    """Whether no ray from the points gets away."""
    generator = torch.Generator(points.device).manual_seed(0)
    dark = torch.ones(len(points), dtype=torch.bool, device=points.device)
    for rays in RAYS:
        rows = dark.nonzero()[:, 0].repeat_interleave(rays)
        turns = normalize(torch.randn(len(rows), 3, generator=generator, device=points.device), dim=-1)
        directions = normalize(normals[rows] + 0.99 * turns, dim=-1)
        hits = surface.cast(points[rows] + LIFT * normals[rows], directions)
        dark[rows[hits.face < 0]] = False
    return dark


def _groups(points: Float[Tensor, "point 3"]) -> list[Float[Tensor, "_ 3"]]:
    """Points of a pocket each: those near to one another."""
    if len(points) == 0:
        return []
    pairs = cKDTree(points.cpu().numpy()).query_pairs(LINK, output_type="ndarray")
    labels = _connected(torch.from_numpy(pairs), len(points)).to(points.device)
    large = (labels.bincount() >= FEWEST).nonzero()[:, 0]
    return [points[labels == number] for number in large]


def _walls(surface: Surface, space: Float[Tensor, "place 3"]) -> Bool[Tensor, "face"]:
    """Faces before which the space lies, and the dark ones that hang together with them."""
    centres, normals = surface.vertices[surface.faces].mean(1), surface.face_normals
    near = ((centres > space.amin(0) - MARGIN) & (centres < space.amax(0) + MARGIN)).all(1).nonzero()[:, 0]
    before = centres[near] + SPACING * normals[near]
    distance = cKDTree(space.cpu().numpy()).query(before.cpu().numpy(), distance_upper_bound=SPACING)[0]
    bounding = torch.from_numpy(distance <= SPACING).to(near.device)
    shaded = near[bounding | _is_dark(surface, centres[near], normals[near])]
    corners = surface.faces[shaded]
    labels = _connected(torch.cat([corners[:, :2], corners[:, 1:]]).cpu(), len(surface.vertices)).to(near.device)
    walls = torch.zeros(len(surface.faces), dtype=torch.bool, device=near.device)
    walls[shaded] = torch.isin(labels[corners[:, 0]], labels[surface.faces[near[bounding], 0]])
    return walls


def _connected(pairs: Int[Tensor, "pair 2"], count: int) -> Int[Tensor, "node"]:
    """The number of the connected part of each node of a graph."""
    ends = pairs.numpy()
    graph = coo_matrix((torch.ones(len(ends)).numpy(), (ends[:, 0], ends[:, 1])), shape=(count, count))
    return torch.from_numpy(connected_components(graph, directed=False)[1]).long()
