"""How likely codes are to a prior, and the coordinates in which all their directions are alike."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.models.code_statistics import CodeStatistics

LEAST = 1e-3
"""Directions of codes are held to vary by this share of the largest deviation at least."""
RARE = 0.25
"""Kinds of people with less than this share of what is usual are nowhere to begin."""


@dataclass(frozen=True)
class CodeDensity:
    """The density of a prior's codes, a mixture of normal distributions, as a penalty."""

    constants: Float[Tensor, "component"]
    centres: Float[Tensor, "component code"]
    whitening: Float[Tensor, "component code code"]

    @staticmethod
    def of(statistics: CodeStatistics) -> "CodeDensity":
        """The density of the kinds that the training codes came in."""
        values, vectors = torch.linalg.eigh(statistics.covariances.double())
        deviations = _raised(values.clamp_min(0).sqrt())
        constants = statistics.weights.double().clamp_min(1e-9).log() - deviations.log().sum(1)
        whitening = vectors.mT / deviations[..., None]
        tensors = (constants - constants.max(), statistics.centres, whitening)
        return CodeDensity(*(value.to(statistics.mean) for value in tensors))

    def penalty(self, code: Float[Tensor, "code"]) -> Float[Tensor, ""]:
        """Negative logarithm of the density over the code's length: about 0 at the best code, 0.5 at usual ones."""
        away = (self.whitening @ (code - self.centres)[..., None])[..., 0]
        return -torch.logsumexp(self.constants - 0.5 * away.square().sum(1), 0) / len(code)


def spread_of(statistics: CodeStatistics) -> Float[Tensor, "code code"]:
    """The symmetric matrix that turns coordinates of unit variance into offsets of the training codes."""
    values, vectors = torch.linalg.eigh(statistics.covariance.double())
    return ((vectors * _raised(values.clamp_min(0).sqrt())) @ vectors.mT).to(statistics.mean)


def starts(statistics: CodeStatistics) -> Float[Tensor, "start code"]:
    """Codes to begin from: the mean, and the centre of every kind that is not too rare."""
    usual = statistics.weights >= RARE / len(statistics.weights)
    return torch.cat([statistics.mean[None], statistics.centres[usual]])


def _raised(deviations: Float[Tensor, "*batch code"]) -> Float[Tensor, "*batch code"]:
    """Deviations that are nearly none raised, so that they can be divided by."""
    return deviations.clamp_min(LEAST * float(deviations.max().clamp_min(1e-6)))
