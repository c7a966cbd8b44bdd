"""Rays that meet an implicit surface in posed space: what is asked of the surface and what is answered."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatars.deform.skinning import DeformationField


@runtime_checkable
class SurfaceField(Protocol):
    """A canonical signed distance (metres, negative inside) and the deformation that poses it, for several frames."""

    @property
    def deformation(self) -> DeformationField:
        """Canonical to posed space."""
        ...

    def sdf(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point"]:
        """Signed distance at canonical points; fields conditioned on expressions look at the frame."""
        ...

    def sdf_gradient(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        """Spatial gradient of the signed distance, under `no_grad` too; where it is differentiable, normals learn."""
        ...


@dataclass(frozen=True)
class RayHits:
    """Where each ray first enters the surface, or where it comes nearest to it.

    A ray without a hit holds the point of least distance that was seen along it. Nothing here carries gradients.
    """

    canonical: Float[Tensor, "ray 3"]
    distance: Float[Tensor, "ray"]
    """Along the ray, in lengths of its direction (metres for unit directions)."""
    hit: Bool[Tensor, "ray"]

    def rows(self, some: Bool[Tensor, "ray"] | Int[Tensor, "some"]) -> "RayHits":
        """The answers of some of the rays."""
        return RayHits(self.canonical[some], self.distance[some], self.hit[some])


def orthogonal_pair(
    directions: Float[Tensor, "ray 3"],
) -> tuple[Float[Tensor, "ray 3"], Float[Tensor, "ray 3"]]:
    """Unit vectors u and v with u x v along the direction; well-conditioned for every direction, constant to gradients.

    Source: Duff et al., "Building an Orthonormal Basis, Revisited", JCGT 2017.
    """
    x, y, z = torch.nn.functional.normalize(directions.detach(), dim=1).unbind(1)
    sign = torch.where(z < 0, -torch.ones_like(z), torch.ones_like(z))
    a = -1 / (sign + z)
    b = x * y * a
    u = torch.stack([1 + sign * x * x * a, sign * b, -sign * x], 1)
    return u, torch.stack([b, sign + y * y * a, -y], 1)


def box_interval(
    origins: Float[Tensor, "ray 3"],
    directions: Float[Tensor, "ray 3"],
    lower: Float[Tensor, "ray 3"],
    upper: Float[Tensor, "ray 3"],
) -> tuple[Float[Tensor, "ray"], Float[Tensor, "ray"]]:
    """Distances at which rays enter and leave boxes, from zero on; a ray that misses gets twice its nearest approach
    to the box's centre."""
    tiny = torch.finfo(directions.dtype).tiny ** 0.5
    safe = torch.where(directions.abs() < tiny, torch.full_like(directions, tiny), directions)
    first, second = (lower - origins) / safe, (upper - origins) / safe
    near = torch.minimum(first, second).amax(1).clamp_min(0)
    far = torch.maximum(first, second).amin(1)
    approach = nearest_approach(origins, directions, (lower + upper) / 2)
    met = far > near
    return torch.where(met, near, approach), torch.where(met, far, approach)


def nearest_approach(
    origins: Float[Tensor, "ray 3"], directions: Float[Tensor, "ray 3"], points: Float[Tensor, "ray 3"]
) -> Float[Tensor, "ray"]:
    """Distance along each ray, from zero on, at which it is nearest to its point."""
    length = directions.square().sum(1)
    return (((points - origins) * directions).sum(1) / length).clamp_min(0)
