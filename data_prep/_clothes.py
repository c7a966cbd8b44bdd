"""Clothes as real geometry on a body at rest: T-shirt, trousers, shoes and short hair on one closed surface."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import scipy.sparse as sparse
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse.csgraph import connected_components

from body_models.body import Body
from data_prep._mesh_edit import (
    Mesh,
    cut_along_zero,
    extrude_faces,
    low_pass,
    mean_of,
    neighbour_mean,
    smooth,
    split_long_edges,
    unique_edges,
    vertex_normals,
)
from data_prep._shoes import put_on_shoes
from data_prep.surface import Surface

EDGE_LENGTH = 0.014
"""Longest edge on clothed parts (metres): fine enough for folds of a few centimetres."""
CLEARANCE = 0.003
"""Clothes keep at least this far from the skin (metres)."""


class Part(IntEnum):
    """What covers a vertex."""

    SKIN = 0
    SHIRT = 1
    TROUSERS = 2
    SHOES = 3
    HAIR = 4


@dataclass(frozen=True)
class Garments:
    """The clothed surface at rest (metres)."""

    points: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    weights: Float[np.ndarray, "vertex bone"]
    normals: Float[np.ndarray, "vertex 3"]
    part: Int[np.ndarray, "vertex"]


def dress(body: Body, random: np.random.Generator) -> Garments:
    """Cover a body at rest with clothes; the folds are random."""
    mesh = _outer_skin(body)
    for _ in range(3):
        mesh = split_long_edges(mesh, EDGE_LENGTH, is_coarse(mesh, body))
    mesh, part = _cut_garments(_soften(mesh, body), body)
    mean = neighbour_mean(mesh.faces, len(mesh.values))
    weights = smooth(mesh.values[:, 3:], mean, part != Part.SKIN, 30)
    covered = (part != Part.SKIN) & (part != Part.SHOES)
    skin = Mesh(low_pass(mesh.points, mean, covered & (mean @ covered > 0.999), 80), mesh.faces)
    normals = smooth_normals(skin, part, mean)
    points = _drape(skin, part, normals, body, random, mean)
    return Garments(points, mesh.faces, weights / weights.sum(1, keepdims=True), normals, part)


def _outer_skin(body: Body) -> Mesh:
    """The largest connected part of the body, its mouth and eye sockets closed by a smooth sheet."""
    points, faces = body.vertices.double().numpy(), body.faces.numpy()
    values = np.concatenate([points, body.skinning_weights.double().numpy()], axis=1)
    hidden = is_hidden(body)
    mean = neighbour_mean(faces, len(points))
    _, component = connected_components(mean, directed=False)
    values[:, :3] = smooth(points, mean, hidden, 400)
    kept = component == np.bincount(component).argmax()
    index = np.cumsum(kept) - 1
    return Mesh(values[kept], index[faces[kept[faces[:, 0]]]])


def is_hidden(body: Body) -> Bool[np.ndarray, "vertex"]:
    """Head vertices from which next to no ray reaches the open: mouth, eye sockets, nostrils."""
    surface = Surface(body.vertices, body.faces)
    head = (body.skinning_weights[:, body.skeleton.index("head")] > 0.5).nonzero()[:, 0]
    directions = torch.randn(48, 3, generator=torch.Generator().manual_seed(0))
    directions = directions / directions.norm(dim=1, keepdim=True)
    normals = surface.vertex_normals[head]
    outward = directions * (normals @ directions.T).sign()[..., None]
    origins = (body.vertices[head] + 5e-4 * normals)[:, None].expand(outward.shape)
    distance = surface.cast(origins.reshape(-1, 3), outward.reshape(-1, 3)).distance.reshape(len(head), -1)
    hidden = np.zeros(len(body.vertices), dtype=bool)
    hidden[head.numpy()] = (distance.isinf().float().mean(1) < 0.06).numpy()
    return hidden


def bone_share(values: Float[np.ndarray, "vertex channel"], body: Body, *names: str) -> Float[np.ndarray, "vertex"]:
    """Share of the given bones (on both sides) in each vertex's skinning weights."""
    return sum(
        (values[:, 3 + i] for i, joint in enumerate(body.skeleton.joint_names) if joint.split("_")[-1] in names),
        np.zeros(len(values)),
    )


