"""How large a head is, from the one length that is nearly the same in all people: the width of the iris."""

import torch
from jaxtyping import Float
from torch import Tensor

from data_prep.tracking.head_points import HeadPoints
from data_prep.tracking.measured import Measured
from data_prep.tracking.motion_model import HeadState, camera_points, place_points
from data_prep.video.face_points import FACE_POINTS, LEFT_IRIS, RIGHT_IRIS

_FRONTAL = 0.75
"""Quantile of the measured widths that counts: irises seen from the side look narrower."""
_FEWEST = 3


def iris_face_size(points: HeadPoints, state: HeadState, measured: Measured, diameter: float) -> float | None:
    """Size of the face, of the template's, at which irises of this diameter (metres) look as wide as those seen.

    A larger head farther away looks the same but for its irises; so whatever size the state has now, the answer is the
    same. Only their widths count, since lids hide top and bottom. None where too few irises are seen.
    """
    if measured.landmarks.shape[1] != FACE_POINTS:
        return None
    arms, center = camera_points(place_points(points, state).points, points.pivot, state)
    shares = []
    for iris in (RIGHT_IRIS, LEFT_IRIS):
        depth = arms[:, iris[0], 2] + center[:, 2]
        seen = (measured.precision[:, [iris[1], iris[3]]] > 0).all(1) & (depth > 0)
        width = (measured.landmarks[:, iris[1]] - measured.landmarks[:, iris[3]]).norm(dim=-1)
        shares.append((width * depth / (state.log_focal.exp() * diameter))[seen])
    found: Float[Tensor, "iris"] = torch.cat(shares)
    if len(found) < _FEWEST:
        return None
    return float(points.size(state.betas) / found.quantile(_FRONTAL))
