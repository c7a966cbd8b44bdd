"""Left and right: which vertex mirrors which, and poses seen in a mirror."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from body_models.body import Body
from body_models.errors import InputError
from body_models.model import BodyModel
from body_models.skeleton import Skeleton

_NEIGHBOURS = 24
_ROUNDS = 6
_MOST_DISPUTED = 2000
"""More vertices than this without a mutual counterpart are no small lopsidedness."""


def vertex_mirror(body: BodyModel | Body, tolerance: float = 5e-3) -> Int[Tensor, "vertex"]:
    """Index of each vertex's counterpart across the sagittal plane (itself on the midline); an involution.

    Raises InputError when the surface at rest is not symmetric within the tolerance (metres).
    """
    vertices = body.template if isinstance(body, BodyModel) else body.vertices
    return mirror_matches(vertices, tolerance)


def mirror_matches(vertices: Float[Tensor, "vertex 3"], tolerance: float = 5e-3) -> Int[Tensor, "vertex"]:
    """Pair each vertex with the one nearest to its mirror image (x to -x), both ways.

    Raises InputError when some vertex has no counterpart within the tolerance (metres).
    """
    from scipy.spatial import cKDTree  # here, as it takes a while to import

    points = vertices.detach().cpu().double().numpy()
    mirrored = points * [-1.0, 1.0, 1.0]
    tree = cKDTree(points)
    _, nearest = tree.query(mirrored)
    if not _is_involution(nearest):  # a slightly lopsided surface: first move its mirror image onto it, smoothly
        _, around = tree.query(points, k=min(_NEIGHBOURS, len(points)))
        for _ in range(_ROUNDS):
            shift = (points[nearest] - mirrored)[around].mean(1)
            _, nearest = tree.query(mirrored + shift)
        nearest = _settle(nearest, mirrored + shift, points)
    twin = torch.from_numpy(nearest).long()
    gap = float((torch.from_numpy(mirrored) - torch.from_numpy(points)[twin]).norm(dim=1).max())
    if gap > tolerance or not _is_involution(nearest):
        far = f"a vertex is {1000 * gap:.1f} mm from its mirror image's counterpart (allowed {1000 * tolerance:.1f})"
        raise InputError(
            f"The surface is not symmetric: {far if gap > tolerance else 'too many vertices share a counterpart'}. "
            "Use the template of a symmetric model, facing +Z."
        )
    return twin.to(vertices.device)


def mirror_pose(pose: Float[Tensor, "*batch bone 3"], skeleton: Skeleton) -> Float[Tensor, "*batch bone 3"]:
    """The pose of the mirror image: rotations (axis-angle, radians) reflected in the sagittal plane, sides swapped.

    Raises InputError when a joint of one side has no counterpart.
    """
    return pose[..., list(skeleton.mirror), :] * pose.new_tensor([1.0, -1.0, -1.0])


def _settle(
    nearest: Int[np.ndarray, "vertex"], mirrored: Float[np.ndarray, "vertex 3"], points: Float[np.ndarray, "vertex 3"]
) -> Int[np.ndarray, "vertex"]:
    """Share out the vertices whose choice is not mutual, by least distance."""
    from scipy.optimize import linear_sum_assignment

    free = np.flatnonzero(nearest[nearest] != np.arange(len(nearest)))
    if not 0 < len(free) <= _MOST_DISPUTED:
        return nearest
    cost = np.square(mirrored[free][:, None] - points[free][None]).sum(-1)
    _, columns = linear_sum_assignment(cost + cost.T)
    settled = nearest.copy()
    settled[free] = free[_paired(columns, cost + cost.T)]
    return settled


def _paired(choice: Int[np.ndarray, "free"], cost: Float[np.ndarray, "free free"]) -> Int[np.ndarray, "free"]:
    """Pairs out of a permutation whose cost is symmetric: vertices in one place choose each other in rings."""
    paired, seen = np.arange(len(choice)), np.zeros(len(choice), dtype=bool)
    for first in range(len(choice)):
        ring = []
        while not seen[first]:
            seen[first] = True
            ring.append(first)
            first = int(choice[first])
        turns = [ring[start:] + ring[:start] for start in range(len(ring))]
        if len(ring) % 2 == 0:
            turns = turns[:2]
        best = min(turns, key=lambda ring: _ring_cost(ring, cost), default=[])
        for one, other in zip(best[0::2], best[1::2], strict=False):  # of an odd ring the last mirrors itself
            paired[one], paired[other] = other, one
    return paired


def _ring_cost(ring: list[int], cost: Float[np.ndarray, "free free"]) -> float:
    """Cost of pairing neighbours of a ring, from its first on."""
    alone = cost[ring[-1], ring[-1]] / 2 if len(ring) % 2 else 0.0
    return float(alone + sum(cost[one, other] for one, other in zip(ring[0::2], ring[1::2], strict=False)))


def _is_involution(twin: Int[np.ndarray, "vertex"]) -> bool:
    return bool((twin[twin] == np.arange(len(twin))).all())
