"""Begin an avatar at a body: its surface as the occupancy, its skinning weights spread off the surface."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.fields.grid import GridSpec, interpolate
from avatars.fields.occupancy import GridOccupancy
from avatars.fields.patches import PatchedGrid
from avatars.fields.weights import GridWeights
from avatars.models.parts import body_parts
from avatars.models.snarf import Snarf, SnarfOptions
from body_models import Body
from data_prep.surface import Surface

BLUR = 0.0286
"""Spread of the smoothing of weights off the surface (metres; the standard deviation of a Gaussian of its width)."""
PART_BLUR = 0.003
"""The same in hands and face, where neighbours (fingers, lips) lie closer."""
MOST_SWEEPS = 24
"""Weights on very fine grids are smoothed less, for the sake of time."""
TAPER = 0.015
"""Width of the zone at the edge of a part in which fine weights pass into the coarse ones (metres)."""
FARTHEST_LOGIT = 10.0
THINNING = 4
"""Far from the surface distances are found at every so many nodes only."""


def snarf_from_body(body: Body, options: SnarfOptions, parts: Float[Tensor, "part 2 3"] | None = None) -> Snarf:
    """An untrained avatar whose grids already describe the body; an MLP avatar starts from its own initialisation.

    `parts` are the boxes (canonical, metres) with finer grids; None means hands and face where the body moves them.
    """
    canonical = body.canonical()
    box = torch.stack([canonical.min(0).values - options.margin, canonical.max(0).values + options.margin])
    parts = body_parts(body) if parts is None else parts
    model = Snarf(options, body.skeleton, body.joints, body.canonical_pose, box, segment_tails(body), parts)
    surface = Surface(canonical, body.faces)
    if isinstance(model.occupancy, GridOccupancy):
        distance = distances_at_nodes(surface, model.occupancy.base_grid, FARTHEST_LOGIT * options.edge)
        model.occupancy.start_from((-distance / options.edge).clamp(-FARTHEST_LOGIT, FARTHEST_LOGIT))
    if isinstance(model.weights, GridWeights):
        model.weights.start_from(weights_on_patches(surface, body.skinning_weights, model.weight_grid))
    return model


def distances_at_nodes(surface: Surface, grid: PatchedGrid, near: float) -> Float[Tensor, "node"]:
    """Signed distances at all nodes, exact up to `near` from the surface and estimated from every fourth node beyond.

    Metres, negative inside. A person fills little of the box, and distances are slow to find.
    """
    first = grid.patches[0]
    spacing = THINNING * first.spacing
    x, y, z = (-(-(count - 1) // THINNING) + 1 for count in first.shape)
    coarse = GridSpec(first.lower, spacing, (max(x, 2), max(y, 2), max(z, 2)))
    nodes = first.nodes()
    values = interpolate(surface.signed_distance(coarse.nodes())[:, None], *coarse.corners(nodes))[:, 0]
    doubtful = values.abs() < near + math.sqrt(3) / 2 * spacing
    values[doubtful] = surface.signed_distance(nodes[doubtful])
    return torch.cat([values, *(surface.signed_distance(patch.nodes()) for patch in grid.patches[1:])])


def weights_on_patches(
    surface: Surface, weights: Float[Tensor, "vertex bone"], grid: PatchedGrid
) -> Float[Tensor, "node bone"]:
    """Weights off the surface at all nodes of a patched grid; the fine ones pass into the coarse ones at their edge."""
    first = grid.patches[0]
    coarse = weights_off_surface(surface, weights, first)
    values = [coarse]
    for patch in grid.patches[1:]:
        nodes = patch.nodes()
        lower = nodes.new_tensor(patch.lower)
        upper = lower + patch.spacing * (nodes.new_tensor(patch.shape) - 1)
        depth = torch.minimum(nodes - lower, upper - nodes).amin(1)
        share = (depth / TAPER).clamp(0, 1)[:, None]
        share = share * share * (3 - 2 * share)
        fine = weights_off_surface(surface, weights, patch, PART_BLUR)
        values.append(share * fine + (1 - share) * interpolate(coarse, *first.corners(nodes)))
    return torch.cat(values)


def segment_tails(body: Body) -> Float[Tensor, "bone 3"]:
    """Where each bone ends at rest: the mean of its children's joints, or the far end of the flesh of the last ones."""
    tails = []
    for bone in range(len(body.skeleton)):
        children = body.skeleton.children(bone)
        if children:
            tails.append(body.joints[list(children)].mean(0))
        else:
            own = body.skinning_weights[:, bone]
            centre = (own[:, None] * body.vertices).sum(0) / own.sum().clamp_min(1e-6)
            tails.append(body.joints[bone] + 1.6 * (centre - body.joints[bone]))
    return torch.stack(tails)


