"""Feature volumes that are linear in a code: a mean and a basis on those nodes of a grid that lie near the body."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avatars.fields.grid import GridSpec
from avatars.fields.reading import read
from body_models.errors import InputError


class EigenVolumes(nn.Module):
    """Feature vectors at a grid's nodes, linear in a code that tells subjects apart; zero at nodes that are not active.

    The fast stand-in for gDNA's generator of feature volumes: what learned eigenfaces are to a network. `active` holds
    the numbers of the nodes with values, each once; the basis begins as noise of `spread`, the mean at zero. Raises
    InputError for sizes below one, a negative spread, and active nodes that are none of the grid's or come twice.
    """

    active: Tensor

    def __init__(self, grid: GridSpec, active: Int[Tensor, "active"], code: int, channels: int, spread: float) -> None:
        super().__init__()
        _check(grid, active, code, channels, spread)
        self.grid, self.code, self.channels = grid, code, channels
        self.register_buffer("active", active.long().clone())
        self.basis = nn.Parameter(spread * torch.randn(code, len(active) * channels))
        self.mean = nn.Parameter(torch.zeros(len(active), channels))

    def tables(self, codes: Float[Tensor, "subject code"]) -> Float[Tensor, "row channel"]:
        """Features of all nodes, the rows of all subjects on end, as `read` takes them with `frame=subject`."""
        values = torch.addmm(self.mean.flatten(), codes, self.basis).unflatten(1, (-1, self.channels))
        rows = values.new_zeros(len(codes) * self.grid.count, self.channels)
        firsts = self.grid.count * torch.arange(len(codes), device=codes.device)
        return rows.index_copy_(0, (firsts[:, None] + self.active).flatten(), values.flatten(0, 1))

    def forward(
        self, points: Float[Tensor, "point 3"], subject: Int[Tensor, "point"], codes: Float[Tensor, "subject code"]
    ) -> Float[Tensor, "point channel"]:
        """Features at points (metres), each of its subject; points outside take the border's."""
        return read(self.tables(codes), self.grid, points, frame=subject)


def active_nodes(grid: GridSpec, distance: Float[Tensor, "node"], reach: float) -> Int[Tensor, "active"]:
    """Numbers of the nodes within `reach` of the body or inside it, by their signed distance to it (metres).

    Raises InputError when there are none, or when there is not one distance for each node.
    """
    if len(distance) != grid.count:
        raise InputError(f"There are {len(distance)} distances for {grid.count} nodes: give one for each.")
    active = (distance < reach).nonzero()[:, 0]
    if len(active) == 0:
        raise InputError(f"No node of the grid lies within {reach} m of the body: give a longer reach.")
    return active


def _check(grid: GridSpec, active: Tensor, code: int, channels: int, spread: float) -> None:
    if min(code, channels, len(active)) < 1:
        raise InputError(
            f"Feature volumes need a code, channels and active nodes of at least one, "
            f"not {code}, {channels} and {len(active)}."
        )
    if not spread >= 0:
        raise InputError(f"The spread of feature volumes must be 0 or more, not {spread}.")
    if int(active.min()) < 0 or int(active.max()) >= grid.count or len(active.unique()) < len(active):
        raise InputError(f"Active nodes must be numbers from 0 to {grid.count - 1}, each once.")
