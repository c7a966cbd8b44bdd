"""Gradients of ray hits by implicit differentiation, and normals in the pose."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.deform.broyden import inverse_3x3
from avatars.deform.skinning import forward_skin
from avatars.render.rays import RayHits, SurfaceField, orthogonal_pair
from avatars.render.surface import ray_jacobian

GRAZING = 0.01
"""Rays flatter to the surface than this (cosine, about) pass no gradient: their hits move without bound."""
FOLDED = 1e-3
"""Where the deformation shrinks volumes to less than this, points pass no gradient."""


def attach_surface_gradient(
    hits: RayHits,
    origins: Float[Tensor, "ray 3"],
    directions: Float[Tensor, "ray 3"],
    frame: Int[Tensor, "ray"],
    field: SurfaceField,
) -> Float[Tensor, "ray 3"]:
    """The canonical hits, differentiable by the signed distance, weights, offsets, bones and the rays themselves.

    Implicit differentiation of F = [(d(x) - o - t r).u, (d(x) - o - t r).v, sdf(x)] = 0: x = x* - J_F^-1 (F - F*), with
    x*, J_F, t, u and v constants (IMavatar, equations 8 to 10, with u and v orthogonal to the ray instead of two rows
    of a cross product, so that no direction is special). It is exact for rays too: turning u and v with the ray changes
    F as much as moving t r across them does, and moving t r along the ray changes nothing. Give hits of rays that hit.
    """
    fixed, distance = hits.canonical.detach(), hits.distance.detach()
    with torch.no_grad():
        jacobian = field.deformation.jacobian(fixed, frame)
        matrix = ray_jacobian(directions, jacobian, field.sdf_gradient(fixed, frame).detach())
        inverse = _regular_inverse(matrix, GRAZING)
    gap = _gap(fixed, distance, origins, directions, frame, field)
    u, v = orthogonal_pair(directions)
    residual = torch.stack([(gap * u).sum(1), (gap * v).sum(1), field.sdf(fixed, frame)], 1)
    return fixed - (inverse * (residual - residual.detach())[:, None]).sum(-1)


def attach_off_surface_gradient(
    hits: RayHits,
    origins: Float[Tensor, "ray 3"],
    directions: Float[Tensor, "ray 3"],
    frame: Int[Tensor, "ray"],
    field: SurfaceField,
) -> Float[Tensor, "ray 3"]:
    """The canonical points at fixed distances on rays, differentiable by weights, offsets, bones and the rays.

    For the mask loss, where rays miss: the posed point o + t r moves with the ray, at constant t.
    """
    fixed, distance = hits.canonical.detach(), hits.distance.detach()
    inverse = _regular_inverse(field.deformation.jacobian(fixed, frame), FOLDED)
    gap = _gap(fixed, distance, origins, directions, frame, field)
    return fixed - (inverse * (gap - gap.detach())[:, None]).sum(-1)


def posed_normals(
    field: SurfaceField, canonical: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]
) -> Float[Tensor, "point 3"]:
    """Unit outward normals in the world: the gradient of the signed distance, carried by the inverse Jacobian.

    Differentiable as far as `field.sdf_gradient` is; the deformation's Jacobian is a constant. Zero where the field is
    flat or the deformation folded.
    """
    inverse = _regular_inverse(field.deformation.jacobian(canonical.detach(), frame), FOLDED)
    gradient = field.sdf_gradient(canonical, frame)
    return torch.nn.functional.normalize((gradient[:, :, None] * inverse).sum(1), dim=1, eps=1e-9)


def _gap(
    fixed: Float[Tensor, "ray 3"],
    distance: Float[Tensor, "ray"],
    origins: Float[Tensor, "ray 3"],
    directions: Float[Tensor, "ray 3"],
    frame: Int[Tensor, "ray"],
    field: SurfaceField,
) -> Float[Tensor, "ray 3"]:
    return forward_skin(field.deformation, fixed, frame) - (origins + distance[:, None] * directions)


def _regular_inverse(matrix: Float[Tensor, "ray 3 3"], least: float) -> Float[Tensor, "ray 3 3"]:
    """Inverses; zero where the determinant is nearer to zero than `least`, so that no gradient passes there."""
    regular = torch.linalg.det(matrix).abs() > least
    return torch.where(regular[:, None, None], inverse_3x3(matrix), torch.zeros_like(matrix))
