"""Which step size each kind of parameter of a head takes."""

from typing import Any

from torch import nn

from avatars.fields.colour import ColourField
from avatars.fields.geometry import GridGeometry, MlpGeometry
from avatars.fields.weights import GridWeights
from avatars.fit.video_options import VideoRates
from avatars.models.head_deformation import HeadDeformation

DISPLACED = 0.1
"""Feature grids of a displacement field move this much slower than those of colours: faster they only grow rough."""


def geometry_groups(geometry: GridGeometry | MlpGeometry, rates: VideoRates) -> list[dict[str, Any]]:
    """A geometry field's base, feature grids and networks, each with its own step size."""
    own = list(geometry.parameters())
    if not isinstance(geometry, GridGeometry):
        return [{"params": own, "lr": rates.network}]
    tables = list(geometry.grids.parameters())
    return [
        {"params": [geometry.base], "lr": rates.base, "uniform": True},
        {"params": tables, "lr": rates.features},
        {"params": _without(own, [geometry.base, *tables]), "lr": rates.network},
    ]


def motion_groups(motion: HeadDeformation, rates: VideoRates) -> list[dict[str, Any]]:
    """The fields that deform a head, those that it has, each with its own step size."""
    own = list(motion.parameters())
    weights = [] if motion.weights is None else list(motion.weights.parameters())
    offsets = [] if motion.offsets is None else list(motion.offsets.parameters())
    tables = [table for name, table in motion.named_parameters() if "tables" in name.split(".")]
    on_grids = isinstance(motion.weights, GridWeights)
    return [
        {"params": weights, "lr": rates.weights, "uniform": on_grids},
        {"params": offsets, "lr": rates.offsets if on_grids else rates.network, "uniform": on_grids},
        {"params": tables, "lr": DISPLACED * rates.features},
        {"params": _without(own, [*weights, *offsets, *tables]), "lr": rates.network},
    ]


def colour_groups(colour: ColourField, rates: VideoRates) -> list[dict[str, Any]]:
    """A colour field's feature grids and network, each with its own step size."""
    tables = list(colour.grids.parameters())
    return [
        {"params": tables, "lr": rates.features},
        {"params": _without(list(colour.parameters()), tables), "lr": rates.network},
    ]


def _without(parameters: list[nn.Parameter], others: list[nn.Parameter]) -> list[nn.Parameter]:
    return [parameter for parameter in parameters if all(parameter is not other for other in others)]
