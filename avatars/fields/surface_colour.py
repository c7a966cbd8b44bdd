"""Colours near a canonical surface: fine grids of which only the blocks about the surface are kept."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from avatars.fields.grid import GridSpec, interpolate
from data_prep.pictures.mesh import srgb_to_linear

BLOCK = 4
"""Nodes along each side of a block."""
TAPER = 0.012
"""Width of the zone at the edge of a finer grid in which its colours pass into the coarser ones (metres)."""
DEEP, WIDE = 4, 8
"""Nodes more layers than this from any known one are in the middle of a hole."""


class BlockGrid(nn.Module):
    """sRGB-coded colours at those nodes of a regular grid that lie in some of its blocks (metres)."""

    blocks: Tensor
    slots: Tensor
    """For each block of the whole grid its place among those that are kept, or -1."""

    def __init__(self, spec: GridSpec, blocks: Int[Tensor, "block"]) -> None:
        super().__init__()
        self.spec = spec
        self.counts = tuple(-(-n // BLOCK) for n in spec.shape)
        slots = torch.full((self.counts[0] * self.counts[1] * self.counts[2],), -1, device=blocks.device)
        slots[blocks] = torch.arange(len(blocks), device=blocks.device)
        self.register_buffer("blocks", blocks)
        self.register_buffer("slots", slots, persistent=False)
        self.values = nn.Parameter(torch.zeros(len(blocks) * BLOCK**3, 3, device=blocks.device))

    @staticmethod
    def about(points: Float[Tensor, "point 3"], spec: GridSpec, reach: float) -> "BlockGrid":
        """A grid that keeps the blocks nearer than `reach` (metres, at most a block) to any of the points."""
        shape = torch.tensor(spec.shape, device=points.device)
        counts = (shape + BLOCK - 1) // BLOCK
        signs = (-1.0, 1.0)
        moves = torch.tensor([[x, y, z] for x in signs for y in signs for z in signs] + [[0.0] * 3]).to(points)
        found = []
        for move in moves:
            node = ((points + reach * move - points.new_tensor(spec.lower)) / spec.spacing).floor().long()
            for step in (0, 1):  # both nodes of the cell
                kept = ((node + step >= 0) & (node + step < shape)).all(1)
                block = (node[kept] + step) // BLOCK
                found.append(((block[:, 0] * counts[1] + block[:, 1]) * counts[2] + block[:, 2]).unique())
        return BlockGrid(spec, torch.cat(found).unique())

    @property
    def count(self) -> int:
        """Number of nodes that are kept."""
        return len(self.values)

    def corners(self, points: Float[Tensor, "point 3"]) -> tuple[Int[Tensor, "point 8"], Float[Tensor, "point 8"]]:
        """Rows of `values` of the eight nodes about each point, and their weights: zero for nodes that are not kept."""
        highest = points.new_tensor([n - 1.0 for n in self.spec.shape])
        scaled = (points - points.new_tensor(self.spec.lower)) / self.spec.spacing
        within = ((scaled >= 0) & (scaled <= highest)).all(1)
        base = torch.minimum(scaled.detach().nan_to_num().clamp_min(0).floor(), highest - 1)
        share = (scaled - base) * within[:, None]
        first = base.long()
        rows, weights = [], []
        for x in (0, 1):
            for y in (0, 1):
                for z in (0, 1):
                    row = self.rows(first + first.new_tensor([x, y, z]))
                    weight = torch.ones_like(share[:, 0])
                    for axis, step in enumerate((x, y, z)):
                        weight = weight * (share[:, axis] if step else 1 - share[:, axis])
                    rows.append(row.clamp_min(0))
                    weights.append(weight * ((row >= 0) & within))
        return torch.stack(rows, 1), torch.stack(weights, 1)

    def rows(self, node: Int[Tensor, "node 3"]) -> Int[Tensor, "node"]:
        """Rows of `values` of nodes given by their numbers along x, y, z; -1 for nodes that are not kept."""
        x, y, z = node.unbind(1)
        inside = torch.ones_like(x, dtype=torch.bool)
        for axis, number in enumerate((x, y, z)):
            inside &= (number >= 0) & (number < self.counts[axis] * BLOCK)
        block = ((x // BLOCK) * self.counts[1] + y // BLOCK) * self.counts[2] + z // BLOCK
        slot = self.slots[torch.where(inside, block, 0)]
        own = ((x % BLOCK) * BLOCK + y % BLOCK) * BLOCK + z % BLOCK
        return torch.where(inside & (slot >= 0), slot * BLOCK**3 + own, -1)

    def numbers(self) -> Int[Tensor, "node 3"]:
        """Where the kept nodes stand along x, y and z, in the order of `values`."""
        _, ny, nz = self.counts
        block = torch.stack([self.blocks // (ny * nz), self.blocks // nz % ny, self.blocks % nz], 1)
        side = torch.arange(BLOCK, device=block.device)
        return (BLOCK * block[:, None] + torch.cartesian_prod(side, side, side)).flatten(0, 1)

    def places(self) -> Float[Tensor, "node 3"]:
        """Positions of the kept nodes (metres)."""
        return self.numbers() * self.spec.spacing + self.values.new_tensor(self.spec.lower)

    def neighbours(self) -> Int[Tensor, "node 6"]:
        """Rows of the six neighbours of each kept node; -1 where there is none."""
        numbers = self.numbers()
        steps = torch.cat([torch.eye(3, dtype=torch.long), -torch.eye(3, dtype=torch.long)]).to(numbers.device)
        return torch.stack([self.rows(numbers + step) for step in steps], 1)


class SurfaceColour(nn.Module):
    """Colours of canonical points (metres): finest in the parts' grids, then in the first one, else the backdrop's.

    The backdrop is a coarse dense grid, so that points off the surface have a colour too; all pass into each other
    continuously.
    """

    def __init__(self, backdrop: GridSpec, grids: Sequence[BlockGrid]) -> None:
        super().__init__()
        self.backdrop_grid = backdrop
        self.grids = nn.ModuleList(grids)
        device = grids[0].values.device
        self.backdrop = nn.Parameter(torch.full((backdrop.count, 3), 0.5, device=device))

    @property
    def block_grids(self) -> list[BlockGrid]:
        """The fine grids, the first over all of the surface, the others over its parts."""
        return [grid for grid in self.grids if isinstance(grid, BlockGrid)]

    def forward(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"]:
        """sRGB-coded colours, 0 to 1; differentiable in the values at the nodes, and by the points."""
        found = interpolate(self.backdrop, *self.backdrop_grid.corners(points))
        for number, grid in enumerate(self.block_grids):
            rows, weights = grid.corners(points)
            own = interpolate(grid.values, rows, weights) + (1 - weights.sum(1, keepdim=True)) * found
            found = own if number == 0 else torch.lerp(found, own, part_share(grid.spec, points)[:, None])
        return found

    def linear(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"]:
        """Linear colours, 0 to 1."""
        return srgb_to_linear(self(points))

    @torch.no_grad()
    def quantise(self) -> None:
        """Round all values to those that bytes can hold, as the avatar file keeps them."""
        for values in self.parameters():
            values.copy_((values.clamp(0, 1) * 255).round() / 255)


def part_share(spec: GridSpec, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point"]:
    """How much the grid of a part counts at points: all but a zone inside its faces, nothing outside."""
    lower = points.new_tensor(spec.lower)
    upper = lower + spec.spacing * (points.new_tensor(spec.shape) - 1)
    share = (torch.minimum(points - lower, upper - points).amin(1) / TAPER).clamp(0, 1)
    return share * share * (3 - 2 * share)


@torch.no_grad()
def spread(
    values: Float[Tensor, "node channel"],
    known: Bool[Tensor, "node"],
    neighbours: Int[Tensor, "node 6"],
    smoothing: int,
) -> Float[Tensor, "node channel"]:
    """Values at all nodes: known ones as they are, the others spread from them along neighbours and then smoothed.

    Nodes that no known one can be reached from get the mean of the known ones. Where the way was long, in the middle
    of holes, they are smoothed `WIDE` times as often, since values from several sides meet there.
    """
    values, filled = values.clone(), known.clone()
    layer, number = torch.zeros_like(neighbours[:, 0]), 0
    open_nodes = (~known).nonzero()[:, 0]
    while len(open_nodes):
        near = neighbours[open_nodes]
        share = (filled[near.clamp_min(0)] & (near >= 0)).to(values)
        total = share.sum(1)
        reached = total > 0
        if not bool(reached.any()):
            break
        number += 1
        at = open_nodes[reached]
        values[at] = _mean(values, near[reached], share[reached])
        filled[at], layer[at] = True, number
        open_nodes = open_nodes[~reached]
    if bool(known.any()):
        values[~filled] = values[known].mean(0)
    for at, sweeps in ((~known, smoothing), (layer > DEEP, WIDE * smoothing)):
        some = at.nonzero()[:, 0]
        near = neighbours[some]
        share = (near >= 0).to(values)
        for _ in range(sweeps if len(some) else 0):
            values[some] = _mean(values, near, share)
    return values


def _mean(
    values: Float[Tensor, "node channel"], near: Int[Tensor, "some 6"], share: Float[Tensor, "some 6"]
) -> Float[Tensor, "some channel"]:
    total = functional.embedding_bag(near.clamp_min(0), values, per_sample_weights=share, mode="sum")
    return total / share.sum(1, keepdim=True).clamp_min(1)
