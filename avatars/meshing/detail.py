"""Detailed normals into geometry: move the vertices of a coarse mesh until its own normals are the detailed ones."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import coo_matrix, csr_matrix
from torch import Tensor

from body_models.errors import InputError
from data_prep.surface import Surface

REACH = 0.3
"""Wavelength of which half the height is taken over (metres)."""
STEEPEST = math.radians(65)
"""Detailed normals tilt at most this far from the coarse ones."""
TOLERANCE, MOST_STEPS = 1e-4, 500
EDGES_TO_AREA = math.sqrt(3.0)
"""A sum over edges of squared height differences, in integrals of the squared slope (equilateral triangles)."""

Vectors = Float[np.ndarray, "vertex 3"]


@dataclass(frozen=True)
class DisplacedSurface:
    """A surface with its details in the geometry."""

    vertices: Float[Tensor, "vertex 3"]
    displacements: Float[Tensor, "vertex"]
    """How far each vertex went along its coarse normal (metres)."""


def displace_by_normals(
    vertices: Float[Tensor, "vertex 3"],
    faces: Int[Tensor, "face 3"],
    normals: Float[Tensor, "vertex 3"],
    coarse_normals: Float[Tensor, "vertex 3"] | None = None,
    reach: float = REACH,
    limit: float = 0.02,
) -> DisplacedSurface:
    """Give a mesh (metres) the folds that unit normals at its vertices tell of.

    Each vertex moves along its coarse normal (by default the mesh's), so that edges become perpendicular to the
    detailed normals at their ends (Nehab et al., SIGGRAPH 2005, section 4), in as far as these differ from the coarse
    ones: equal normals move nothing. Folds much longer than `reach` (metres) stay as the coarse surface has them, since
    small errors of normals add up to large ones of places; no vertex moves farther than `limit` (metres). Normals that
    are zero or not finite count as coarse, steep ones are tilted back. Raises InputError for a reach or a limit that is
    not positive.
    """
    if not (0 < reach < math.inf and 0 < limit < math.inf):
        raise InputError(f"A reach of {reach} m and a limit of {limit} m cannot be used; both must be above zero.")
    surface = Surface(vertices.cpu(), faces.cpu())
    coarse = surface.vertex_normals if coarse_normals is None else coarse_normals
    directions = _unit(_array(coarse))
    targets = _usable(_array(normals), directions)
    places, triangles = _array(vertices), surface.faces.numpy()
    start, end = _edges(triangles, len(places)).T
    along = places[end] - places[start]
    detailed, plain = _unit(targets[start] + targets[end]), _unit(directions[start] + directions[end])
    wanted = -_dot(along, detailed) + _dot(along, plain)
    at_start, at_end = _dot(directions[start], detailed), _dot(directions[end], detailed)
    pull = EDGES_TO_AREA * (2 * math.pi / reach) ** 2 * _vertex_areas(surface).astype(np.float64)
    matrix, right = _normal_equations(start, end, at_start, at_end, wanted, pull)
    moved = _saturated(_solve(matrix, right), limit)
    displacements = torch.from_numpy(moved).to(vertices)
    directed = torch.from_numpy(directions).to(vertices)
    return DisplacedSurface(vertices + displacements[:, None] * directed, displacements)


def _normal_equations(
    start: Int[np.ndarray, "edge"],
    end: Int[np.ndarray, "edge"],
    at_start: Float[np.ndarray, "edge"],
    at_end: Float[np.ndarray, "edge"],
    wanted: Float[np.ndarray, "edge"],
    pull: Float[np.ndarray, "vertex"],
) -> tuple[csr_matrix, Float[np.ndarray, "vertex"]]:
    """Least squares of `at_end * height[end] - at_start * height[start] = wanted` over edges, and a pull to zero."""
    count = len(pull)
    diagonal = pull + np.bincount(start, at_start**2, count) + np.bincount(end, at_end**2, count)
    diagonal = np.where(diagonal > 0, diagonal, 1.0)  # vertices of no face
    right = np.bincount(end, at_end * wanted, count) - np.bincount(start, at_start * wanted, count)
    between, own = -at_start * at_end, np.arange(count)
    rows, columns = np.concatenate([start, end, own]), np.concatenate([end, start, own])
    matrix = coo_matrix((np.concatenate([between, between, diagonal]), (rows, columns)), shape=(count, count))
    return matrix.tocsr(), right


def _solve(matrix: csr_matrix, right: Float[np.ndarray, "vertex"]) -> Float[np.ndarray, "vertex"]:
    """Conjugate gradients with the diagonal as preconditioner."""
    inverse = 1 / matrix.diagonal()
    found, residual = np.zeros_like(right), right.copy()
    conditioned = inverse * residual
    direction, energy = conditioned.copy(), float(residual @ conditioned)
    enough = TOLERANCE**2 * energy
    for _ in range(MOST_STEPS):
        if energy <= enough:
            break
        applied = matrix @ direction
        step = energy / float(direction @ applied)
        found += step * direction
        residual -= step * applied
        conditioned = inverse * residual
        previous, energy = energy, float(residual @ conditioned)
        direction = conditioned + energy / previous * direction
    return found


def _usable(normals: Vectors, coarse: Vectors) -> Vectors:
    """Unit normals that tilt from the coarse ones by no more than the steepest; the coarse where there is none."""
    normals = _unit(np.where(np.isfinite(normals).all(1, keepdims=True), normals, 0.0))
    along = _dot(normals, coarse)[:, None]
    aside = normals - along * coarse
    length = np.linalg.norm(aside, axis=1, keepdims=True)
    tilt = np.minimum(np.arctan2(length, along), STEEPEST)
    return np.cos(tilt) * coarse + np.sin(tilt) * aside / np.maximum(length, 1e-12)


def _edges(faces: Int[np.ndarray, "face 3"], count: int) -> Int[np.ndarray, "edge 2"]:
    """Each edge once."""
    ends = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    keys = np.unique(ends[:, 0] * count + ends[:, 1])
    keys = keys[keys // count != keys % count]
    return np.stack([keys // count, keys % count], axis=1)


def _vertex_areas(surface: Surface) -> Float[np.ndarray, "vertex"]:
    """A third of the faces about each vertex (square metres)."""
    areas = surface.face_areas.double().numpy().repeat(3) / 3
    return np.bincount(surface.faces.reshape(-1).numpy(), areas, len(surface.vertices))


def _saturated(heights: Float[np.ndarray, "vertex"], limit: float) -> Float[np.ndarray, "vertex"]:
    """Heights as they are up to half the limit, then ever closer to it."""
    half = limit / 2
    beyond = np.maximum(np.abs(heights) - half, 0)
    return np.sign(heights) * (np.minimum(np.abs(heights), half) + half * np.tanh(beyond / half))


def _dot(first: Vectors, second: Vectors) -> Float[np.ndarray, "vertex"]:
    products: Float[np.ndarray, "vertex"] = np.einsum("vi,vi->v", first, second)
    return products


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.sqrt(_dot(vectors, vectors))[:, None]
    return vectors / np.maximum(lengths, 1e-12)


def _array(tensor: Float[Tensor, "vertex 3"]) -> Vectors:
    return tensor.detach().cpu().double().numpy()
