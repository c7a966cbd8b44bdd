"""Square crops around a head: fixed or gliding, never jittering. Source pixels: x right, y down, centres at +0.5."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, median_filter
from torch import Tensor

from body_models.errors import InputError

HEAD_TO_FACE = 1.9  # side of the crop over the longer side of the landmarks' box: hair, ears and the top of the neck
CORE_TO_FACE = 1.6  # the same for what must stay inside while the head moves fast
LIFT = 0.15  # of the box, upwards: hair rises further above the landmarks than the neck has to reach below
FIXED_SPREAD = 1.35  # a fixed crop when the square about all heads is at most this many heads wide
SMOOTHING = 0.4  # standard deviation of the Gaussian (seconds)
OUTLIER = 0.35  # a box this far (in its own sides) from the median of its neighbours is a slip of the detector


@dataclass(frozen=True)
class Crops:
    """One square of each frame, to be resampled to `size` by `size` pixels."""

    centers: Float[np.ndarray, "frame 2"]
    sides: Float[np.ndarray, "frame"]
    size: int
    fixed: bool

    def __post_init__(self) -> None:
        if self.size < 16:
            raise InputError(f"--size {self.size} leaves nothing to see; use 256 to 1024.")

    def intrinsics(self, source_intrinsics: Float[Tensor, "3 3"]) -> Float[Tensor, "frame 3 3"]:
        """Intrinsics of the cropped pictures from those of the whole picture."""
        scales = torch.from_numpy(self.size / self.sides).to(source_intrinsics)
        corners = torch.from_numpy(self.centers - self.sides[:, None] / 2).to(source_intrinsics)
        crop_from_source = torch.zeros(len(scales), 3, 3).to(source_intrinsics)
        crop_from_source[:, 0, 0] = crop_from_source[:, 1, 1] = scales
        crop_from_source[:, :2, 2] = -corners * scales[:, None]
        crop_from_source[:, 2, 2] = 1.0
        return crop_from_source @ source_intrinsics

    def to_crop(self, points: Float[np.ndarray, "frame point 2"]) -> Float[np.ndarray, "frame point 2"]:
        """Pixels of the cropped pictures from pixels of the whole ones."""
        return (points - self.centers[:, None]) * (self.size / self.sides)[:, None, None] + self.size / 2

    def from_crop(self, points: Float[np.ndarray, "frame point 2"]) -> Float[np.ndarray, "frame point 2"]:
        """Pixels of the whole pictures from pixels of the cropped ones."""
        return (points - self.size / 2) * (self.sides / self.size)[:, None, None] + self.centers[:, None]


def head_crops(
    boxes: Float[np.ndarray, "frame 4"],
    width: int,
    height: int,
    size: int,
    frame_rate: float = 25.0,
    scenes: Int[np.ndarray, "frame"] | None = None,
) -> Crops:
    """Squares that hold the head with its hair: one for all frames when it moves little, else gliding with it.

    `boxes` hold the face landmarks (x0 y0 x1 y1), NaN in frames without a face, which borrow from their neighbours.
    Squares are moved into the picture where they fit. Nothing is smoothed across the cuts between `scenes`.
    Raises InputError when no frame has a face.
    """
    if not np.isfinite(boxes).all(axis=1).any():
        raise InputError("No frame shows a face to crop to; check the video, or take it whole with --crop none.")
    scenes = np.zeros(len(boxes), dtype=np.int64) if scenes is None else scenes
    heads = _fill_gaps(_head_squares(boxes), scenes)
    low, high = _around(heads * [1, 1, CORE_TO_FACE / HEAD_TO_FACE])
    union = float((high - low).max())
    usual = float(np.median(heads[:, 2]))
    if union <= FIXED_SPREAD * usual * CORE_TO_FACE / HEAD_TO_FACE:
        squares = np.tile([*(low + high) / 2, max(union, usual)], (len(heads), 1))
        return _inside(squares, width, height, size, fixed=True)
    squares = np.empty_like(heads)
    for scene in np.unique(scenes):
        squares[scenes == scene] = _glide(heads[scenes == scene], SMOOTHING * frame_rate)
    return _inside(squares, width, height, size, fixed=False)


def fixed_crop(x: float, y: float, side: float, width: int, height: int, frames: int, size: int) -> Crops:
    """The same square of every frame: its upper left corner and side (source pixels).

    Raises InputError when the square has no size or shows nothing of the picture.
    """
    visible = x < width and y < height and x + side > 0 and y + side > 0
    if not (math.isfinite(x + y + side) and side >= 2 and visible):
        raise InputError(
            f"--crop {x:g} {y:g} {side:g} shows nothing of a picture of {width} x {height} pixels; "
            "give the upper left corner and the side of a square inside it."
        )
    return Crops(np.tile([x + side / 2, y + side / 2], (frames, 1)), np.full(frames, float(side)), size, True)


def whole_picture(width: int, height: int, frames: int, size: int) -> Crops:
    """The smallest square about the whole picture, which is in its middle; its edges are repeated outwards."""
    center, side = np.array([width / 2, height / 2]), float(max(width, height))
    return Crops(np.tile(center, (frames, 1)), np.full(frames, side), size, True)


def cut_out(
    rgb: UInt8[np.ndarray, "height width 3"], center: Float[np.ndarray, "2"], side: float, size: int
) -> UInt8[np.ndarray, "size size 3"]:
    """Resample a square to `size` pixels, linearly and without aliasing; edges are repeated outside the picture."""
    height, width = rgb.shape[:2]
    margin = math.ceil(side / size) + 1  # what the filter sees beyond the square
    low = np.floor(center - side / 2).astype(int) - margin
    high = np.ceil(center + side / 2).astype(int) + margin
    inside_low = np.clip(low, 0, [width - 1, height - 1])
    inside_high = np.clip(high, inside_low + 1, [width, height])
    part = rgb[inside_low[1] : inside_high[1], inside_low[0] : inside_high[0]]
    outside = np.stack([np.maximum(inside_low - low, 0), np.maximum(high - inside_high, 0)], axis=1)
    if outside.any():
        part = np.pad(part, [tuple(outside[1]), tuple(outside[0]), (0, 0)], mode="edge")
    corner = center - side / 2 - low
    box = (float(corner[0]), float(corner[1]), float(corner[0] + side), float(corner[1] + side))
    picture = Image.fromarray(np.ascontiguousarray(part))
    return np.array(picture.resize((size, size), Image.Resampling.BILINEAR, box=box))


def _head_squares(boxes: Float[np.ndarray, "frame 4"]) -> Float[np.ndarray, "frame 3"]:
    """Centre and side of the head's square, with slips of the detector made NaN."""
    sides = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    heads = np.stack(
        [(boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2 - LIFT * sides, HEAD_TO_FACE * sides], axis=1
    )
    seen = np.flatnonzero(np.isfinite(heads).all(axis=1))
    usual = median_filter(heads[seen], size=(5, 1), mode="nearest")
    slips = np.abs(heads[seen] - usual).max(axis=1) > OUTLIER * HEAD_TO_FACE * usual[:, 2]
    heads[seen[slips]] = np.nan
    return heads


def _fill_gaps(heads: Float[np.ndarray, "frame 3"], scenes: Int[np.ndarray, "frame"]) -> Float[np.ndarray, "frame 3"]:
    """Interpolate frames without a face, within their scene where it has any face."""
    filled = heads.copy()
    for part in [*(scenes == scene for scene in np.unique(scenes)), np.ones(len(heads), dtype=bool)]:
        places = np.flatnonzero(part)
        seen = places[np.isfinite(filled[places]).all(axis=1)]
        for column in range(3):
            if len(seen):
                filled[places, column] = np.interp(places, seen, filled[seen, column])
    return filled


def _around(squares: Float[np.ndarray, "frame 3"]) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]]:
    """Corners of the box about all squares."""
    halves = squares[:, 2:] / 2
    return (squares[:, :2] - halves).min(axis=0), (squares[:, :2] + halves).max(axis=0)


