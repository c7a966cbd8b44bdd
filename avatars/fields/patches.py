"""A coarse grid over a whole box with finer grids over parts of it (hands, face), used as one grid."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatars.fields.grid import GridSpec
from body_models import InputError


@dataclass(frozen=True)
class PatchedGrid:
    """Grids whose nodes are numbered on end; the first covers everything, a later one counts before an earlier one.

    Values are continuous where the rim of a fine patch repeats what the first grid says there (see `rim`).
    """

    patches: tuple[GridSpec, ...]

    @property
    def offsets(self) -> tuple[int, ...]:
        """Number of each patch's first node."""
        counts = [patch.count for patch in self.patches]
        return tuple(sum(counts[:i]) for i in range(len(counts)))

    @property
    def count(self) -> int:
        """Number of nodes of all patches."""
        return sum(patch.count for patch in self.patches)

    def nodes(self) -> Float[Tensor, "node 3"]:
        """Positions of all nodes (metres)."""
        return torch.cat([patch.nodes() for patch in self.patches])

    def corners(self, points: Float[Tensor, "point 3"]) -> tuple[Int[Tensor, "point 8"], Float[Tensor, "point 8"]]:
        """The eight nodes about each point and their trilinear weights, in the finest patch that holds the point."""
        index, weights = self.patches[0].corners(points)
        for patch, offset, within in self._finer(points):
            fine_index, fine_weights = patch.corners(points)
            index = torch.where(within[:, None], fine_index + offset, index)
            weights = torch.where(within[:, None], fine_weights, weights)
        return index, weights

    def corner_slopes(
        self, points: Float[Tensor, "point 3"]
    ) -> tuple[Int[Tensor, "point 8"], Float[Tensor, "point 8"], Float[Tensor, "point 3 8"]]:
        """As `corners`, and the derivatives of the weights along x, y and z (per metre)."""
        index, weights, slopes = self.patches[0].corner_slopes(points)
        for patch, offset, within in self._finer(points):
            fine_index, fine_weights, fine_slopes = patch.corner_slopes(points)
            index = torch.where(within[:, None], fine_index + offset, index)
            weights = torch.where(within[:, None], fine_weights, weights)
            slopes = torch.where(within[:, None, None], fine_slopes, slopes)
        return index, weights, slopes

    def thinned(self, coarsest: float) -> tuple["PatchedGrid", Int[Tensor, "coarse"]]:
        """The grid with every second node along each axis left out, and the numbers of the nodes that stay.

        Patches whose spacing would grow above `coarsest` (metres) keep all nodes; all counts must be odd.
        """
        thin, picked = [], []
        for patch, offset in zip(self.patches, self.offsets, strict=True):
            step = 2 if 2 * patch.spacing <= coarsest else 1
            shape = tuple((n - 1) // step + 1 for n in patch.shape)
            thin.append(GridSpec(patch.lower, step * patch.spacing, (shape[0], shape[1], shape[2])))
            numbers = torch.arange(patch.count).reshape(patch.shape)[::step, ::step, ::step]
            picked.append(offset + numbers.reshape(-1))
        return PatchedGrid(tuple(thin)), torch.cat(picked)

    def rim(self) -> tuple[Int[Tensor, "rim"], Int[Tensor, "rim 8"], Float[Tensor, "rim 8"]]:
        """Outermost nodes of the fine patches, with the nodes and weights of the first grid that give their values."""
        numbers, places = [], []
        for patch, offset in list(zip(self.patches, self.offsets, strict=True))[1:]:
            inner = torch.zeros(patch.shape, dtype=torch.bool)
            inner[1:-1, 1:-1, 1:-1] = True
            outer = torch.nonzero(~inner.reshape(-1))[:, 0]
            numbers.append(offset + outer)
            places.append(patch.nodes()[outer])
        if not numbers:
            empty = torch.zeros(0, 8)
            return torch.zeros(0, dtype=torch.long), empty.long(), empty
        index, weights = self.patches[0].corners(torch.cat(places))
        return torch.cat(numbers), index, weights

    def rim_on(self, device: torch.device) -> tuple[Int[Tensor, "rim"], Int[Tensor, "rim 8"], Float[Tensor, "rim 8"]]:
        """The rim as `rim` gives it, on a device, found once."""
        return _rim_on(self, device)

    def _finer(self, points: Float[Tensor, "point 3"]) -> list[tuple[GridSpec, int, Bool[Tensor, "point"]]]:
        return [
            (patch, offset, patch.contains(points))
            for patch, offset in list(zip(self.patches, self.offsets, strict=True))[1:]
        ]


@lru_cache(maxsize=64)
def _rim_on(
    grid: PatchedGrid, device: torch.device
) -> tuple[Int[Tensor, "rim"], Int[Tensor, "rim 8"], Float[Tensor, "rim 8"]]:
    numbers, corners, weights = grid.rim()
    return numbers.to(device), corners.to(device), weights.to(device)


def patched_grid(
    lower: Float[Tensor, "3"],
    upper: Float[Tensor, "3"],
    spacing: float,
    parts: list[Float[Tensor, "2 3"]] | None = None,
    part_spacing: float = 0.0,
) -> PatchedGrid:
    """Grids over a box and over parts of it (lowest and highest corner each), every count odd (metres).

    Parts grow to whole cells of the first grid and their spacing divides its spacing, at most `part_spacing`: only so
    do values pass continuously from one to the other. Raises InputError for a spacing that is not positive.
    """
    first = _odd(GridSpec.covering(lower, upper, spacing))
    return PatchedGrid((first, *(_part_of(first, part, part_spacing) for part in parts or [])))


def _part_of(first: GridSpec, part: Float[Tensor, "2 3"], spacing: float) -> GridSpec:
    if not spacing > 0:
        raise InputError(f"The spacing of a grid's finer parts must be positive, not {spacing} m.")
    divisions = 2 * math.ceil(first.spacing / spacing / 2)  # even, so that every second node falls on whole cells too
    lower, shape = [], []
    for axis in range(3):
        begin = math.floor((float(part[0, axis]) - first.lower[axis]) / first.spacing)
        end = math.ceil((float(part[1, axis]) - first.lower[axis]) / first.spacing)
        begin = min(max(begin, 0), first.shape[axis] - 2)
        end = min(max(end, begin + 1), first.shape[axis] - 1)
        lower.append(first.lower[axis] + begin * first.spacing)
        shape.append((end - begin) * divisions + 1)
    return GridSpec((lower[0], lower[1], lower[2]), first.spacing / divisions, (shape[0], shape[1], shape[2]))


def _odd(spec: GridSpec) -> GridSpec:
    x, y, z = (n + 1 - n % 2 for n in spec.shape)
    return GridSpec(spec.lower, spec.spacing, (max(x, 3), max(y, 3), max(z, 3)))
