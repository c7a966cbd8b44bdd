"""Tells pictures of real surfaces from made ones: a small residual network after StyleGAN2's discriminator."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from avatars.fit.options import check_range
from body_models import InputError

SLOPE, GAIN = 0.2, math.sqrt(2)
"""Of the leaky ReLU: for negative values, and of all, so that the variance stays."""
BLUR = (1.0, 3.0, 3.0, 1.0)
"""Taps along both axes, before every second pixel is left out."""
GROUP = 4
"""Pictures that are told how much they differ from each other, at most."""


@dataclass(frozen=True)
class DiscriminatorOptions:
    """Sizes of the discriminator; those by default are meant for a CPU."""

    size: int = 128
    """Pixels along a side of the pictures."""
    widths: tuple[int, ...] = (16, 32, 64, 64, 64)
    """Channels at full size and after each halving."""

    def __post_init__(self) -> None:
        check_range("discriminator: size", self.size, 4)
        for width in self.widths:
            check_range("discriminator: widths", width, 1)
        if not self.widths or self.size % 2 ** (len(self.widths) - 1) or self.last < 4:
            raise InputError(
                f"discriminator: pictures of {self.size} pixels cannot be halved {len(self.widths) - 1} times down to "
                "4 pixels or more: give fewer or more widths, or a size that is a power of two."
            )

    @property
    def last(self) -> int:
        """Pixels along a side after the last halving."""
        return self.size // 2 ** (len(self.widths) - 1)


class Discriminator(nn.Module):
    """Pictures to logits, positive for real ones.

    Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020 (residual discriminator).
    """

    def __init__(self, options: DiscriminatorOptions) -> None:
        super().__init__()
        self.options, widths, last = options, options.widths, options.widths[-1]
        self.first = EqualConv(3, widths[0], 3)
        self.blocks = nn.ModuleList([Halving(a, b) for a, b in pairwise(widths)])
        self.mixed = EqualConv(last + 1, last, 3)
        self.hidden, self.logit = EqualLinear(last * options.last**2, last), EqualLinear(last, 1)

    def forward(self, pictures: Float[Tensor, "picture 3 row column"]) -> Float[Tensor, "picture"]:
        """Logits of pictures with values from 0 to 1."""
        # channels last: two to three times as fast on a CPU
        values = leaky(self.first((2 * pictures - 1).contiguous(memory_format=torch.channels_last)))
        for block in self.blocks:
            values = block(values)
        values = leaky(self.mixed(with_spread(values)))
        return self.logit(leaky(self.hidden(values.flatten(1))))[:, 0]


class EqualConv(nn.Module):
    """A convolution whose weights are scaled when used, so that all layers learn at one pace (Karras et al., 2018)."""

    def __init__(self, inputs: int, outputs: int, size: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale, self.padding = 1 / math.sqrt(inputs * size**2), size // 2

    def forward(self, values: Float[Tensor, "picture input row column"]) -> Float[Tensor, "picture output row column"]:
        """Convolve, with zeros beyond the borders."""
        return functional.conv2d(values, self.weight * self.scale, self.bias, padding=self.padding)


class EqualLinear(nn.Module):
    """The linear layer of the same kind."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, values: Float[Tensor, "picture input"]) -> Float[Tensor, "picture output"]:
        """The linear map."""
        return functional.linear(values, self.weight / math.sqrt(self.weight.shape[1]), self.bias)


class Halving(nn.Module):
    """A residual block that halves the picture."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = EqualConv(inputs, inputs, 3), EqualConv(inputs, outputs, 3)
        self.past = EqualConv(inputs, outputs, 1, bias=False)

    def forward(self, values: Float[Tensor, "picture input row column"]) -> Float[Tensor, "picture output half half2"]:
        """The block; the variance stays what it was."""
        detailed = leaky(self.second(halved(leaky(self.first(values)))))
        return (detailed + self.past(halved(values))) / math.sqrt(2)


def leaky(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Leaky ReLU with a gain."""
    return functional.leaky_relu(values, SLOPE) * GAIN


def halved(values: Float[Tensor, "picture channel row column"]) -> Float[Tensor, "picture channel half half2"]:
    """Every second pixel of the blurred picture, with zeros beyond its borders."""
    channels, taps = values.shape[1], torch.tensor(BLUR).to(values) / sum(BLUR)
    kernel = torch.outer(taps, taps).expand(channels, 1, 4, 4)
    return functional.conv2d(values, kernel, stride=2, padding=1, groups=channels)


def with_spread(values: Float[Tensor, "picture channel row column"]) -> Float[Tensor, "picture more row column"]:
    """A channel added that tells how much the pictures of a group differ (Karras et al., 2018, section 3).

    Neighbours form a group, so that processes that share a batch form the groups that one would.
    """
    count = len(values)
    size = max(size for size in range(1, GROUP + 1) if count % size == 0)
    groups = values.unflatten(0, (count // size, size))
    spread = (groups.var(1, correction=0) + 1e-8).sqrt().mean((1, 2, 3))
    channel = spread.repeat_interleave(size)[:, None, None, None].expand(-1, 1, *values.shape[2:])
    return torch.cat([values, channel], 1)
