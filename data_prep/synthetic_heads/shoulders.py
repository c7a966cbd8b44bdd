"""Neck, shoulders and chest below the model's head, in a shirt."""

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Float, Int

from data_prep._mesh_edit import directed_edges
from data_prep.synthetic_heads.noise import ramp, waves
from data_prep.synthetic_heads.pieces import Piece, grid_faces

GHOST = 5
_RINGS = np.array(
    [
        # height at the sides, half width, half depth, depth of the centre, how far the front is below the sides
        (-0.100, 0.056, 0.055, -0.014, 0.012),
        (-0.116, 0.066, 0.058, -0.020, 0.020),
        (-0.130, 0.090, 0.064, -0.028, 0.020),
        (-0.145, 0.120, 0.072, -0.034, 0.014),
        (-0.163, 0.158, 0.080, -0.036, 0.007),
        (-0.186, 0.190, 0.088, -0.036, 0.002),
        (-0.225, 0.212, 0.100, -0.034, 0.0),
        (-0.290, 0.222, 0.115, -0.030, 0.0),
        (-0.420, 0.225, 0.125, -0.026, 0.0),
        (-0.650, 0.225, 0.125, -0.026, 0.0),
    ]
)
_ROWS = 36


def shoulders(
    person: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
    weights: Float[np.ndarray, "vertex 6"],
    size: float,
    cloth: bool,
    random: np.random.Generator,
) -> Piece:
    """From the edge where the head ends down to the chest (metres); `size` scales the trunk.

    The first ring is the head's own edge; further down the weights pass from the head's to the shoulders' own bone.
    """
    rows = _edge_ring(person, faces)
    ring = rows @ person
    angle = np.unwrap(np.arctan2(ring[:, 0], ring[:, 2] - ring[:, 2].mean()))
    build = np.array([1.0, random.uniform(0.9, 1.1), random.uniform(0.92, 1.1), 1.0, 1.0])
    steps = np.linspace(0, 1, _ROWS) ** 1.3 * (len(_RINGS) - 1)
    table = np.stack([np.interp(steps, np.arange(len(_RINGS)), column) for column in (size * build * _RINGS).T], 1)
    table = np.apply_along_axis(
        lambda column: np.convolve(np.pad(column, 2, "edge"), np.ones(5) / 5, "valid"), 0, table
    )
    height, wide, deep, middle, front = (column[:, None] for column in table.T)
    x, z = wide * np.sin(angle), middle + deep * np.cos(angle)
    y = height - front * np.cos(angle)
    below = np.stack(np.broadcast_arrays(x, y, z), axis=-1)
    join = ramp(np.arange(float(_ROWS)), -1.0, 7.0)[:, None, None]
    below = np.where(join < 1, ring + (below - ring) * join, below)
    points = np.concatenate([ring[None], below]).reshape(-1, 3)
    mesh_faces = grid_faces(_ROWS + 1, len(ring), closed=True)
    if cloth:
        points = points + _folds(points, size, random)
    passed = ramp(-points[:, 1] / size, 0.07, 0.15)[:, None]
    passed[: len(ring)] = 0.0
    repeated = sparse.csr_matrix(sparse.vstack([rows] * (_ROWS + 1)))
    own = np.eye(6)[GHOST]
    follows = sparse.csr_matrix(repeated.multiply(1 - passed))
    return Piece(points, mesh_faces, (repeated @ weights) * (1 - passed) + passed * own, follows)


def neckline(points: Float[np.ndarray, "point 3"], size: float, depth: float) -> Float[np.ndarray, "point"]:
    """How far below the edge of the shirt points are (metres, smooth); `depth` is how low it is in front."""
    x, y, z = points.T
    frontal = ramp(z, -0.02, 0.05) * np.clip(1 - np.abs(x) / (0.075 * size), 0, 1)
    return (-0.128 * size - (0.012 + depth) * frontal) - y


def _folds(points: Float[np.ndarray, "point 3"], size: float, random: np.random.Generator) -> np.ndarray:
    outward = points - points.mean(0) * (0.0, 1.0, 1.0)
    outward[:, 1] = 0.0
    outward /= np.linalg.norm(outward, axis=1, keepdims=True) + 1e-9
    on = ramp(-points[:, 1] / size, 0.138, 0.17)
    return (on * (0.003 + 0.0025 * waves(points * (1.0, 0.35, 1.0), 0.09, random)))[:, None] * outward


def _edge_ring(person: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]) -> sparse.csr_matrix:
    """The vertices of the head's open edge in order around it, from above counter-clockwise, with middles between."""
    edges = directed_edges(faces)
    twins = {(b, a) for a, b in edges.tolist()}
    following = {a: b for a, b in edges.tolist() if (a, b) not in twins}
    start = min(following)
    loop = [start]
    while following[loop[-1]] != start:
        loop.append(following[loop[-1]])
    angle = np.arctan2(person[loop, 0], person[loop, 2] - person[loop, 2].mean())
    if np.unwrap(angle)[-1] < angle[0]:
        loop.reverse()
    count = len(loop)
    whole = sparse.csr_matrix((np.ones(count), (np.arange(count), loop)), (count, len(person)))
    halves = 0.5 * (whole + whole[np.roll(np.arange(count), -1)])
    order = np.arange(2 * count).reshape(2, count).T.ravel()
    return sparse.csr_matrix(sparse.vstack([whole, halves]))[order]
