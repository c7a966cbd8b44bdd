"""The last part of a fit to scans with colours: their samples, brought to canonical space, as a field of colours.

Colours follow the geometry rather than train beside it: while poses and weights still move, every sample would leave
its colour at several places, and nothing in the shape depends on it. With final poses all samples count at once, and
the field of least absolute error is found by a few reweighted passes over them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatars.fields.grid import GridSpec, interpolate
from avatars.fields.surface_colour import BlockGrid, SurfaceColour, spread
from avatars.fit.options import ColourOptions
from avatars.models.avatar import Avatar
from avatars.models.surface_roots import surface_roots
from body_models import Body, Skeleton
from data_prep.pockets import without_pockets
from data_prep.registration.register import scan_surface
from data_prep.sampling import BURIED_PROBE
from data_prep.scans import Scan
from data_prep.surface import Surface

BACKDROP_SPACING = 0.03
RESOLUTION = 192
"""Cells along the longest side of the surface about which colours are kept."""
REACH = 1.5
"""How far off the surface nodes are kept, in spacings."""
SAMPLING = 1.0
"""Points on the surface for each square of the finest spacing, about which nodes are kept."""
MOST_NODES = 2_900_000
"""Grids of larger people are made coarser, so that the avatar file stays small (three bytes a node)."""
DEEPEST, HIGHEST = 0.008, 0.015
"""Samples this far under the surface are another layer (a mouth, skin under cloth), this far above it a misfit."""
SUSPECT = 0.001
"""Samples deeper than this are looked at again, whether the scan itself hides them."""
TRUSTED = 0.004
"""Samples this near to the surface count most (metres)."""
BESIDE = 0.003
"""Samples farther than this from the surface do not disturb it (metres)."""
PASSES = 6
RESIDUAL = 0.02
"""Errors (of coded colours) below this count squared, above as they are."""
HOLD = 0.3
"""Samples that speak for the value which a node has already."""
LEAST = 0.02
"""Nodes for which less than so many samples speak are filled from their neighbours."""
SMOOTHING = 4
APRON = 0.015
"""How far the box of a finer part reaches beyond the surface (metres)."""
PARTS = ("head", "left_wrist", "right_wrist", "left_hand", "right_hand", "wrist.L", "wrist.R")


@dataclass(frozen=True)
class Samples:
    """Coloured points in canonical space (metres)."""

    points: Float[Tensor, "sample 3"]
    coded: Float[Tensor, "sample 3"]
    """sRGB-coded, 0 to 1."""
    weight: Float[Tensor, "sample"]


def paint(
    avatar: Avatar,
    scans: Sequence[Scan],
    options: ColourOptions,
    advance: Callable[[], None] = lambda: None,
) -> SurfaceColour | None:
    """The colours of an avatar from the scans that it was fitted to, in their order; None when none has colours.

    `advance` is called as often as `painting_steps` tells. Nodes that no scan saw take on what lies around them on the
    surface.
    """
    if painting_steps(scans) == 0:
        return None
    body = avatar.body(RESOLUTION)
    surface = Surface(body.canonical(), body.faces)
    found = []
    for number, scan in enumerate(scans):
        if scan.colours is not None:
            found.append(canonical_samples(avatar, surface, number, scan))
            advance()
    joined = Samples(*(torch.cat([getattr(one, name) for one in found]) for name in ("points", "coded", "weight")))
    field = empty_field(body, avatar.model.box, options)
    for number, grid in enumerate(field.block_grids):
        solve(grid, joined if number == 0 else _within(joined, grid))
    advance()
    _fill_backdrop(field)
    field.quantise()
    return field.requires_grad_(False)


def canonical_samples(avatar: Avatar, surface: Surface, number: int, scan: Scan) -> Samples:
    """The coloured points of a scan where they belong on the canonical surface; those without a place are left out.

    Where the avatar smooths a nose away, the nose's colours must not stay in front of its face: all move to the nearest
    point of the surface. Those that moved far count where they were too, since other poses have the surface there.
    """
    assert scan.colours is not None
    points = torch.from_numpy(scan.colours.points).to(avatar.model.joints)
    coded = torch.from_numpy(scan.colours.coded).to(points.device)
    roots = surface_roots(avatar.model, points, avatar.poses[number], avatar.translations[number])
    kept = (roots.depth < DEEPEST) & (roots.depth > -HIGHEST)
    doubtful = (kept & (roots.depth > SUSPECT)).nonzero()[:, 0]
    if len(doubtful) > 0:
        buried = is_buried(without_pockets(scan_surface(scan)), points[doubtful].cpu())
        kept[doubtful[buried.to(doubtful.device)]] = False
    weight = 0.05 + torch.exp(-((roots.depth[kept] / TRUSTED) ** 2))
    nearest = surface.closest(roots.canonical[kept])
    far = nearest.distance > BESIDE
    points = torch.cat([nearest.point, roots.canonical[kept][far]])
    colours = coded[kept].float() / 255
    return Samples(points, torch.cat([colours, colours[far]]), torch.cat([weight, weight[far]]))


def is_buried(surface: Surface, points: Float[Tensor, "point 3"]) -> Bool[Tensor, "point"]:
    """Whether points of a scan's surface lie in the body: eyeballs, the inside of a mouth, skin under cloth."""
    normals = surface.face_normals[surface.closest(points).face]
    return surface.inside(points + BURIED_PROBE * normals)


