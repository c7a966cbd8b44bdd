"""Dress a body: clothes, hair and shoes as smooth displacements of its surface along the normals."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.linalg import cg
from torch import Tensor

from body_models.body import Body
from data_prep.registration.fine import Matches
from data_prep.registration.kinematics import PoseState, blended_transforms, bone_transforms
from data_prep.surface import Surface

BARE_HANDS = 2.0
"""Weight of keeping the hands as the body model has them, against one match a scan and vertex."""


def fit_clothes(body: Body, states: list[PoseState], matches: list[Matches], smoothness: float) -> Body:
    """Displace the surface along its normals towards all scans at once.

    Solves `sum w (c d - r)^2 + smoothness |L d|^2` for the displacements d, r the distance left along the scan's
    normal, c the cosine between the two normals, L the umbrella Laplacian.
    """
    normals = Surface(body.vertices, body.faces).vertex_normals
    left = [_along_normals(body, normals, m, state) for m, state in zip(matches, states, strict=True)]
    residual = torch.cat([distance for _, distance in left]).numpy()
    design = _design(matches, [cosine for cosine, _ in left], len(body.vertices))
    weight = diags(torch.cat([m.weights for m in matches]).numpy() / len(matches))
    laplacian = umbrella_laplacian(body.faces.numpy(), len(body.vertices))
    matrix = design.T @ weight @ design + smoothness * (laplacian.T @ laplacian) + diags(1e-3 + _bareness(body))
    displacement, _ = cg(matrix, design.T @ (weight @ residual), rtol=1e-4, maxiter=400)
    return replace(body, vertices=body.vertices + torch.from_numpy(displacement).float()[:, None] * normals)


def umbrella_laplacian(faces: Int[np.ndarray, "face 3"], vertex_count: int) -> csr_matrix:
    """Each vertex minus the mean of its neighbours."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.sort(edges, 1), axis=0)
    both = np.concatenate([edges, edges[:, ::-1]])
    adjacency = coo_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(vertex_count, vertex_count)).tocsr()
    degree = np.maximum(np.asarray(adjacency.sum(1))[:, 0], 1.0)
    return (diags(np.ones(vertex_count)) - diags(1.0 / degree) @ adjacency).tocsr()


def _design(matches: list[Matches], cosines: list[Float[Tensor, "_"]], vertex_count: int) -> csr_matrix:
    """Each match's row: the displacements of its three vertices, blended, along the scan's normal."""
    corners = torch.cat([cosine[:, None] * m.corners for cosine, m in zip(cosines, matches, strict=True)])
    columns = torch.cat([m.vertices for m in matches])
    rows = torch.arange(len(corners)).repeat_interleave(3)
    entries = (corners.flatten().numpy(), (rows.numpy(), columns.flatten().numpy()))
    return coo_matrix(entries, shape=(len(corners), vertex_count)).tocsr()


def _bareness(body: Body) -> Float[np.ndarray, "vertex"]:
    """Stiffness of the fingers against displacement: nobody wears much there, and matches jump between fingers."""
    hands = [j for j, name in enumerate(body.skeleton.joint_names) if name.endswith(("_hand", "_wrist"))]
    return BARE_HANDS * body.skinning_weights[:, hands].sum(1).numpy().astype(np.float64)


def _along_normals(
    body: Body, rest_normals: Float[Tensor, "vertex 3"], matches: Matches, state: PoseState
) -> tuple[Float[Tensor, "match"], Float[Tensor, "match"]]:
    """Cosine between the body's posed normal and the scan's, and the distance left along the scan's normal."""
    transforms = bone_transforms(state, body.joints[None], body.skeleton.parents)
    linear, shift = blended_transforms(matches.points.weights, transforms)
    posed = (linear @ matches.points.rest[..., None])[0, ..., 0] + shift[0]
    normals = (rest_normals[matches.vertices] * matches.corners[..., None]).sum(1)
    turned = (linear[0] @ normals[..., None])[..., 0]
    return (turned * matches.normals).sum(1), ((matches.targets - posed) * matches.normals).sum(1)
