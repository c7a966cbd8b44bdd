"""Turn a bare body into the person scanned: shape, joints, and clothes as displacements along the normals."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.linalg import cg
from torch import Tensor

from body_models.body import Body, BodyModel
from data_prep.registration.fine import (
    FineScan,
    Matches,
    ShapeSpace,
    match,
    pose_body,
    reshaped,
    scan_blocks,
    solve_shape,
)
from data_prep.registration.kinematics import PoseState, bone_transforms
from data_prep.registration.solve import MAX_TURN, PosePrior
from data_prep.surface import Surface

PROBES = 2500
"""Points tried from the body's side for each scan and step."""


BARE_HANDS = 2.0
"""Weight of keeping the hands as the body model has them, against one match a scan and vertex."""


@dataclass(frozen=True)
class Person:
    """A body fitted to scans, with a pose for each of them."""

    body: Body
    states: list[PoseState]


def shape_space(model: BodyModel, joint_sigma: float) -> ShapeSpace:
    """Betas (unit variance) and free shifts of the joints (standard deviation in metres)."""
    bones, betas = len(model.skeleton), len(model.shape_basis)
    fixed = torch.zeros(len(model.template), 3, 3 * bones)
    shifts = torch.eye(3 * bones).reshape(bones, 3, 3 * bones)
    return ShapeSpace(
        torch.cat([model.shape_basis.permute(1, 2, 0), fixed], -1),
        torch.cat([model.shape_basis_joints.permute(1, 2, 0), shifts], -1),
        torch.cat([torch.ones(betas), torch.full((3 * bones,), joint_sigma**-2)]),
    )


def joint_space(body: Body, joint_sigma: float) -> ShapeSpace:
    """Free shifts of the joints only, the surface kept."""
    count = body.joints.numel()
    return ShapeSpace(
        torch.zeros(len(body.vertices), 3, count),
        torch.eye(count).reshape(-1, 3, count),
        torch.full((count,), joint_sigma**-2),
    )


def fit_shape(
    person: Person,
    scans: list[FineScan],
    space: ShapeSpace,
    scales: tuple[float, ...],
    generator: torch.Generator,
    free_poses: bool = True,
) -> Person:
    """Fit the shared shape and, unless they are given, the poses; one Gauss-Newton step for each robust scale (metres)."""
    body, states = person.body, list(person.states)
    prior = PosePrior.of(body)
    values = torch.zeros(len(space.precision))
    for scale in scales:
        matches = match_all(body, states, scans, scale, generator)
        blocks = [scan_blocks(body, m, state, prior, space) for m, state in zip(matches, states, strict=True)]
        if not free_poses:
            blocks = [block.with_fixed_pose() for block in blocks]
        step, turns = solve_shape(blocks, values, space)
        body, values = reshaped(body, space, step), values + step
        if free_poses:
            states = [state.moved(_shortened(turn)) for state, turn in zip(states, turns, strict=True)]
    return Person(body, states)


def match_all(
    body: Body, states: list[PoseState], scans: list[FineScan], scale: float, generator: torch.Generator
) -> list[Matches]:
    """Matches of every scan, probing the body at random faces by area."""
    areas = Surface(body.vertices, body.faces).face_areas
    posed = Surface(body.vertices, body.faces)
    matches = []
    for state, scan in zip(states, scans, strict=True):
        posed.update(pose_body(body, state))
        probes = torch.multinomial(areas, PROBES, replacement=True, generator=generator)
        matches.append(match(body, posed, scan, probes, scale))
    return matches


def fit_clothes(
    person: Person, scans: list[FineScan], scale: float, smoothness: float, generator: torch.Generator
) -> Person:
    """Displace the surface along its normals towards all scans at once, smoothly (clothes, hair, shoes).

    Solves `sum w (c d - r)^2 + smoothness |L d|^2` for the displacements d, r the distance that is left along the scan's
    normal, c the cosine between the two normals, L the umbrella Laplacian.
    """
    body = person.body
    surface = Surface(body.vertices, body.faces)
    rows, values, weights, residuals = [], [], [], []
    offset = 0
    all_matches = match_all(body, person.states, scans, scale, generator)
    for matches, state in zip(all_matches, person.states, strict=True):
        cosine, residual = _along_normals(body, surface.vertex_normals, matches, state)
        rows.append(torch.arange(len(residual)).repeat_interleave(3) + offset)
        values.append((cosine[:, None] * matches.corners).flatten())
        weights.append(matches.weights / len(scans))
        residuals.append(residual)
        offset += len(residual)
    columns = torch.cat([m.vertices.flatten() for m in all_matches])
    design = coo_matrix(
        (torch.cat(values).numpy(), (torch.cat(rows).numpy(), columns.numpy())), shape=(offset, len(body.vertices))
    ).tocsr()
    weight = diags(torch.cat(weights).numpy())
    laplacian = umbrella_laplacian(body.faces.numpy(), len(body.vertices))
    matrix = design.T @ weight @ design + smoothness * (laplacian.T @ laplacian) + diags(1e-3 + _bareness(body))
    solution, _ = cg(matrix, design.T @ (weight @ torch.cat(residuals).numpy()), rtol=1e-4, maxiter=400)
    displacement = torch.from_numpy(solution).float()[:, None] * surface.vertex_normals
    return Person(replace(body, vertices=body.vertices + displacement), person.states)


def _bareness(body: Body) -> np.ndarray:
    """Stiffness of the fingers against displacement: nobody wears much there, and matches jump between fingers."""
    hands = [j for j, name in enumerate(body.skeleton.joint_names) if name.endswith(("_hand", "_wrist"))]
    return BARE_HANDS * body.skinning_weights[:, hands].sum(1).numpy().astype(np.float64)


def umbrella_laplacian(faces: np.ndarray, vertex_count: int) -> csr_matrix:
    """Each vertex minus the mean of its neighbours."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.sort(edges, 1), axis=0)
    both = np.concatenate([edges, edges[:, ::-1]])
    adjacency = coo_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(vertex_count, vertex_count)).tocsr()
    degree = np.maximum(np.asarray(adjacency.sum(1))[:, 0], 1.0)
    return (diags(np.ones(vertex_count)) - diags(1.0 / degree) @ adjacency).tocsr()


def _along_normals(
    body: Body, rest_normals: Float[Tensor, "vertex 3"], matches: Matches, state: PoseState
) -> tuple[Float[Tensor, "match"], Float[Tensor, "match"]]:
    """Cosine between the body's posed normal and the scan's, and the distance left along the scan's normal."""
    transforms = bone_transforms(state, body.joints[None], body.skeleton.parents)[0]
    blended = (matches.points.weights[0] @ transforms[:, :3].flatten(1)).unflatten(-1, (3, 4))
    posed = (blended[..., :3] @ matches.points.rest[0][..., None])[..., 0] + blended[..., 3]
    normals = (rest_normals[matches.vertices] * matches.corners[..., None]).sum(1)
    turned = (blended[..., :3] @ normals[..., None])[..., 0]
    return (turned * matches.normals).sum(1), ((matches.targets - posed) * matches.normals).sum(1)


def _shortened(step: Float[Tensor, "1 parameter"]) -> Float[Tensor, "1 parameter"]:
    return step * (MAX_TURN / step[:, :-3].abs().amax().clamp_min(MAX_TURN))
