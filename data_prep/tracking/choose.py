"""Which frames tell most about a person: different views, distances and expressions."""

import torch
from jaxtyping import Int
from torch import Tensor

from data_prep.tracking.head_points import HeadPoints
from data_prep.tracking.measured import Measured
from data_prep.tracking.motion_model import HeadState, project

_CANDIDATES = 4000
_DIRECTIONS = 8
_EXPRESSION_SCALE = 0.04
"""A change of expression of this many face sizes counts like a turn of a fifth of a radian."""


def varied_frames(points: HeadPoints, state: HeadState, measured: Measured, count: int) -> Int[Tensor, "chosen"]:
    """Up to `count` seen frames, each as unlike the earlier ones as can be; sorted by time (deterministic)."""
    seen = torch.nonzero(measured.seen)[:, 0]
    seen = seen[:: max(1, len(seen) // _CANDIDATES)]
    if len(seen) <= count:
        return seen
    features = _features(points, state.chosen(seen), measured.chosen(seen))
    complete = (measured.precision[seen] > 0).double().mean(1)
    chosen = [int((complete - 1e-3 * features.norm(dim=1)).argmax())]
    distance = (features - features[chosen[0]]).norm(dim=1)
    while len(chosen) < count:
        chosen.append(int((distance * complete).argmax()))
        distance = torch.minimum(distance, (features - features[chosen[-1]]).norm(dim=1))
    return seen[torch.tensor(sorted(chosen))]


def _features(points: HeadPoints, state: HeadState, measured: Measured) -> Tensor:
    """Where the head looks, how near it is, and what the face does beyond the rigid placement."""
    residual = (measured.landmarks - project(points, state)) / measured.sizes[:, None, None]
    used = (measured.precision > 0).to(residual)[..., None]
    mean = (residual * used).sum(0) / used.sum(0).clamp_min(1)
    upright = (residual - mean) @ state.rotations[:, :2, :2]
    shape = (upright * used).flatten(1).double()
    _, directions = torch.linalg.eigh(shape.T @ shape)
    rms = max(1.0, points.rest.shape[0] / 4) ** 0.5
    expression = shape @ directions[:, -_DIRECTIONS:] / rms / _EXPRESSION_SCALE
    view = torch.cat([state.rotations[:, 2], state.rotations[:, 0, 1:2], state.places[:, 2:]], 1).double() * 5
    return torch.cat([view, expression], 1)
