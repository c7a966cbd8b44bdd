"""Options of fitting a prior to scans of a person."""

import dataclasses
from dataclasses import dataclass

from avatars.fit.options import check_range


@dataclass(frozen=True)
class PriorFitOptions:
    """How codes, build and poses are found, and how the avatar is tuned to the scans afterwards."""

    pool: int = 40_000
    """Points prepared for each scan."""
    samples: int = 8_192
    """Surface samples prepared for each scan."""
    steps: int = 200
    """Steps of shape code, build and poses."""
    points: int = 3000
    """Points in a step, over all scans."""
    code_rate: float = 0.08
    """Adam's step size for codes (deviations of the training codes)."""
    build_rate: float = 0.03
    """Adam's step size for the body's shape (deviations)."""
    pose_rate: float = 4e-3
    """Adam's step size for joint angles (radians) and translations (metres)."""
    final: float = 0.05
    """Share of every rate that is left at the end."""
    code_weight: float = 4e-3
    """Factor of the negative logarithm of the codes' density."""
    build_weight: float = 4e-3
    """Factor of the negative logarithm of the body shape's density."""
    pose_weight: float = 1e-2
    """Factor of squared joint angles from the registered pose (square radians)."""
    detail_steps: int = 150
    """Steps of the detail code."""
    detail_points: int = 2000
    detail_weight: float = 1e-2
    """Factor of the negative logarithm of the detail code's density."""
    tuning_steps: int = 500
    """Steps of tuning the avatar itself to the scans."""
    tuning_points: int = 2000

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            check_range(field.name, value, 0 if field.name.endswith("steps") else 0.0 if type(value) is float else 1)
        check_range("final", self.final, 0.0, 1.0)
