"""What a synthetic person wears on the model's head: surfaces with their own skinning, and how to refine them."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Float, Int

from data_prep._mesh_edit import unique_edges


@dataclass(frozen=True)
class Piece:
    """A surface beside the head at rest (metres); the last bone of its weights is the shoulders' own."""

    points: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    weights: Float[np.ndarray, "vertex 6"]
    follows: sparse.csr_matrix
    """Share of each of the head's vertices in the expressions' displacement of each vertex."""


@dataclass(frozen=True)
class Boxes:
    """Carries points of the template's proportions to a person's: a stretch along each axis."""

    template_center: Float[np.ndarray, "3"]
    center: Float[np.ndarray, "3"]
    stretch: Float[np.ndarray, "3"]

    @staticmethod
    def between(template: Float[np.ndarray, "vertex 3"], person: Float[np.ndarray, "vertex 3"]) -> "Boxes":
        """Between the bounding boxes of the same vertices."""
        low, high = template.min(0), template.max(0)
        mine_low, mine_high = person.min(0), person.max(0)
        return Boxes((low + high) / 2, (mine_low + mine_high) / 2, (mine_high - mine_low) / (high - low))

    def to_person(self, points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point 3"]:
        """Points of the template's space where they belong on the person."""
        return (points - self.template_center) * self.stretch + self.center


def rigid_piece(
    points: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"], bone: int, head_vertices: int
) -> Piece:
    """A surface that moves with one bone and no expression."""
    weights = np.zeros((len(points), 6))
    weights[:, bone] = 1.0
    return Piece(points, faces, weights, sparse.csr_matrix((len(points), head_vertices)))


def refined(rows: sparse.csr_matrix, faces: Int[np.ndarray, "face 3"]) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Split each face in four; rows give each vertex as a mix of others, new ones are halves of two rows."""
    edges = unique_edges(faces)
    count, size = len(edges), rows.shape[0]
    number = {(a, b): size + k for k, (a, b) in enumerate(edges.tolist())}
    middles = np.array([[number[min(f[i], f[i - 2]), max(f[i], f[i - 2])] for i in range(3)] for f in faces.tolist()])
    halves = 0.5 * (rows[edges[:, 0]] + rows[edges[:, 1]])
    a, b, c = faces.T
    ab, bc, ca = middles.T
    parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    split = np.concatenate([np.stack(part, 1) for part in parts])
    assert count == halves.shape[0]
    return sparse.csr_matrix(sparse.vstack([rows, halves])), split


def grid_faces(rows: int, columns: int, closed: bool) -> Int[np.ndarray, "face 3"]:
    """Two triangles for each cell of a grid whose vertices are numbered row by row; closed joins its sides."""
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij")
    row, column = row.ravel(), column.ravel()
    following = (column + 1) % columns
    a, b = row * columns + column, row * columns + following
    c, d = a + columns, b + columns
    return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