def empty_field(body: Body, box: Float[Tensor, "2 3"], options: ColourOptions) -> SurfaceColour:
    """A field about a canonical surface with finer grids about head and hands, still without colours."""
    surface = Surface(body.canonical(), body.faces)
    spacing, part_spacing = options.spacing, options.part_spacing
    count = math.ceil(SAMPLING * float(surface.face_areas.sum()) / part_spacing**2)
    generator = torch.Generator(surface.device).manual_seed(0)
    points = torch.cat([surface.vertices, surface.sample(count, generator).points])
    thinned = points[:: max(1, int((spacing / part_spacing) ** 2))]
    boxes = part_boxes(body)
    while True:
        grids = [_about(thinned, box[0], box[1], spacing)]
        grids += [_about(points, lower, upper, part_spacing) for lower, upper in boxes]
        if sum(grid.count for grid in grids) <= MOST_NODES:
            break
        spacing, part_spacing = 1.15 * spacing, 1.15 * part_spacing
    return SurfaceColour(GridSpec.covering(box[0], box[1], BACKDROP_SPACING), grids)


def _about(
    points: Float[Tensor, "point 3"], lower: Float[Tensor, "3"], upper: Float[Tensor, "3"], spacing: float
) -> BlockGrid:
    near = ((points > lower - 0.01) & (points < upper + 0.01)).all(1)
    return BlockGrid.about(points[near], GridSpec.covering(lower, upper, spacing), REACH * spacing)


def part_boxes(body: Body) -> list[tuple[Float[Tensor, "3"], Float[Tensor, "3"]]]:
    """Lowest and highest corner of head and hands on the canonical surface."""
    canonical, owner = body.canonical(), body.skinning_weights.argmax(1)
    boxes = []
    for bone, name in enumerate(body.skeleton.joint_names):
        parent = body.skeleton.parents[bone]
        if name not in PARTS or (parent >= 0 and body.skeleton.joint_names[parent] in PARTS):
            continue
        own = canonical[torch.isin(owner, torch.tensor(_with_descendants(body.skeleton, bone)).to(owner))]
        if len(own):
            boxes.append((own.amin(0) - APRON, own.amax(0) + APRON))
    return boxes


def _with_descendants(skeleton: Skeleton, bone: int) -> list[int]:
    found = [bone]
    for other in found:
        found.extend(skeleton.children(other))
    return found


