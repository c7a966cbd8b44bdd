"""Density and colour in space, told the expression: the field of a dynamic NeRF (NerFACE, arXiv 2012.03065)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, relu, softplus

from avatars.fields.colour import FIRST_COLOUR, FIRST_SPREAD
from avatars.fields.encoding import FeatureGrids
from avatars.fields.grid import GridSpec
from body_models.errors import InputError

DENSEST_SLOPE = 100.0
"""Density grows like an exponential up to about this and in proportion beyond (per metre and unit of the network)."""
FIRST_DENSITY = 1.0
"""Space starts as a thin fog (per metre)."""


class RadianceField(nn.Module):
    """Feature grids with a small decoder; the condition shifts its first layers, frame by frame (metres).

    Points are given to the decoder as (x - centre) * scale besides their features; colours depend on the viewing
    direction too. Raises InputError for sizes that leave no network.
    """

    centre: Tensor

    def __init__(
        self,
        grids: list[tuple[GridSpec, int]],
        condition: int,
        width: int = 64,
        feature_size: int = 16,
        centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
        scale: float = 4.0,
    ) -> None:
        super().__init__()
        if min(width, feature_size, condition) < 1:
            raise InputError(
                "A radiance field needs a width, a feature and a condition of at least one, "
                f"not width {width}, feature {feature_size}, condition {condition}."
            )
        self.condition, self.width, self.scale = condition, width, scale
        self.register_buffer("centre", torch.tensor(centre))
        self.grids = FeatureGrids(grids)
        self.told = nn.Linear(condition, 2 * width)
        self.first = nn.Linear(3 + self.grids.size, width, bias=False)
        self.second = nn.Linear(width, width, bias=False)
        self.density = nn.Linear(width, 1)
        self.feature = nn.Linear(width, feature_size)
        self.shade = nn.Linear(feature_size + 3, width)
        self.colour = nn.Linear(width, 3)
        with torch.no_grad():
            self.density.weight.mul_(FIRST_SPREAD)
            self.density.bias.fill_(float(torch.tensor(FIRST_DENSITY / DENSEST_SLOPE).expm1().log()))
            self.colour.weight.mul_(FIRST_SPREAD)
            self.colour.bias.copy_(torch.logit(torch.tensor(FIRST_COLOUR)))

    def tell(self, condition: Float[Tensor, "frame condition"]) -> Float[Tensor, "frame told"]:
        """What the decoder makes of conditions, computed once a frame.

        Raises InputError for a condition of another length than the field was made for.
        """
        if condition.shape[1] != self.condition:
            raise InputError(
                f"This radiance field takes a condition of {self.condition} numbers a frame, not {condition.shape[1]}."
            )
        told: Float[Tensor, "frame told"] = self.told(condition)
        return told

    def forward(
        self,
        points: Float[Tensor, "ray sample 3"],
        directions: Float[Tensor, "ray 3"],
        told: Float[Tensor, "ray told"],
    ) -> tuple[Float[Tensor, "ray sample"], Float[Tensor, "ray sample 3"]]:
        """Density (per metre) and colour (sRGB-coded, 0 to 1) at the points of rays with unit directions."""
        hidden = self._hidden(points, told)
        feature = self.feature(hidden)
        # The direction's part of the layer is the same for all points of a ray.
        wide, toward = self.shade.weight.split([feature.shape[-1], 3], 1)
        shift = linear(directions, toward, self.shade.bias)
        shaded = relu(linear(feature, wide) + shift[:, None])
        return self._density(hidden), torch.sigmoid(self.colour(shaded))

    def density_at(
        self, points: Float[Tensor, "ray sample 3"], told: Float[Tensor, "ray told"]
    ) -> Float[Tensor, "ray sample"]:
        """Density alone (per metre)."""
        return self._density(self._hidden(points, told))

    def _hidden(
        self, points: Float[Tensor, "ray sample 3"], told: Float[Tensor, "ray told"]
    ) -> Float[Tensor, "ray sample width"]:
        flat = points.reshape(-1, 3)
        inputs = torch.cat([(flat - self.centre) * self.scale, self.grids(flat)], 1).unflatten(0, points.shape[:2])
        first, second = told[:, None].split(self.width, -1)
        return relu(self.second(relu(self.first(inputs) + first)) + second)

    def _density(self, hidden: Float[Tensor, "ray sample width"]) -> Float[Tensor, "ray sample"]:
        return DENSEST_SLOPE * softplus(self.density(hidden)[..., 0])
