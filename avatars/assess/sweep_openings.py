"""How far mouth and eyes open on a posed surface: between points of lips and lids, and clear of anything between."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from body_models import Body, InputError
from data_prep.surface import Surface

MIDDLE = 0.004
"""Points of the lips lie this near the head's middle (metres)."""
FRONT = 0.03
"""And not farther than this behind the foremost part of the lips (metres)."""
MEETING = 0.004
"""And at most this much farther apart than the nearest ones (metres)."""
DEEP = 0.003
"""Between lips that are open nothing is seen within this depth (metres)."""
RAYS = 96
"""Looks taken between the lips."""
LOOK = 0.0005
"""Distance between looks at an eye (metres)."""
BEFORE = 0.3
"""From how far before the face one looks (metres)."""


@dataclass(frozen=True)
class Opening:
    """Something that an action opens or closes: how far it is open without and with the action (metres)."""

    name: str
    before: float
    after: float
    model_before: float
    model_after: float
    """The same of the tracked head model."""

    def opens(self, least: float) -> bool:
        """Whether it opens by at least a share of what the model's opens by."""
        return self.after - self.before >= least * (self.model_after - self.model_before)

    def closes(self, least: float, opened: float) -> bool:
        """Whether at least a share of it is closed, and it was open by at least a share of the model's."""
        return self.after <= (1 - least) * self.before and self.before >= opened * self.model_before


def lip_vertices(body: Body) -> Int[Tensor, "2"]:
    """Upper and lower, where the lips meet in the middle; raises InputError for a head whose mouth does not part."""
    jaw = body.skinning_weights[:, body.skeleton.index("jaw")]
    middle = body.vertices[:, 0].abs() < MIDDLE
    lower, upper = (middle & (jaw > 0.5)).nonzero()[:, 0], (middle & (jaw < 0.2)).nonzero()[:, 0]
    if len(lower) == 0 or len(upper) == 0:
        raise InputError("This head model has no lips that part, so the opening of its mouth cannot be measured.")
    above, below = body.vertices[upper], body.vertices[lower]
    gap = torch.cdist(above, below)
    meeting = gap < gap.amin() + MEETING
    depth = torch.where(meeting, (above[:, None, 2] + below[None, :, 2]) / 2, -torch.inf)
    gap = torch.where(depth > depth.amax() - FRONT, gap, torch.inf)
    place = int(gap.argmin())
    return torch.stack([upper[place // len(lower)], lower[place % len(lower)]])


def clear_between(surface: Surface, ends: Float[Tensor, "2 3"]) -> float:
    """Length between two points of a face that looks along +Z in which the surface lies well behind them (metres)."""
    share = torch.linspace(0, 1, RAYS).to(ends)[:, None]
    line = torch.lerp(ends[0], ends[1], share)
    ahead = torch.tensor([0.0, 0.0, 1.0]).to(ends)
    hits = surface.cast(line + BEFORE * ahead, -ahead.expand_as(line).contiguous())
    clear = hits.distance > BEFORE + DEEP
    return float(clear.float().mean() * (ends[0] - ends[1])[:2].norm())


def seen_area(
    surface: Surface, values: Float[Tensor, "vertex"], lower: Float[Tensor, "3"], upper: Float[Tensor, "3"]
) -> float:
    """Area between two corners in which a look from the front meets values above a half (square metres)."""
    x, y = (torch.arange(float(lower[axis]) + LOOK / 2, float(upper[axis]), LOOK) for axis in (0, 1))
    grid = torch.cartesian_prod(x, y).to(surface.vertices)
    origins = torch.cat([grid, torch.full_like(grid[:, :1], float(upper[2]) + BEFORE)], 1)
    hits = surface.cast(origins, torch.tensor([0.0, 0.0, -1.0]).to(origins).expand_as(origins).contiguous())
    seen = hits.face >= 0
    shown = surface.interpolate(values[:, None], hits.face[seen], hits.barycentric[seen])[:, 0]
    return float((shown > 0.5).sum()) * LOOK**2
