"""Observations in the units of the fit: positions about the principal point over the focal length's unit."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from data_prep.tracking.observations import Observations, TrackingOptions, valid_weights
from data_prep.tracking.point_weights import iris_weights, point_worth

LEAST_POINTS = 6
"""A frame with fewer landmarks cannot be placed."""


@dataclass(frozen=True)
class Measured:
    """Landmarks as `picture_from_pixels` gives them (y down), their precision, and outlines likewise."""

    landmarks: Float[Tensor, "frame landmark 2"]
    """Zero where unseen."""
    precision: Float[Tensor, "frame landmark"]
    """Inverse variance in face sizes (distance of the outer eye corners); 0 unseen."""
    sizes: Float[Tensor, "frame"]
    """A face size in the picture's units; 1 until `with_sizes`."""
    times: Float[Tensor, "frame"]
    centers: Float[Tensor, "frame 2"] | None
    outlines: Float[Tensor, "frame ray"] | None

    def __len__(self) -> int:
        return len(self.landmarks)

    @property
    def seen(self) -> Tensor:
        """Which frames show enough of the face to be placed."""
        return (self.precision > 0).sum(1) >= LEAST_POINTS

    def chosen(self, frames: Tensor | slice) -> "Measured":
        """Some of the frames."""
        return Measured(
            self.landmarks[frames],
            self.precision[frames],
            self.sizes[frames],
            self.times[frames],
            None if self.centers is None else self.centers[frames],
            None if self.outlines is None else self.outlines[frames],
        )

    def with_sizes(self, sizes: Float[Tensor, "frame"]) -> "Measured":
        """The same with known sizes of the face."""
        return replace(self, sizes=sizes)


def camera_matrix(observations: Observations, dtype: torch.dtype) -> tuple[Tensor, bool]:
    """Pixels from the fit's units, and whether the focal length is known (then the unit is the focal length)."""
    if observations.intrinsics is not None:
        return observations.intrinsics.to(dtype), True
    width, height = float(observations.width), float(observations.height)
    side = max(width, height)
    return torch.tensor([[side, 0.0, width / 2], [0.0, side, height / 2], [0.0, 0.0, 1.0]], dtype=dtype), False


def measure(observations: Observations, options: TrackingOptions, dtype: torch.dtype = torch.float32) -> Measured:
    """Observations brought to the fit's units, weighed by what each point is worth."""
    matrix, _ = camera_matrix(observations, torch.float64)
    inverse = torch.linalg.inv(matrix)
    landmarks = observations.landmarks.double()
    weights = valid_weights(observations).double()
    weights = weights * iris_weights(torch.where(weights[..., None] > 0, landmarks, torch.nan))
    worth = point_worth(landmarks.shape[1]).double()
    share = options.independent_points / worth.sum() / options.landmark_noise**2
    placed = torch.where(weights[..., None] > 0, _units(landmarks, inverse), 0.0)
    centers, outlines = observations.outline_centers, observations.outlines
    if centers is not None and outlines is not None:
        outlines = outlines.double() * inverse[:2, :2].det().sqrt()
        centers = _units(centers.double(), inverse)
    return Measured(
        landmarks=placed.to(dtype),
        precision=(weights * worth * share).to(dtype),
        sizes=torch.ones(len(landmarks), dtype=dtype),
        times=observations.times.double(),
        centers=None if centers is None else centers.to(dtype),
        outlines=None if outlines is None else outlines.to(dtype),
    )


def pixels(points: Float[Tensor, "*batch 2"], matrix: Float[Tensor, "3 3"]) -> Float[Tensor, "*batch 2"]:
    """The fit's units to pixels."""
    return points @ matrix[:2, :2].to(points).T + matrix[:2, 2].to(points)


def _units(points: Tensor, inverse: Tensor) -> Tensor:
    return points @ inverse[:2, :2].T + inverse[:2, 2]
