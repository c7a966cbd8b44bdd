"""Which canonical points of an avatar posed points on its surface come from."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avatars.models.snarf import Snarf

POINTS_AT_ONCE = 60_000


@dataclass(frozen=True)
class SurfaceRoots:
    """For each posed point its canonical root that lies nearest to the surface (metres)."""

    canonical: Float[Tensor, "point 3"]
    depth: Float[Tensor, "point"]
    """How deep the root lies under the canonical surface, negative above it; infinite without a root."""

    @property
    def found(self) -> Bool[Tensor, "point"]:
        """Whether there is a root."""
        return self.depth.isfinite()


@torch.no_grad()
def surface_roots(
    model: Snarf, posed: Float[Tensor, "point 3"], pose: Float[Tensor, "bone 3"], translation: Float[Tensor, "3"]
) -> SurfaceRoots:
    """The roots of posed points (metres) in one pose, of each the one that is nearest to the surface."""
    field = model.deformation(model.posed_from_canonical(pose[None], translation[None]))
    code = model.pose_code(pose[None])
    canonical, depth = torch.zeros_like(posed), torch.full_like(posed[:, 0], torch.inf)
    for start in range(0, len(posed), POINTS_AT_ONCE):
        some = posed[start : start + POINTS_AT_ONCE]
        roots = model.find_roots(some, torch.zeros(len(some), dtype=torch.long, device=some.device), field)
        own_code = None if code is None else code.expand(len(roots.canonical), -1)
        deep = model.options.edge * model.canonical_logits(roots.canonical, own_code)
        nearest = torch.full_like(some[:, 0], torch.inf)
        nearest.scatter_reduce_(0, roots.point, deep.abs(), "amin")
        best = (deep.abs() == nearest[roots.point]).nonzero()[:, 0]
        canonical[start + roots.point[best]] = roots.canonical[best]
        depth[start + roots.point[best]] = deep[best]
    return SurfaceRoots(canonical, depth)
