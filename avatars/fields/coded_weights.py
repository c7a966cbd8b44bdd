"""Skinning weights of many people: one field for everybody, changed by each person's shape code."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avatars.fields.mlp import Mlp
from avatars.fields.patches import PatchedGrid
from avatars.fields.reading import read, read_with_slopes
from avatars.fields.softmax import SHARPNESS
from avatars.fields.weights import SMALLEST

NODES_AT_ONCE = 50_000


@runtime_checkable
class CodedWeights(Protocol):
    """Skinning weights at canonical points of several people (gDNA, section 3.2).

    `tables` of some codes are computed once for many points.
    """

    def mean_at_nodes(self) -> Float[Tensor, "node bone"]:
        """Log-weights of the code zero at the nodes of the grid that searches use."""
        ...

    def tables(self, codes: Float[Tensor, "subject code"]) -> Float[Tensor, "row channel"]:
        """What the codes say, for the other doors."""
        ...

    def log_weights(
        self, points: Float[Tensor, "point 3"], subject: Int[Tensor, "point"], tables: Float[Tensor, "row channel"]
    ) -> Float[Tensor, "point bone"]:
        """Logarithms of the weights at canonical points (metres), but for a constant of each point."""
        ...

    def with_slopes(
        self, points: Float[Tensor, "point 3"], subject: Int[Tensor, "point"], tables: Float[Tensor, "row channel"]
    ) -> tuple[Float[Tensor, "point bone"], Float[Tensor, "point 3 bone"]]:
        """The same with derivatives along x, y and z (per metre), constant to gradients."""
        ...


class GridCodedWeights(nn.Module):
    """Log-weights on a grid plus a few coarse patterns that the code mixes; a code of zeros changes nothing."""

    def __init__(self, grid: PatchedGrid, patterns: PatchedGrid, bones: int, code: int, rank: int) -> None:
        super().__init__()
        self.grid, self.pattern_grid, self.bones = grid, patterns, bones
        self.logits = nn.Parameter(torch.zeros(grid.count, bones))
        self.patterns = nn.Parameter(0.01 * torch.randn(rank, patterns.count * bones))
        self.mix = nn.Linear(code, rank, bias=False)

    def start_from(self, weights: Float[Tensor, "node bone"]) -> None:
        """Begin at one body's weights, a row a node."""
        with torch.no_grad():
            self.logits.copy_(weights.clamp_min(SMALLEST).log() / SHARPNESS)

    def mean_at_nodes(self) -> Float[Tensor, "node bone"]:
        """Log-weights of the code zero at the grid's nodes."""
        return SHARPNESS * self.logits

    def tables(self, codes: Float[Tensor, "subject code"]) -> Float[Tensor, "row bone"]:
        """What each code adds to the log-weights at the nodes of the patterns, the rows of all on end."""
        return (self.mix(codes) @ self.patterns).reshape(-1, self.bones)

    def log_weights(
        self, points: Float[Tensor, "point 3"], subject: Int[Tensor, "point"], tables: Float[Tensor, "row bone"]
    ) -> Float[Tensor, "point bone"]:
        """Logarithms of the weights at canonical points (metres), but for a constant of each point."""
        own = read(tables, self.pattern_grid, points, frame=subject)
        return SHARPNESS * read(self.logits, self.grid, points) + own

    @torch.no_grad()
    def with_slopes(
        self, points: Float[Tensor, "point 3"], subject: Int[Tensor, "point"], tables: Float[Tensor, "row bone"]
    ) -> tuple[Float[Tensor, "point bone"], Float[Tensor, "point 3 bone"]]:
        """The same with derivatives along x, y and z (per metre), constant to gradients."""
        values, rises = read_with_slopes(self.logits, self.grid, points)
        own, slopes = read_with_slopes(tables, self.pattern_grid, points, frame=subject)
        return SHARPNESS * values + own, SHARPNESS * rises + slopes


class MlpCodedWeights(nn.Module):
    """gDNA's skinning network: 4 layers of 128, the shape code beside the point."""

    def __init__(self, grid: PatchedGrid, bones: int, code: int, width: int = 128, depth: int = 4) -> None:
        super().__init__()
        self.grid, self.code = grid, code
        self.mlp = Mlp(3 + code, bones, width, depth)

    def mean_at_nodes(self) -> Float[Tensor, "node bone"]:
        """Log-weights of the code zero at the nodes of the grid that searches use."""
        first = next(self.parameters())
        nodes, none = self.grid.nodes().to(first), first.new_zeros(1, self.code)
        parts = [(some, torch.zeros_like(some[:, 0]).long()) for some in nodes.split(NODES_AT_ONCE)]
        return torch.cat([self.log_weights(some, subject, none) for some, subject in parts])

    def tables(self, codes: Float[Tensor, "subject code"]) -> Float[Tensor, "subject code"]:
        """The codes themselves."""
        return codes

    def log_weights(
        self, points: Float[Tensor, "point 3"], subject: Int[Tensor, "point"], tables: Float[Tensor, "subject code"]
    ) -> Float[Tensor, "point bone"]:
        """Logarithms of the weights at canonical points (metres), but for a constant of each point."""
        values: Tensor = self.mlp(torch.cat([points, tables[subject]], 1))
        return SHARPNESS * values

    def with_slopes(
        self, points: Float[Tensor, "point 3"], subject: Int[Tensor, "point"], tables: Float[Tensor, "subject code"]
    ) -> tuple[Float[Tensor, "point bone"], Float[Tensor, "point 3 bone"]]:
        """The same with derivatives along x, y and z (per metre), constant to gradients."""
        with torch.enable_grad():
            at = points.detach().requires_grad_()
            values = self.log_weights(at, subject, tables.detach())
            rows = [torch.autograd.grad(column.sum(), at, retain_graph=True)[0] for column in values.unbind(1)]
        return values.detach(), torch.stack(rows, 2)