def weights_off_surface(
    surface: Surface, weights: Float[Tensor, "vertex bone"], spec: GridSpec, blur: float = BLUR
) -> Float[Tensor, "node bone"]:
    """Weights at grid nodes from the nearest surface point, smoothed as by `spread_off_surface`; rows sum to one."""
    smooth = spread_off_surface(surface, weights, spec, blur)
    return smooth / smooth.sum(1, keepdim=True)


def spread_off_surface(
    surface: Surface, values: Float[Tensor, "vertex channel"], spec: GridSpec, blur: float
) -> Float[Tensor, "node channel"]:
    """Values at grid nodes from the nearest surface point, then smoothed by averaging with the six neighbours.

    `blur` is how far the smoothing spreads them (metres). A sweep spreads by the spacing over the root of six.
    """
    closest = surface.closest(spec.nodes())
    found = (values[surface.faces[closest.face]] * closest.barycentric[..., None]).sum(1)
    grid = found.reshape(*spec.shape, -1).permute(3, 0, 1, 2)[None]
    for _ in range(min(round(6 * (blur / spec.spacing) ** 2), MOST_SWEEPS)):
        padded = torch.nn.functional.pad(grid, (1,) * 6, mode="replicate")
        neighbours = (
            padded[:, :, 2:, 1:-1, 1:-1] + padded[:, :, :-2, 1:-1, 1:-1] + padded[:, :, 1:-1, 2:, 1:-1]
            + padded[:, :, 1:-1, :-2, 1:-1] + padded[:, :, 1:-1, 1:-1, 2:] + padded[:, :, 1:-1, 1:-1, :-2]
        )  # fmt: skip
        grid = 0.5 * grid + 0.5 * neighbours / 6
    return grid[0].permute(1, 2, 3, 0).flatten(0, 2)


def smoothed_by(
    values: Float[Tensor, "node channel"], share: Float[Tensor, "node"], spec: GridSpec, sweeps: int
) -> Float[Tensor, "node channel"]:
    """Values at nodes, each moved to the mean of its neighbours by a share of its own, some times over."""
    grid, shares = values.reshape(*spec.shape, -1), share.reshape(*spec.shape, 1)
    for _ in range(sweeps):
        grid = torch.lerp(grid, _neighbours(grid), shares)
    return grid.flatten(0, 2)


def _neighbours(grid: Float[Tensor, "x y z channel"]) -> Float[Tensor, "x y z channel"]:
    """Mean of the six neighbours; beyond the border a node is its own neighbour."""
    total = torch.zeros_like(grid)
    for axis in range(3):
        last = grid.shape[axis] - 1
        total.narrow(axis, 0, last).add_(grid.narrow(axis, 1, last))
        total.narrow(axis, 1, last).add_(grid.narrow(axis, 0, last))
        total.narrow(axis, 0, 1).add_(grid.narrow(axis, 0, 1))
        total.narrow(axis, last, 1).add_(grid.narrow(axis, last, 1))
    return total / 6
