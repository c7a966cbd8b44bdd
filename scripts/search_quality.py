"""Which roots of the published search the fast search finds, and how exact its own are."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from published_snarf import PublishedSkinning
from search_cases import Case
from torch import Tensor

from avatars.deform.roots import Roots, SearchOptions, distinct
from avatars.deform.skinning import forward_skin

CLOSE = 1e-3
"""Roots nearer to each other than this are the same (metres)."""


@dataclass(frozen=True)
class Quality:
    """Shares are of the distinct roots of the published search that lie inside the grid's box."""

    points: float
    """Share of points with a root."""
    per_point: float
    every: float
    upright: float
    """Of roots about which space is not turned inside out (det J > 0): the others are folds, never the surface."""
    upright_near: float
    """The same at points near the surface."""
    residual: float
    """Largest posed residual in the field that was searched (metres)."""
    published_residual: float
    """What 99 % of the roots inside the box stay below in the published field (metres)."""
    reference: int
    proper: int

    def cells(self) -> list[str]:
        """For a table."""
        shares = [f"{100 * share:.2f} %" for share in (self.every, self.upright, self.upright_near)]
        residuals = [f"{self.residual:.2e}", f"{self.published_residual:.1e}"]
        return [f"{100 * self.points:.2f} %", f"{self.per_point:.2f}", *shares, *residuals]


@torch.no_grad()
def quality(
    case: Case,
    field: PublishedSkinning,
    reference: tuple[Float[Tensor, "point start 3"], Bool[Tensor, "point start"]],
    options: SearchOptions,
) -> Quality:
    """Compare the fast search with the published one on the same points, the first half of them near the surface."""
    roots = case.search(options)
    ends, converged = reference
    kept = distinct(torch.where(converged[..., None], ends, torch.nan), options.separation)
    kept &= case.field.grid.patches[0].contains(ends.flatten(0, 1)).reshape(kept.shape)
    sought, point = ends[kept], kept.nonzero()[:, 0]
    found = gaps(roots, sought, point) < CLOSE
    upright = torch.linalg.det(field.jacobian(sought)) > 0
    near = upright & (point < len(case.posed) // 2)
    target = case.posed[roots.point]
    own = (forward_skin(case.field, roots.canonical, case.frame[roots.point]) - target).norm(dim=1)
    within = case.field.grid.patches[0].contains(roots.canonical)
    other = (field.carry(roots.canonical[within]) - target[within]).norm(dim=1)
    return Quality(
        points=len(roots.point.unique()) / len(case.posed),
        per_point=len(roots.point) / len(case.posed),
        every=_share(found),
        upright=_share(found[upright]),
        upright_near=_share(found[near]),
        residual=own.max().item(),
        published_residual=other.sort().values[int(0.99 * (len(other) - 1))].item(),
        reference=len(sought),
        proper=int(upright.sum()),
    )


def _share(found: Bool[Tensor, "root"]) -> float:
    return found.float().mean().item()


def gaps(roots: Roots, sought: Float[Tensor, "other 3"], point: Tensor) -> Float[Tensor, "other"]:
    """Distance from each sought root to the nearest of its point's roots; infinite where there is none (metres)."""
    rank = torch.arange(len(roots.point), device=sought.device)
    rank = rank - torch.searchsorted(roots.point, roots.point)  # which of its point's roots it is
    slots = sought.new_full((roots.point_count, int(rank.max()) + 1, 3), torch.inf)
    slots[roots.point, rank] = roots.canonical
    return (slots[point] - sought[:, None]).norm(dim=-1).amin(1)
