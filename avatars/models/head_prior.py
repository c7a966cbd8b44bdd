"""What a tracked head model says about canonical space: surface, skinning weights and blendshapes where it is near."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from body_models import Body
from data_prep.surface import Surface

VIEWS = 128
"""Directions from which a face is looked at."""
LEAST_VIEWS = 2
"""A face counts as exposed when it is seen from this many of them."""
LIFT = 2e-4
"""Height above a face from which one looks out (metres)."""


@dataclass(frozen=True)
class PseudoTruth:
    """Weights and blendshapes of the nearest point of the head model's surface, for supervision."""

    weights: Float[Tensor, "point bone"]
    """Of the model's bones and, where wanted, of the ghost bone, which the model does not have: zero."""
    basis: Float[Tensor, "point coefficient 3"]
    """Displacement in canonical space of each expression, then of each pose corrective (metres)."""
    distance: Float[Tensor, "point"]
    """To that surface point (metres)."""
    vertex: Int[Tensor, "point"]
    """The vertex of the body nearest to it, for labels that are given at vertices."""


class HeadPrior:
    """A tracked head in its canonical pose (metres), prepared once and asked often.

    Only faces that can be seen from outside count: eye sockets and the backs of eyeballs would pull at the lids.
    """

    def __init__(self, body: Body, ghost: bool = True) -> None:
        self.body, self.canonical = body, body.canonical()
        self.exposed = exposed_faces(self.canonical, body.faces)
        self.surface = Surface(self.canonical, body.faces[self.exposed])
        self.basis = canonical_basis(body)
        self.weights = with_ghost(body.skinning_weights) if ghost else body.skinning_weights

    def at(self, points: Float[Tensor, "point 3"]) -> PseudoTruth:
        """Weights and blendshapes at canonical points; nothing here carries gradients."""
        closest = self.surface.closest(points)
        corners = self.surface.faces[closest.face]
        share = closest.barycentric.to(self.weights)
        return PseudoTruth(
            (self.weights[corners] * share[..., None]).sum(1),
            (self.basis[corners] * share[..., None, None]).sum(1),
            closest.distance.to(points),
            corners.gather(1, share.argmax(1, keepdim=True))[:, 0],
        )


def pseudo_truth(body: Body, points: Float[Tensor, "point 3"], ghost: bool = True) -> PseudoTruth:
    """Weights and blendshapes at canonical points from the nearest point of a head; make a HeadPrior to ask again."""
    return HeadPrior(body, ghost).at(points)


def with_ghost(weights: Float[Tensor, "vertex bone"]) -> Float[Tensor, "vertex all_bones"]:
    """Weights with a last column of zeros for the ghost bone."""
    return torch.cat([weights, torch.zeros_like(weights[:, :1])], 1)


def canonical_basis(body: Body) -> Float[Tensor, "vertex coefficient 3"]:
    """Expressions, then pose correctives, as displacements in canonical space instead of at rest (metres)."""
    known = [basis for basis in (body.expression_basis, body.pose_basis) if basis is not None]
    if not known:
        return body.vertices.new_zeros(len(body.vertices), 0, 3)
    turn = (body.skinning_weights @ body.canonical_from_rest()[:, :3, :3].flatten(1)).unflatten(1, (3, 3))
    return torch.einsum("vij,cvj->vci", turn, torch.cat(known))


def exposed_faces(vertices: Float[Tensor, "vertex 3"], faces: Int[Tensor, "face 3"]) -> Bool[Tensor, "face"]:
    """Faces that can be seen from outside the mesh, from far away, in front of their surface."""
    surface = Surface(vertices, faces)
    centres, normals = surface.vertices[faces].mean(1), surface.face_normals
    seen = torch.zeros(len(faces), dtype=torch.long, device=vertices.device)
    for view in _sphere(VIEWS).to(vertices):
        facing = (normals @ view > 0.05).nonzero()[:, 0]
        hits = surface.cast(centres[facing] + LIFT * normals[facing], view.expand(len(facing), 3).contiguous())
        seen[facing] += hits.face < 0
    return seen >= LEAST_VIEWS


def neck_loop(vertices: Float[Tensor, "vertex 3"], faces: Int[Tensor, "face 3"]) -> Int[Tensor, "edge 2"]:
    """The lowest open border of a mesh: its edges, directed as their faces wind; none for a closed mesh."""
    count = len(vertices)
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    border = edges[~torch.isin(edges[:, 0] * count + edges[:, 1], edges[:, 1] * count + edges[:, 0])]
    if len(border) == 0:
        return border
    following = dict(border.tolist())
    loops: list[list[int]] = []
    while following:
        start = next(iter(following))
        loop = [start]
        while (vertex := following.pop(loop[-1], None)) is not None and vertex != start:
            loop.append(vertex)
        loops.append(loop)
    lowest = min(loops, key=lambda loop: float(vertices[loop, 1].mean()))
    within = torch.isin(border, border.new_tensor(lowest)).all(1)
    return border[within]


def _sphere(count: int) -> Float[Tensor, "count 3"]:
    """Directions spread evenly over the sphere, along a spiral."""
    step = torch.arange(count) + 0.5
    height, angle = 1 - 2 * step / count, math.pi * (1 + 5**0.5) * step
    radius = (1 - height.square()).sqrt()
    return torch.stack([radius * angle.cos(), height, radius * angle.sin()], 1)
