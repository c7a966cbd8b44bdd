"""What joint angles and expressions are likely: bounds, pull to rest, and how fast they change."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.model import BodyModel
from data_prep.tracking.head_points import EYES, HeadPoints
from data_prep.tracking.observations import TrackingOptions

_EYE = math.radians(35.0)
_JAW = ((-0.05, 0.65), (-0.2, 0.2), (-0.12, 0.12))
"""Limits of the jaw (radians): opening, sideways, roll."""
_EYE_DEVIATION, _JAW_DEVIATIONS = 0.25, (0.25, 0.06, 0.04)
_QUICK = ("eyeBlink", "eyeLook")
TURN_RATE, MOVE_RATE, SIZE_RATE = 1.0, 3.0, 0.5
"""Spread of change after a second, as of a random walk: radians, face sizes, logarithm of the size."""
_ANGLE_RATE, _EXPRESSION_RATE, _QUICK_RATE = 3.0, 1.5, 4.0
_WEAK = 2.0
"""Standard deviation of an action beyond the exponential prior: keeps the system regular."""
_RARE = {"tongueOut": 0.05, "pupilDilateLeft": 0.02, "pupilDilateRight": 0.02, "cheekPuff": 0.5,
         "eyeBlinkLeft": 4.0, "eyeBlinkRight": 4.0}  # fmt: skip
"""Share of the usual mean: small for actions that landmarks hardly show, large for blinks, which go all the way."""


@dataclass(frozen=True)
class CoefficientPrior:
    """Energy `precision c^2 / 2 + slope c` within bounds, per coefficient (angles, then expressions)."""

    lower: Float[Tensor, "coefficient"]
    upper: Float[Tensor, "coefficient"]
    precision: Float[Tensor, "coefficient"]
    slope: Float[Tensor, "coefficient"]
    rate: Float[Tensor, "coefficient"]
    """Spread of the change after a second."""


def coefficient_prior(model: BodyModel, points: HeadPoints, options: TrackingOptions) -> CoefficientPrior:
    """Limits of jaw and eyes; named actions are 0 to 1 with an exponential prior, other expressions N(0, 1)."""
    names = model.skeleton.joint_names
    angles = [_angle(names[points.joints[k // 3]], k % 3) for k in points.angles.tolist()]
    count = points.expression.shape[-1]
    if model.expression_names:
        actions = [_action(name, options) for name in model.expression_names[:count]]
    else:
        actions = [(-4.0, 4.0, 1.0, 0.0, _EXPRESSION_RATE * 2)] * count
    table = torch.tensor([*angles, *actions], dtype=torch.float64).reshape(-1, 5)
    lower, upper, precision, slope, rate = table.unbind(1)
    return CoefficientPrior(lower, upper, precision, slope, rate)


def _angle(joint: str, axis: int) -> tuple[float, float, float, float, float]:
    if joint in EYES:
        return -_EYE, _EYE, _EYE_DEVIATION**-2, 0.0, _ANGLE_RATE
    return (*_JAW[axis], _JAW_DEVIATIONS[axis] ** -2, 0.0, _ANGLE_RATE)


def _action(name: str, options: TrackingOptions) -> tuple[float, float, float, float, float]:
    mean = options.expression_mean * _RARE.get(name, 1.0)
    rate = _QUICK_RATE if name.startswith(_QUICK) else _EXPRESSION_RATE
    return 0.0, 1.0, _WEAK**-2, 1 / mean, rate
