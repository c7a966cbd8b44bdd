"""Volume rendering along rays: where to look, and what density and colour there add up to (NeRF, arXiv 2003.08934).

A ray is cut into intervals, `edges` holding the distances of their ends; density and colour are constant in each.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

THIN = 1e-3
"""Optical depths below this count as this much where their logarithm is taken: gradients stay finite."""


@dataclass(frozen=True)
class Composite:
    """What rays see of a volume."""

    weights: Float[Tensor, "ray sample"]
    """Share of each interval in what is seen; their sum is the opacity."""
    colour: Float[Tensor, "ray 3"]
    """Sum of weighted colours, as before a black background."""
    depth: Float[Tensor, "ray"]
    """Optical depth of the whole ray."""
    distance: Float[Tensor, "ray"]
    """Mean distance of what is seen (lengths of the direction); the ray's middle where nothing is."""

    @property
    def opacity(self) -> Float[Tensor, "ray"]:
        """How much of the background is covered, 0 to 1."""
        return -torch.expm1(-self.depth)

    def before(self, background: float) -> Float[Tensor, "ray 3"]:
        """Colours before a grey background."""
        return self.colour + background * torch.exp(-self.depth)[:, None]


def even_edges(
    near: Float[Tensor, "ray"], far: Float[Tensor, "ray"], count: int, generator: torch.Generator | None = None
) -> Float[Tensor, "ray count_and_one"]:
    """Ends of intervals of about the same length; a generator shifts all but the outermost ones at random."""
    shares = _shares(len(near), count, near, generator)
    return near[:, None] + shares * (far - near)[:, None]


def resampled_edges(
    edges: Float[Tensor, "ray edge"],
    weights: Float[Tensor, "ray sample"],
    count: int,
    floor: float,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "ray count_and_one"]:
    """Ends of new intervals that share a ray's weight alike: short where much is expected to be seen.

    Neighbouring weights are joined by their maximum, since density lies at the interval's rim as often as not, and
    `floor` (0 to 1) is the share that is spread evenly over the ray. Nothing here carries gradients. Source: Mip-NeRF,
    section 3.1 (arXiv 2103.13415).
    """
    with torch.no_grad():
        beside = torch.nn.functional.max_pool1d(weights[:, None], 3, stride=1, padding=1)[:, 0]
        lengths = edges.diff(dim=1)
        even = lengths / lengths.sum(1, keepdim=True).clamp_min(torch.finfo(edges.dtype).tiny)
        total = beside.sum(1, keepdim=True)
        expected = beside / total.clamp_min(torch.finfo(edges.dtype).eps)
        mixed = floor * even + (1 - floor) * torch.where(total > 0, expected, even)
        reached = torch.nn.functional.pad(mixed.cumsum(1), (1, 0))
        reached = reached / reached[:, -1:].clamp_min(torch.finfo(edges.dtype).tiny)
        wanted = _shares(len(edges), count, edges, generator)
        right = torch.searchsorted(reached, wanted.contiguous(), right=True).clamp(1, weights.shape[1])
        below, above = reached.gather(1, right - 1), reached.gather(1, right)
        share = (wanted - below) / (above - below).clamp_min(torch.finfo(edges.dtype).eps)
        start, stop = edges.gather(1, right - 1), edges.gather(1, right)
        return torch.lerp(start, stop, share.clamp(0, 1))


def composite(
    density: Float[Tensor, "ray sample"], colour: Float[Tensor, "ray sample 3"], edges: Float[Tensor, "ray edge"]
) -> Composite:
    """Add up what rays meet, front to back (density per unit of distance).

    Exact for density and colour that are constant in each interval; differentiable in all three.
    """
    thickness = density * edges.diff(dim=1)
    behind = thickness.cumsum(1)
    weights = torch.exp(thickness - behind) * -torch.expm1(-thickness)
    depth = behind[:, -1]
    middles = 0.5 * (edges[:, 1:] + edges[:, :-1])
    opacity = weights.sum(1)
    tiny = torch.finfo(edges.dtype).eps
    mean = (weights * middles).sum(1) / opacity.clamp_min(tiny)
    distance = torch.where(opacity > tiny, mean, 0.5 * (edges[:, 0] + edges[:, -1]))
    return Composite(weights, (weights[..., None] * colour).sum(1), depth, distance)


def opacity_loss(depth: Float[Tensor, "ray"], alpha: Float[Tensor, "ray"]) -> Float[Tensor, ""]:
    """Mean cross-entropy between the pictures' coverage and the opacity, from optical depths.

    Written in depths no logarithm meets a zero: covering too much costs as much as the depth.
    """
    covered = torch.log(-torch.expm1(-depth.clamp_min(THIN)))
    return ((1 - alpha) * depth - alpha * covered).mean()


def _shares(rays: int, count: int, like: Tensor, generator: torch.Generator | None) -> Float[Tensor, "rays edge"]:
    """Rising numbers from 0 to 1, about evenly apart."""
    steps = torch.arange(count + 1, dtype=like.dtype).expand(rays, -1)
    if generator is not None and count > 1:
        shift = torch.rand(rays, count - 1, generator=generator, dtype=like.dtype) - 0.5
        steps = steps + torch.nn.functional.pad(shift, (1, 1))
    return (steps / count).to(like.device)
