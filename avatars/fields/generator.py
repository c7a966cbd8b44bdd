"""gDNA's generator of feature volumes: a learned constant, made a subject's by AdaIN and grown by convolutions."""

from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from avatars.fields.grid import GridSpec
from avatars.fields.reading import read
from body_models.errors import InputError

EPSILON = 1e-5
"""Added to the variance of a channel where it is normalised."""
SLOPE = 0.01
"""Of the leaky ReLU, for negative values."""
START_SPREAD = 0.002
"""Of the learned constant at the start."""


class AdaptiveNorm(nn.Module):
    """AdaIN: each channel gets the mean and the spread that a linear layer tells from the code; 0 and 1 at first.

    Source: Huang and Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization", ICCV 2017.
    """

    def __init__(self, code: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(code, 2 * channels)
        with torch.no_grad():
            self.linear.bias.zero_()[channels:].fill_(1.0)

    def forward(
        self, volume: Float[Tensor, "subject channel x y z"], codes: Float[Tensor, "subject code"]
    ) -> Float[Tensor, "subject channel x y z"]:
        """The volume with statistics of the subjects' own."""
        mean, spread = self.linear(codes)[:, :, None, None, None].chunk(2, dim=1)
        return functional.instance_norm(volume, eps=EPSILON) * spread + mean


class VolumeGenerator(nn.Module):
    """Feature volumes of subjects from their codes, on a grid that covers a box (metres).

    With the given sizes the paper's (gDNA, CVPR 2022, section 3.1 and its public code): a constant of 8 x 8 x 2 nodes
    along x, y and z with 256 channels, doubled three times. Its nodes are as far apart along all axes, so that the box
    is covered with some room to spare. It has the doors of `EigenVolumes`; points outside the grid take the border's
    features (the paper: zeros). Raises InputError for sizes that cannot be.
    """

    def __init__(
        self,
        lower: Float[Tensor, "3"],
        upper: Float[Tensor, "3"],
        code: int = 64,
        channels: tuple[int, ...] = (256, 128, 64, 64),
        start: tuple[int, int, int] = (8, 8, 2),
    ) -> None:
        super().__init__()
        if len(channels) < 2 or min(*channels, *start, code) < 1:
            raise InputError(f"A generator needs channels, start and code from 1, not {channels}, {start}, {code}.")
        doublings = len(channels) - 1
        self.grid = grid_of_shape(lower, upper, (start[0] << doublings, start[1] << doublings, start[2] << doublings))
        self.code, self.channels = code, channels[-1]
        self.constant = nn.Parameter(START_SPREAD * torch.randn(1, channels[0], *start))
        self.norms = nn.ModuleList([AdaptiveNorm(code, count) for count in channels[:-1]])
        pairs = pairwise(channels)
        self.convolutions = nn.ModuleList([nn.Conv3d(before, after, 3, padding=1) for before, after in pairs])

    def volumes(self, codes: Float[Tensor, "subject code"]) -> Float[Tensor, "subject channel x y z"]:
        """Features at the grid's nodes."""
        volume = self.constant.expand(len(codes), -1, -1, -1, -1)
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            volume = functional.leaky_relu(norm(volume, codes), SLOPE)
            volume = functional.interpolate(volume, scale_factor=2, mode="trilinear", align_corners=True)
            volume = convolution(volume)
        return functional.leaky_relu(volume, SLOPE)

    def tables(self, codes: Float[Tensor, "subject code"]) -> Float[Tensor, "row channel"]:
        """Features of all nodes, the rows of all subjects on end, as `read` takes them with `frame=subject`."""
        return self.volumes(codes).permute(0, 2, 3, 4, 1).reshape(-1, self.channels)

    def forward(
        self, points: Float[Tensor, "point 3"], subject: Int[Tensor, "point"], codes: Float[Tensor, "subject code"]
    ) -> Float[Tensor, "point channel"]:
        """Features at points (metres), each of its subject; points outside take the border's."""
        return read(self.tables(codes), self.grid, points, frame=subject)


def grid_of_shape(lower: Float[Tensor, "3"], upper: Float[Tensor, "3"], shape: tuple[int, int, int]) -> GridSpec:
    """The grid of given counts that covers a box as closely as equal spacings can, about its middle (metres).

    Raises InputError for fewer than two nodes along an axis and for a box without size.
    """
    if min(shape) < 2 or not bool((upper > lower).all()):
        raise InputError(f"A grid needs two nodes or more along each axis and a box with a size, not {shape}.")
    cells = torch.tensor(shape).to(lower) - 1
    spacing = float(((upper - lower) / cells).max())
    x, y, z = (0.5 * (lower + upper) - 0.5 * spacing * cells).tolist()
    return GridSpec((x, y, z), spacing, shape)