def is_coarse(mesh: Mesh, body: Body) -> Bool[np.ndarray, "vertex"]:
    """What clothes may cover: all but the face and the hands."""
    face = (bone_share(mesh.values, body, "head") > 0.5) & (_hair(mesh, body) < -0.01)
    return ~face & (bone_share(mesh.values, body, "hand", "wrist") < 0.5)


def _soften(mesh: Mesh, body: Body) -> Mesh:
    """Round the facets that halving long edges left."""
    moving = is_coarse(mesh, body)
    points = low_pass(mesh.points, neighbour_mean(mesh.faces, len(mesh.values)), moving, 4)
    return Mesh(np.concatenate([points, mesh.values[:, 3:]], axis=1), mesh.faces)


def _cut_garments(mesh: Mesh, body: Body) -> tuple[Mesh, Int[np.ndarray, "vertex"]]:
    """Cut the skin along all hems and detach the covered parts; returns the mesh and each vertex's part."""
    part = np.full(len(mesh.values), int(Part.SKIN))
    for kind, field in {Part.SHIRT: _shirt, Part.TROUSERS: _trousers, Part.HAIR: _hair}.items():
        mesh, part, chosen = cut(mesh, part, field(mesh, body))
        mesh = extrude_faces(mesh, chosen, (part[mesh.faces] == Part.SKIN).all(1))
        part = np.pad(part, (0, len(mesh.values) - len(part)), constant_values=int(kind))
        part[mesh.faces[: len(chosen)][chosen]] = kind
    mesh, part, chosen = cut(mesh, part, feet(mesh, body))
    used = np.unique(mesh.faces[~chosen])
    mesh, is_shoe = put_on_shoes(mesh, chosen)
    return mesh, np.concatenate([part[used], np.full(is_shoe.sum(), int(Part.SHOES))])


def cut(
    mesh: Mesh, part: Int[np.ndarray, "vertex"], level: Float[np.ndarray, "vertex"]
) -> tuple[Mesh, Int[np.ndarray, "cut_vertex"], Bool[np.ndarray, "face"]]:
    """Cut bare skin along the zero of a level; returns the mesh, its parts and the bare faces with a positive level."""
    level = np.where(part == Part.SKIN, level, 0.0)  # zero is neutral: cuts nothing
    cut = cut_along_zero(Mesh(np.concatenate([mesh.values, level[:, None]], axis=1), mesh.faces), -1)
    part = np.pad(part, (0, len(cut.values) - len(part)), constant_values=int(Part.SKIN))
    corners = cut.values[cut.faces, -1]
    bare = (part[cut.faces] == Part.SKIN).all(1)
    return Mesh(cut.values[:, :-1], cut.faces), part, bare & (corners.min(1) >= 0) & (corners.max(1) > 0)


def _shirt(mesh: Mesh, body: Body) -> Float[np.ndarray, "vertex"]:
    """Signed distance to the hems of the T-shirt, positive within (metres)."""
    joint = joints(body)
    x, y, z = mesh.points.T
    neck = joint["neck"]
    torso = np.minimum(y - (joint["pelvis"][1] - 0.035), (neck[1] - 0.005 - y) - 0.65 * (z - neck[2]))
    start, end = joint["left_shoulder"], joint["left_elbow"]
    along = (end - start) / np.linalg.norm(end - start)
    mirrored = np.stack([np.abs(x), y, z], axis=1)
    sleeve = 0.72 * np.linalg.norm(end - start) - (mirrored - start) @ along
    arm = bone_share(mesh.values, body, "shoulder", "elbow", "wrist", "hand") > 0.5
    return np.where(arm, sleeve, torso)


