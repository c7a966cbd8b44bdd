"""From which bones a search starts: those that have influence where they would put the point."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from avatars.fields.patches import PatchedGrid
from body_models.precision import matmul

LEVELS = 255


@dataclass(frozen=True)
class StartTable:
    """Influence of each bone over canonical space, coarsely.

    A root that mostly follows bone b lies near where b's rigid motion alone came from. So a search need start from b
    only if b weighs something there, however many bones there are.
    """

    grid: PatchedGrid
    influence: UInt8[Tensor, "node bone"]
    """Skinning weights at the nodes in steps of 1/255."""

    @property
    def bones(self) -> int:
        """Number of bones."""
        return self.influence.shape[1]

    def at(self, points: Float[Tensor, "point bone 3"]) -> Int[Tensor, "point bone"]:
        """Influence of each bone at its own point, read at the nearest node; points beyond take the border's."""
        number = nearest_nodes(self.grid, points.flatten(0, 1)).reshape(points.shape[:2])
        bone = torch.arange(self.bones, device=points.device)
        return self.influence[number, bone].int()

    @cached_property
    def _reaches(self) -> dict[int, Float[Tensor, "bone 2 3"]]:
        return {}

    def reaches(self, least: int) -> Float[Tensor, "bone 2 3"]:
        """Boxes (lowest, highest corner; metres) beyond which a bone's influence is below `least` for certain.

        Where a bone has influence on the border of the grid, its box has no end there, since points beyond the border
        take the border's values. A bone without influence anywhere has a box that holds nothing.
        """
        if least not in self._reaches:
            self._reaches[least] = self._boxes(least)
        return self._reaches[least]

    def _boxes(self, least: int) -> Float[Tensor, "bone 2 3"]:
        device = self.influence.device
        lower = torch.full((self.bones, 3), torch.inf, device=device)
        upper = -lower
        for patch, offset in zip(self.grid.patches, self.grid.offsets, strict=True):
            felt = (self.influence[offset : offset + patch.count] >= least).view(*patch.shape, self.bones)
            for axis in range(3):
                others = [a for a in range(3) if a != axis]
                along = felt.amax(others)  # node bone
                places = patch.lower[axis] + patch.spacing * torch.arange(patch.shape[axis], device=device)
                low, high = places - 0.51 * patch.spacing, places + 0.51 * patch.spacing
                if offset == 0:
                    low[0], high[-1] = -torch.inf, torch.inf
                lower[:, axis] = torch.minimum(lower[:, axis], torch.where(along, low[:, None], torch.inf).amin(0))
                upper[:, axis] = torch.maximum(upper[:, axis], torch.where(along, high[:, None], -torch.inf).amax(0))
        return torch.stack([lower, upper], dim=1)


def start_table(grid: PatchedGrid, weights: Float[Tensor, "node bone"]) -> StartTable:
    """The table of weights given at a grid's nodes."""
    return StartTable(grid, (weights.detach() * LEVELS).to(torch.uint8).contiguous())


def nearest_nodes(grid: PatchedGrid, points: Float[Tensor, "point 3"]) -> Int[Tensor, "point"]:
    """Number of the node nearest to each point, in the finest patch that holds it."""
    number = torch.zeros(len(points), dtype=torch.long, device=points.device)
    for rank, (patch, offset) in enumerate(zip(grid.patches, grid.offsets, strict=True)):
        highest = points.new_tensor([n - 1.0 for n in patch.shape])
        scaled = (points - points.new_tensor(patch.lower)) * (1.0 / patch.spacing)
        step = (scaled.nan_to_num().clamp(torch.zeros_like(highest), highest) + 0.5).long()
        here = offset + (step[:, 0] * patch.shape[1] + step[:, 1]) * patch.shape[2] + step[:, 2]
        number = here if rank == 0 else torch.where(patch.contains(points), here, number)
    return number


def choose_starts(
    posed: Float[Tensor, "point 3"],
    canonical_from_posed: Float[Tensor, "point bone 3 4"],
    table: StartTable,
    count: int,
    least: int,
    reach: float,
) -> tuple[Float[Tensor, "point start 3"], Bool[Tensor, "point start"]]:
    """Start points of each posed point, the most influential bones' first, and which of them are to be used.

    A start must lie within `reach` (metres) of the table's box and its bone weigh at least `least`/255 there.
    """
    start = matmul(canonical_from_posed[..., :3], posed[:, None, :, None])[..., 0] + canonical_from_posed[..., 3]
    lower = posed.new_tensor(table.grid.patches[0].lower)
    upper = lower + table.grid.patches[0].spacing * (posed.new_tensor(table.grid.patches[0].shape) - 1)
    near = ((start >= lower - reach) & (start <= upper + reach)).all(-1)  # false for what is not a number
    rank = torch.where(near, table.at(start), -1)
    order = rank.argsort(dim=1, descending=True, stable=True)[:, :count]
    chosen = start.gather(1, order[..., None].expand(-1, -1, 3))
    return chosen, rank.gather(1, order) >= least