def _within(samples: Samples, grid: BlockGrid) -> Samples:
    lower = samples.points.new_tensor(grid.spec.lower)
    upper = lower + grid.spec.spacing * (lower.new_tensor(grid.spec.shape) - 1)
    inside = ((samples.points >= lower) & (samples.points <= upper)).all(1)
    return Samples(samples.points[inside], samples.coded[inside], samples.weight[inside])


def painting_steps(scans: Sequence[Scan]) -> int:
    """How often `paint` reports; 0 when no scan has colours."""
    count = sum(scan.colours is not None for scan in scans)
    return count and count + 1


@torch.no_grad()
def solve(grid: BlockGrid, samples: Samples) -> None:
    """Set a grid's values so that interpolation gives the samples' colours with the least absolute error.

    Weighted means first, then passes that spread each sample's error over its nodes, larger errors weighing less
    (iteratively reweighted least squares); nodes without samples are filled along the surface.
    """
    rows, shares = grid.corners(samples.points)
    whole = (shares.sum(1) > 0.5).nonzero()[:, 0]
    order = whole[rows[whole, 0].argsort()]  # neighbours in memory too: several times as fast
    rows, shares, coded, weight = rows[order], shares[order], samples.coded[order], samples.weight[order]
    shares = shares / shares.sum(1, keepdim=True)
    amount, total = _gathered(rows, shares, weight, coded, grid.count)
    known = amount > LEAST
    if not bool(known.any()):
        grid.values.copy_(torch.full_like(total, 0.5))
        return
    neighbours = grid.neighbours()
    values = spread(total / amount.clamp_min(1e-6)[:, None], known, neighbours, 2)
    for _ in range(PASSES):
        error = coded - interpolate(values, rows, shares)
        robust = weight * (RESIDUAL / error.norm(dim=1).clamp_min(RESIDUAL))
        amount, total = _gathered(rows, shares, robust, error, grid.count)
        values = values + total / (amount + HOLD * RESIDUAL)[:, None]
    grid.values.copy_(spread(values.clamp(0, 1), known, neighbours, SMOOTHING))


def _gathered(
    rows: Int[Tensor, "sample 8"],
    shares: Float[Tensor, "sample 8"],
    weight: Float[Tensor, "sample"],
    values: Float[Tensor, "sample 3"],
    count: int,
) -> tuple[Float[Tensor, "node"], Float[Tensor, "node 3"]]:
    """At each node the sum of its shares in the samples' weights, and in their weighted values."""
    weighted = torch.cat([weight[:, None], weight[:, None] * values], 1)
    flat = rows.reshape(-1)
    sums = [torch.bincount(flat, (shares * one[:, None]).reshape(-1), count) for one in weighted.unbind(1)]
    return sums[0].to(values), torch.stack(sums[1:], 1).to(values)


@torch.no_grad()
def _fill_backdrop(field: SurfaceColour) -> None:
    """Let the coarse grid hold the mean of the fine one where there is one, and what lies around it elsewhere."""
    fine, spec = field.block_grids[0], field.backdrop_grid
    rows, shares = spec.corners(fine.places())
    amount, total = _gathered(rows, shares, torch.ones_like(fine.values[:, 0]), fine.values, spec.count)
    values = total / amount.clamp_min(1e-6)[:, None]
    field.backdrop.copy_(spread(values, amount > 1e-3, _dense_neighbours(spec, rows.device), SMOOTHING))


def _dense_neighbours(spec: GridSpec, device: torch.device) -> Int[Tensor, "node 6"]:
    numbers = torch.arange(spec.count, device=device).reshape(spec.shape)
    padded = torch.nn.functional.pad(numbers, (1,) * 6, value=-1)
    x, y, z = spec.shape
    inner = (slice(1, x + 1), slice(1, y + 1), slice(1, z + 1))
    moved = []
    for axis in range(3):
        for step in (-1, 1):
            place = list(inner)
            place[axis] = slice(inner[axis].start + step, inner[axis].stop + step)
            moved.append(padded[tuple(place)].reshape(-1))
    return torch.stack(moved, 1)
