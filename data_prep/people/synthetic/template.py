"""The outer skin that all bodies of a model share, cut fine enough for clothes, and its shape directions."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse.csgraph import connected_components

from body_models.model import BodyModel
from data_prep._clothes import is_coarse, is_hidden, joints
from data_prep._mesh_edit import Mesh, low_pass, neighbour_mean, smooth, split_long_edges

EDGE_LENGTH = 0.015
"""Longest edge on parts that clothes may cover (metres, on the mean body)."""


@dataclass(frozen=True)
class Skin:
    """A closed surface for every body of a model: mean points, weights and displacement per beta."""

    points: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    weights: Float[np.ndarray, "vertex bone"]
    basis: Float[np.ndarray, "shape vertex 3"]
    joints: dict[str, Float[np.ndarray, "3"]]
    """Of the mean body, by name."""

    def mesh(self, betas: Float[np.ndarray, "shape"]) -> Mesh:
        """One person's skin; columns of the values: point, weights, point on the mean body."""
        points = self.points + np.einsum("s,svc->vc", betas, self.basis[: len(betas)])
        return Mesh(np.concatenate([points, self.weights, self.points], axis=1), self.faces)


_SKINS: dict[int, tuple[BodyModel, Skin]] = {}


def skin_of(model: BodyModel) -> Skin:
    """The shared skin, made once for each model in memory."""
    if id(model) not in _SKINS:
        _SKINS[id(model)] = (model, _make_skin(model))
    return _SKINS[id(model)][1]


def _make_skin(model: BodyModel) -> Skin:
    """Largest connected part with mouth and eye sockets closed; all steps are linear, so they hold for all betas."""
    body = model.body()
    bones, shapes = len(model.skeleton), len(model.shape_basis)
    basis = model.shape_basis.double().numpy().transpose(1, 0, 2).reshape(len(body.vertices), -1)
    values = np.concatenate([body.vertices.double().numpy(), body.skinning_weights.double().numpy(), basis], axis=1)
    faces = body.faces.numpy()
    mean = neighbour_mean(faces, len(values))
    moved = np.r_[0:3, 3 + bones : values.shape[1]]
    values[:, moved] = smooth(values[:, moved], mean, is_hidden(body), 400)
    _, component = connected_components(mean, directed=False)
    kept = component == np.bincount(component).argmax()
    index = np.cumsum(kept) - 1
    mesh = Mesh(values[kept], index[faces[kept[faces[:, 0]]]])
    for _ in range(3):
        mesh = split_long_edges(mesh, EDGE_LENGTH, is_coarse(mesh, body))
    values = mesh.values.copy()
    mean, moving = neighbour_mean(mesh.faces, len(values)), is_coarse(mesh, body)
    for columns in moved.reshape(-1, 3):
        values[:, columns] = low_pass(values[:, columns], mean, moving, 4)
    directions = values[:, 3 + bones :].reshape(len(values), shapes, 3).transpose(1, 0, 2)
    return Skin(values[:, :3], mesh.faces, values[:, 3 : 3 + bones], np.ascontiguousarray(directions), joints(body))
