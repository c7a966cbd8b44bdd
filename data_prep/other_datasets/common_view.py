"""One camera for all frames of a video whose crop followed the head, for layouts that know no other."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from body_models.errors import InputError
from data_prep.video_dataset import VideoDataset

STILL = 0.01
"""Crops that move by less (pixels) count as one."""
LARGEST = 4096
"""Longest side of a common picture (pixels)."""


@dataclass(frozen=True)
class CommonView:
    """A picture that holds the pictures of all frames at their places."""

    intrinsics: Float[Tensor, "3 3"]
    width: int
    height: int
    still: bool
    """Whether the pictures are the common one already."""

    def move(
        self, points: Float[Tensor, "frame point 2"], intrinsics: Float[Tensor, "frame 3 3"]
    ) -> Float[Tensor, "frame point 2"]:
        """Points of the frames' pictures in the common picture (pixels)."""
        turn = self.intrinsics.double() @ torch.linalg.inv(intrinsics.double())
        return points @ turn[:, :2, :2].mT + turn[:, None, :2, 2]

    def redraw(
        self,
        pixels: UInt8[np.ndarray, "..."],
        intrinsics: Float[Tensor, "3 3"],
        resampling: Image.Resampling = Image.Resampling.BILINEAR,
    ) -> UInt8[np.ndarray, "..."]:
        """A frame's picture, mask or map at its place, zero around it."""
        back = intrinsics.double() @ torch.linalg.inv(self.intrinsics.double())
        moved = Image.fromarray(pixels).transform(
            (self.width, self.height), Image.Transform.AFFINE, back[:2].flatten().tolist(), resampling
        )
        return np.asarray(moved)


def common_view(dataset: VideoDataset) -> CommonView:
    """The smallest square picture, in the finest frame's resolution, that holds those of all frames.

    Raises InputError when it would be too large.
    """
    matrices = dataset.intrinsics.double()
    if float((matrices - matrices[0]).abs().max()) <= STILL:
        return CommonView(matrices[0], dataset.width, dataset.height, True)
    focal, center = matrices[:, [0, 1], [0, 1]], matrices[:, :2, 2]
    size = torch.tensor([dataset.width, dataset.height], dtype=torch.float64)
    lower, upper = (-center / focal).amin(0), ((size - center) / focal).amax(0)
    finest = focal.amax(0)
    side = int(((upper - lower) * finest).max().ceil())
    if side > LARGEST:
        raise InputError(
            f"The crop of this dataset moves and zooms so far that one camera for all frames needs {side} x {side} "
            "pixels; prepare a part of the video, or with a smaller --size."
        )
    middle = side / 2 - (lower + upper) / 2 * finest
    rows = [[finest[0], 0, middle[0]], [0, finest[1], middle[1]], [0, 0, 1]]
    return CommonView(torch.tensor(rows, dtype=torch.float64), side, side, False)