def _trousers(mesh: Mesh, body: Body) -> Float[np.ndarray, "vertex"]:
    """Height above the trousers' hems; negative on the upper body."""
    leg = bone_share(mesh.values, body, "pelvis", "hip", "knee", "ankle", "foot", "spine1") > 0.5
    return np.where(leg, mesh.points[:, 1] - (joints(body)["left_ankle"][1] + 0.03), -1.0)


def feet(mesh: Mesh, body: Body) -> Float[np.ndarray, "vertex"]:
    """Depth below the ankles (metres)."""
    return joints(body)["left_ankle"][1] + 0.002 - mesh.points[:, 1]


def _hair(mesh: Mesh, body: Body) -> Float[np.ndarray, "vertex"]:
    """Height above a plane from the forehead down to the nape, and above the nape."""
    y, z = mesh.points[:, 1], mesh.points[:, 2]
    top, _, ear_z = skull(mesh.points, body)
    plane = (y - (top - 0.098)) - 0.6 * (z - ear_z)
    return np.minimum(plane, y - (top - 0.2))


def skull(points: Float[np.ndarray, "vertex 3"], body: Body) -> tuple[float, float, float]:
    """Height of the crown, and the depths of the back of the head and of its middle."""
    joint = joints(body)["head"]
    crown = points[points[:, 1] > joint[1] + 0.02]
    back, front = crown[:, 2].min(), crown[:, 2].max()
    return float(points[:, 1].max()), float(back), float(0.55 * back + 0.45 * front)


def joints(body: Body) -> dict[str, Float[np.ndarray, "3"]]:
    """The joints at rest by name (metres)."""
    return dict(zip(body.skeleton.joint_names, body.joints.double().numpy(), strict=True))


def smooth_normals(
    skin: Mesh, part: Int[np.ndarray, "vertex"], mean: sparse.csr_matrix
) -> Float[np.ndarray, "vertex 3"]:
    """Unit directions in which clothes stand off the skin, without its small relief."""
    normals = smooth(vertex_normals(skin.points, skin.faces), mean, part != Part.SKIN, 12)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def _drape(
    skin: Mesh,
    part: Int[np.ndarray, "vertex"],
    normals: Float[np.ndarray, "vertex 3"],
    body: Body,
    random: np.random.Generator,
    mean: sparse.csr_matrix,
) -> Float[np.ndarray, "vertex 3"]:
    """Hang the clothes: they bridge hollows, stand off where they are loose, and fold."""
    covered = (part != Part.SKIN) & (part != Part.SHOES)
    ease, fold = _looseness(skin.points, part, body)
    within = mean_within(skin.faces, covered, part)
    height = smooth((bridge(skin, normals, covered, mean) + ease)[:, None], within, covered, 6)[:, 0]
    height += fold * fold_pattern(skin.points, random, wavelength=0.1)
    height = np.minimum(np.maximum(height, CLEARANCE), room(skin, normals, covered))
    hem = covered & (mean @ covered < 0.999)
    offset = (height * covered)[:, None] * normals
    offset = smooth(offset, mean_within(skin.faces, hem, part), hem, 20)
    points = smooth(skin.points + offset, mean, covered & ~hem, 3)
    lack = CLEARANCE - ((points - skin.points) * normals).sum(1)
    return points + (np.maximum(lack, 0.0) * covered)[:, None] * normals


def bridge(
    skin: Mesh,
    normals: Float[np.ndarray, "vertex 3"],
    covered: Bool[np.ndarray, "vertex"],
    mean: sparse.csr_matrix,
) -> Float[np.ndarray, "vertex"]:
    """Height of a taut cloth over the skin: nothing on bulges, centimetres over hollows (metres)."""
    height = np.zeros(len(normals))
    for _ in range(60):
        taut = smooth(skin.points + height[:, None] * normals, mean, covered, 3)
        height = np.clip(((taut - skin.points) * normals).sum(1), 0.0, 0.05)
    return height


