"""From a canonical point near a ray to where the ray meets the surface, by Newton's method in three unknowns."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatars.deform.broyden import broyden, inverse_3x3
from avatars.deform.skinning import forward_skin
from avatars.render.options import TraceOptions
from avatars.render.rays import SurfaceField, nearest_approach, orthogonal_pair


@dataclass(frozen=True)
class Meeting:
    """Where rays meet the surface, as far as the steps came."""

    canonical: Float[Tensor, "ray 3"]
    distance: Float[Tensor, "ray"]
    converged: Bool[Tensor, "ray"]
    slope: Float[Tensor, "ray"]
    """Change of the signed distance along the ray at the start, times the deformation's volume: negative inwards."""


def ray_jacobian(
    directions: Float[Tensor, "ray 3"], jacobian: Float[Tensor, "ray 3 3"], gradient: Float[Tensor, "ray 3"]
) -> Float[Tensor, "ray 3 3"]:
    """Derivative by the canonical point of [(d(x) - o).u, (d(x) - o).v, sdf(x)], u and v orthogonal to the ray.

    Its determinant is that of the deformation times the change of the signed distance along the ray.
    """
    u, v = orthogonal_pair(directions)
    rows = [(axis[:, :, None] * jacobian).sum(1) for axis in (u, v)]
    return torch.stack([*rows, gradient], 1)


@torch.no_grad()
def meet_surface(
    origins: Float[Tensor, "ray 3"],
    directions: Float[Tensor, "ray 3"],
    frame: Int[Tensor, "ray"],
    field: SurfaceField,
    start: Float[Tensor, "ray 3"],
    options: TraceOptions,
) -> Meeting:
    """Canonical points on ray and surface, from starts near both.

    The derivatives are exact at the start and Broyden's updates from then on, so that the fields' gradients are needed
    once only.
    """
    u, v = orthogonal_pair(directions)
    matrix = ray_jacobian(directions, field.deformation.jacobian(start, frame), field.sdf_gradient(start, frame))

    def residual(x: Float[Tensor, "active 3"], active: Int[Tensor, "active"]) -> Float[Tensor, "active 3"]:
        frame_of = frame[active]
        gap = forward_skin(field.deformation, x, frame_of) - origins[active]
        across, up = (gap * u[active]).sum(1), (gap * v[active]).sum(1)
        return torch.stack([across, up, field.sdf(x, frame_of)], 1)

    canonical, converged = broyden(
        residual, start, inverse_3x3(matrix), options.newton_steps, options.tolerance, 2 * options.reach
    )
    distance = nearest_approach(origins, directions, forward_skin(field.deformation, canonical, frame))
    return Meeting(canonical, distance, converged, torch.linalg.det(matrix))
