"""Canonical colour fields, told the posed normal, the expression and the geometry's feature, but no view direction."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avatars.fields.encoding import FeatureGrids
from avatars.fields.grid import GridSpec
from avatars.fields.mlp import Mlp, positional_encoding
from body_models.errors import InputError

SQUEEZED = 8
"""Numbers that expression and jaw are squeezed to (IMavatar)."""

FIRST_COLOUR = (0.6, 0.52, 0.48)
"""Colours start near this greyish skin (sRGB-coded)."""

FIRST_SPREAD = 0.1
"""Share of the last layer's ordinary start: first colours differ little from place to place."""

ORDINARY = 0.98
"""Quantile of the conditions of a video that still counts as ordinary."""


class ColourField(nn.Module):
    """An MLP on points, normals, squeezed condition and feature, with feature grids of its own where given.

    The publication's sizes are the defaults; the fast field has two layers of 64, no octaves and grids. Points are
    encoded as (x - centre) * scale (metres). Raises InputError for sizes that leave no network.
    """

    centre: Tensor
    lowest: Tensor
    """Conditions count as at least this: what was never seen shall not colour the head."""
    highest: Tensor

    def __init__(
        self,
        feature_size: int,
        condition: int,
        width: int = 512,
        depth: int = 4,
        octaves: int = 4,
        grids: list[tuple[GridSpec, int]] | None = None,
        centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
        scale: float = 4.0,
    ) -> None:
        super().__init__()
        if min(width, depth) < 1 or min(feature_size, condition, octaves) < 0:
            raise InputError(
                f"A colour field needs a width and a depth of at least one and no negative size, "
                f"not width {width}, depth {depth}, feature {feature_size}, condition {condition}, octaves {octaves}."
            )
        self.feature_size, self.condition, self.octaves, self.scale = feature_size, condition, octaves, scale
        self.register_buffer("centre", torch.tensor(centre))
        self.register_buffer("lowest", torch.full((condition,), -torch.inf))
        self.register_buffer("highest", torch.full((condition,), torch.inf))
        self.grids = FeatureGrids(grids or [])
        self.squeeze = nn.Linear(condition, SQUEEZED) if condition else None
        inputs = 3 + 6 * octaves + 3 + (SQUEEZED if condition else 0) + feature_size + self.grids.size
        self.mlp = Mlp(inputs, 3, width, depth, activation=nn.ReLU())
        last: Any = self.mlp.layers[-1]
        with torch.no_grad():
            last.weight = FIRST_SPREAD * last.weight
            last.bias.copy_(torch.atanh(2 * torch.tensor(FIRST_COLOUR) - 1))

    def limit_to(self, conditions: Float[Tensor, "frame condition"]) -> None:
        """Conditions beyond the ordinary range of these ones will count as its ends: nothing was learned of them."""
        self.lowest.copy_(conditions.quantile(1 - ORDINARY, 0))
        self.highest.copy_(conditions.quantile(ORDINARY, 0))

    def forward(
        self,
        points: Float[Tensor, "point 3"],
        normals: Float[Tensor, "point 3"],
        condition: Float[Tensor, "point condition"],
        feature: Float[Tensor, "point feature"],
    ) -> Float[Tensor, "point 3"]:
        """Colours in 0..1 (sRGB-coded) at canonical points (metres) with posed unit normals.

        Raises InputError for a condition or feature of another length than the field was made for.
        """
        for name, given, wanted in (("condition", condition, self.condition), ("feature", feature, self.feature_size)):
            if given.shape[1] != wanted:
                raise InputError(f"This colour field takes a {name} of {wanted} numbers a point, not {given.shape[1]}.")
        parts = [positional_encoding((points - self.centre) * self.scale, self.octaves), normals]
        if self.squeeze is not None:
            parts.append(self.squeeze(condition.clamp(self.lowest, self.highest)))
        return 0.5 + 0.5 * torch.tanh(self.mlp(torch.cat([*parts, feature, self.grids(points)], 1)))