def mean_within(
    faces: Int[np.ndarray, "face 3"], chosen: Bool[np.ndarray, "vertex"], part: Int[np.ndarray, "vertex"]
) -> sparse.csr_matrix:
    """Mean over the neighbours that are chosen too and of the same part: smooths along a hem, never across it."""
    edges = unique_edges(faces)
    kept = edges[chosen[edges].all(1) & (part[edges[:, 0]] == part[edges[:, 1]])]
    return mean_of(kept, len(chosen))


def _looseness(
    points: Float[np.ndarray, "vertex 3"], part: Int[np.ndarray, "vertex"], body: Body
) -> tuple[Float[np.ndarray, "vertex"], Float[np.ndarray, "vertex"]]:
    """How far the clothes stand off the skin, and how deep they fold (metres)."""
    joint = joints(body)
    x, y, _ = points.T
    shirt_down = ramp(y, joint["left_collar"][1] - 0.05, joint["pelvis"][1])
    sleeve_out = ramp(np.abs(x), joint["left_shoulder"][0], joint["left_elbow"][0])
    leg_down = ramp(y, joint["left_hip"][1], joint["left_knee"][1])
    loose_shirt = np.maximum(shirt_down, sleeve_out)
    crown, _, _ = skull(points, body)
    ease = np.select(
        [part == Part.SHIRT, part == Part.TROUSERS, part == Part.HAIR],
        [0.008 + 0.014 * loose_shirt, 0.008 + 0.011 * leg_down, 0.008 + 0.012 * ramp(y, crown - 0.13, crown)],
        0.0,
    )
    fold = np.select(
        [part == Part.SHIRT, part == Part.TROUSERS], [0.003 + 0.004 * loose_shirt, 0.004 + 0.003 * leg_down]
    )
    return ease, np.where(part == Part.HAIR, 0.002, fold)


def fold_pattern(
    points: Float[np.ndarray, "vertex 3"], random: np.random.Generator, wavelength: float
) -> Float[np.ndarray, "vertex"]:
    """Smooth folds between about -1 and 1: a few plane waves, mostly up the body, bent by slower ones (metres)."""
    total = np.zeros(len(points))
    for _ in range(5):
        direction = random.normal(size=3)
        direction *= 2 * np.pi / (wavelength * random.uniform(0.7, 1.6) * np.linalg.norm(direction))
        bend = np.sin(points @ (random.normal(size=3) * 12.0) + random.uniform(0, 2 * np.pi))
        total += np.sin(points @ direction + 0.9 * bend + random.uniform(0, 2 * np.pi))
    patches = 0.5 + 0.5 * np.sin(points @ (random.normal(size=3) * 14.0) + random.uniform(0, 2 * np.pi))
    return np.tanh(total / 2.0) * (0.3 + 0.7 * patches)


def room(
    skin: Mesh, normals: Float[np.ndarray, "vertex 3"], covered: Bool[np.ndarray, "vertex"]
) -> Float[np.ndarray, "vertex"]:
    """How far clothes may stand off before they meet those opposite, as between the thighs (metres)."""
    surface = Surface(torch.from_numpy(skin.points).float(), torch.from_numpy(skin.faces))
    directions = torch.from_numpy(normals[covered]).float()
    hits = surface.cast(torch.from_numpy(skin.points[covered]).float() + 1e-3 * directions, directions)
    room = np.full(len(normals), np.inf)
    room[covered] = 0.4 * hits.distance.double().numpy()
    return np.maximum(room, CLEARANCE)


def ramp(values: Float[np.ndarray, "row"], start: float, end: float) -> Float[np.ndarray, "row"]:
    """Smooth step from 0 at `start` to 1 at `end`."""
    share = np.clip((values - start) / (end - start), 0.0, 1.0)
    return share * share * (3 - 2 * share)
