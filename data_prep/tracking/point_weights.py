"""What each point of the face mesh is worth, and which points the published errors are measured on."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from data_prep.video.face_points import (
    BROWS,
    FACE_OVAL,
    FACE_POINTS,
    IRISES,
    LANDMARKS_68,
    LEFT_EYE,
    LEFT_IRIS,
    LIPS,
    RIGHT_EYE,
    RIGHT_IRIS,
)

_WORTH = ((FACE_OVAL, 1.0), (BROWS, 2.0), (LIPS, 4.0), (RIGHT_EYE + LEFT_EYE, 9.0), (IRISES, 4.0))
"""Weights of parts whose small movements matter, against 1 elsewhere."""
_FREEDOM = ((LIPS, 0.3), (RIGHT_EYE + LEFT_EYE, 0.25), (IRISES, 0.6))
"""Share of the usual personal shift for points whose meeting says that mouth or eyes are shut."""
_OPEN, _SHUT = 0.22, 0.08
"""Height of the eye's opening in its widths at which an iris is seen well, and not at all."""
_LIDS = ((RIGHT_IRIS, 159, 145, 33, 133), (LEFT_IRIS, 386, 374, 263, 362))
"""Iris, middle of upper and lower lid, corners of the eye."""
OUTER_CORNERS = (33, 263)


def point_worth(count: int) -> Float[Tensor, "landmark"]:
    """Relative weight of each landmark; equal for points that are not the face mesh."""
    worth = torch.ones(count)
    if count == FACE_POINTS:
        for group, value in _WORTH:
            worth[list(group)] = value
    return worth


def point_freedom(count: int) -> Float[Tensor, "landmark"]:
    """Share of the usual personal shift that each landmark may have."""
    freedom = torch.ones(count)
    if count == FACE_POINTS:
        for group, value in _FREEDOM:
            freedom[list(group)] = value
    return freedom


def measured_points(count: int) -> Int[Tensor, "measured"]:
    """The points that errors are measured on: 68 of the face mesh, or all."""
    return torch.tensor(LANDMARKS_68 if count == FACE_POINTS else range(count), dtype=torch.long)


def iris_weights(landmarks: Float[Tensor, "frame landmark 2"]) -> Float[Tensor, "frame landmark"]:
    """1, but for the irises of an eye that closes: detectors guess what lids cover."""
    weights = torch.ones_like(landmarks[..., 0])
    if landmarks.shape[1] != FACE_POINTS:
        return weights
    for iris, upper, lower, outer, inner in _LIDS:
        height = (landmarks[:, upper] - landmarks[:, lower]).norm(dim=-1)
        width = (landmarks[:, outer] - landmarks[:, inner]).norm(dim=-1).clamp_min(1e-9)
        seen = ((height / width - _SHUT) / (_OPEN - _SHUT)).clamp(0, 1)
        weights[:, list(iris)] = seen.nan_to_num(0.0)[:, None]
        weights[:, [iris[2], iris[4]]] = 0.0  # top and bottom are mostly under the lids
    return weights


def landmark_errors(
    projected: Float[Tensor, "frame landmark 2"], seen: Float[Tensor, "frame landmark 2"], weights: Tensor
) -> Float[Tensor, "frame"]:
    """Mean distance of the measured points that were seen, as a share of the distance between the outer eye corners.

    NaN for a frame without any; sets of points that are not the face mesh are measured by their extent.
    """
    count = seen.shape[1]
    rows = measured_points(count)
    used = (weights[:, rows] > 0).to(seen)
    distance = torch.where(used > 0, (projected[:, rows] - seen[:, rows]).norm(dim=-1), 0.0)
    if count == FACE_POINTS:
        size = (projected[:, OUTER_CORNERS[0]] - projected[:, OUTER_CORNERS[1]]).norm(dim=-1)
        given = (seen[:, OUTER_CORNERS[0]] - seen[:, OUTER_CORNERS[1]]).norm(dim=-1)
        size = torch.where(given.isfinite(), given, size)
    else:
        size = (projected.amax(1) - projected.amin(1)).norm(dim=-1) / 2
    share = distance.sum(-1) / used.sum(-1) / size.clamp_min(1e-9)
    return torch.where(used.sum(-1) > 0, share, torch.nan)