def _glide(heads: Float[np.ndarray, "frame 3"], deviation: float) -> Float[np.ndarray, "frame 3"]:
    """Smooth squares, without lag, wide enough that the core of every head stays inside.

    Averages over a window of maxima over that same window are nowhere less than the value itself.
    """
    radius = max(1, round(3 * deviation))

    def smooth(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        return gaussian_filter1d(values, deviation, axis=0, mode="nearest", radius=radius)

    centers = smooth(heads[:, :2])
    offsets = np.abs(heads[:, :2] - centers).max(axis=1)
    needed = heads[:, 2] * CORE_TO_FACE / HEAD_TO_FACE + 2 * offsets
    covering = smooth(maximum_filter1d(needed, 2 * radius + 1, mode="nearest"))
    return np.concatenate([centers, np.maximum(smooth(heads[:, 2]), covering)[:, None]], axis=1)


def _inside(squares: Float[np.ndarray, "frame 3"], width: int, height: int, size: int, fixed: bool) -> Crops:
    """Move squares into the picture; those larger than it cover it. Nothing that can be seen is lost by that."""
    sides = np.minimum(squares[:, 2], max(width, height))
    one_end, other_end = sides[:, None] / 2, np.array([width, height]) - sides[:, None] / 2
    centers = np.clip(squares[:, :2], np.minimum(one_end, other_end), np.maximum(one_end, other_end))
    return Crops(centers, sides, size, fixed)
