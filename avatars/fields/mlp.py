"""The field's standard MLP: weight normalisation, Softplus, a skip connection, optional positional encoding."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from body_models.errors import InputError


def positional_encoding(points: Float[Tensor, "point 3"], octaves: int) -> Float[Tensor, "point encoding"]:
    """The point itself, then sines and cosines of it at doubling frequencies (NeRF, equation 4, without pi)."""
    parts = [points]
    for octave in range(octaves):
        parts += [torch.sin(2.0**octave * points), torch.cos(2.0**octave * points)]
    return torch.cat(parts, dim=1)


class Mlp(nn.Module):
    """Hidden layers of one width; the input joins again at `skip`, a condition at `join`.

    `geometric` starts near a sphere about the origin, with about `centre` there (positive: positive inside); the
    input's first three numbers are then the point (metres). Activation: Softplus(100) unless another is given.
    Raises InputError for sizes at which the input cannot join again.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        depth: int,
        skip: int | None = None,
        join: int | None = None,
        condition: int = 0,
        geometric: bool = False,
        centre: float = 1.0,
        activation: nn.Module | None = None,
        normed: bool = True,
    ) -> None:
        super().__init__()
        if skip is not None and skip <= depth and (skip < 1 or width <= inputs):
            raise InputError(
                f"A network of depth {depth} and width {width} cannot take its input of {inputs} numbers in again at "
                f"layer {skip}: a depth of 2 or more and a width above {inputs} are needed, or fewer octaves."
            )
        self.skip, self.join = skip, join
        self.layers = nn.ModuleList()
        for layer in range(depth + 1):
            fan_in = inputs if layer == 0 else width
            if layer == join:
                fan_in += condition
            fan_out = outputs if layer == depth else width - (inputs if layer + 1 == skip else 0)
            linear = nn.Linear(fan_in, fan_out)
            if geometric:
                _geometric_start(linear, layer == depth, centre)
                if layer in (0, skip):  # the sphere comes of the point alone: its encoding starts silent
                    first = 0 if layer == 0 else width - inputs
                    nn.init.zeros_(linear.weight[:, first + 3 : first + inputs])
            self.layers.append(weight_norm(linear) if normed else linear)
        self.activation = activation or nn.Softplus(beta=100)

    def forward(
        self, inputs: Float[Tensor, "point input"], condition: Float[Tensor, "point condition"] | None = None
    ) -> Float[Tensor, "point output"]:
        """Evaluate the network."""
        hidden = inputs
        for number, layer in enumerate(self.layers):
            if number == self.skip:
                hidden = torch.cat([hidden, inputs], 1) / math.sqrt(2)
            if number == self.join and condition is not None:
                hidden = torch.cat([hidden, condition], 1)
            hidden = layer(hidden)
            if number + 1 < len(self.layers):
                hidden = self.activation(hidden)
        return hidden


def _geometric_start(linear: nn.Linear, last: bool, centre: float) -> None:
    """Start near a sphere (IGR, section 5); `centre` gives the bias of the last layer and the sign inside."""
    if last:
        slope = -math.copysign(math.sqrt(math.pi) / math.sqrt(linear.in_features), centre)
        nn.init.normal_(linear.weight, slope, 1e-4)
        nn.init.constant_(linear.bias, centre)
    else:
        nn.init.normal_(linear.weight, 0.0, math.sqrt(2) / math.sqrt(linear.out_features))
        nn.init.zeros_(linear.bias)
