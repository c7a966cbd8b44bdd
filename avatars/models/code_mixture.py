"""Gaussian mixtures for codes: far fewer subjects than a covariance has entries, so every spread is shrunk."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

SUBJECTS_A_COMPONENT = 25
"""A component needs this many subjects."""
STEPS = 40
STARTS = 3
FLOOR = 1e-6
"""Smallest variance, as a share of the mean variance."""

Codes = Float[Tensor, "subject code"]
Centres = Float[Tensor, "component code"]
Mixture = tuple[Float[Tensor, "component"], Centres, Float[Tensor, "component code code"]]


def fit_mixture(codes: Codes, most: int) -> Mixture:
    """Weights, centres and covariances of at most `most` Gaussians, one for few subjects or for a single cloud.

    Expectation maximisation from k-means with one covariance shared by all (fixed seeds); their number has the best
    Bayesian information criterion. Each component then gets its own covariance as far as its subjects suffice.
    """
    most = max(1, min(most, len(codes) // SUBJECTS_A_COMPONENT))
    tried = [_fit(codes, count, start) for count in range(1, most + 1) for start in range(STARTS if count > 1 else 1)]
    _, shares, centres = min(tried, key=lambda found: found[0])
    pooled = _pooled(codes, shares, centres)
    covariances = []
    for share, centre in zip(shares.T, centres, strict=True):
        offsets = codes - centre
        own = (share[:, None] * offsets).T @ offsets / share.sum().clamp_min(1e-9)
        trust = share.sum() / (share.sum() + codes.shape[1])
        covariances.append(trust * own + (1 - trust) * pooled)
    return shares.mean(0), centres, torch.stack(covariances)


def shrunk_covariance(codes: Codes) -> Float[Tensor, "code code"]:
    """Covariance with its correlations shrunk as far as their own uncertainty asks (Schaefer and Strimmer, 2005)."""
    deviation = codes.std(0).clamp_min(1e-12)
    standard = (codes - codes.mean(0)) / deviation
    count = len(codes)
    correlation = standard.T @ standard / (count - 1)
    variance = ((standard**2).T @ standard**2 - (standard.T @ standard) ** 2 / count) * count / (count - 1) ** 3
    off = ~torch.eye(len(deviation), dtype=torch.bool)
    kept = 1 - (variance[off].sum() / (correlation[off] ** 2).sum().clamp_min(1e-12)).clamp(0, 1)
    covariance = torch.where(off, kept * correlation, correlation) * deviation * deviation[:, None]
    return _floored(covariance)


def _fit(codes: Codes, count: int, seed: int) -> tuple[float, Float[Tensor, "subject component"], Centres]:
    """Criterion (lower is better), shares of the components in the subjects, and centres."""
    shares = torch.nn.functional.one_hot(_nearest(codes, _k_means(codes, count, seed)), count).to(codes)
    for _ in range(STEPS):
        total = shares.sum(0).clamp_min(1e-9)
        centres = (shares.T @ codes) / total[:, None]
        logs = _log_densities(codes, centres, _pooled(codes, shares, centres)) + (total / len(codes)).log()
        shares = logs.softmax(1)
    parameters = count * (codes.shape[1] + 1) - 1
    likelihood = float(logs.logsumexp(1).sum())
    if float(shares.sum(0).min()) < 2:  # a component that only one subject has
        return math.inf, shares, centres
    return parameters * math.log(len(codes)) - 2 * likelihood, shares, centres


def _k_means(codes: Codes, count: int, seed: int) -> Centres:
    generator = torch.Generator().manual_seed(seed)
    centres = codes[torch.randint(len(codes), (1,), generator=generator)]
    for _ in range(count - 1):  # k-means++: far subjects are likelier to become the next centre
        chance = torch.cdist(codes, centres).amin(1) ** 2 + 1e-12
        centres = torch.cat([centres, codes[torch.multinomial(chance, 1, generator=generator)]])
    for _ in range(10):
        members = torch.nn.functional.one_hot(_nearest(codes, centres), count).to(codes)
        sizes = members.sum(0)[:, None]
        centres = torch.where(sizes > 0, members.T @ codes / sizes.clamp_min(1), centres)
    return centres


def _nearest(codes: Codes, centres: Centres) -> Tensor:
    return torch.cdist(codes, centres).argmin(1)


def _pooled(codes: Codes, shares: Float[Tensor, "subject component"], centres: Centres) -> Float[Tensor, "code code"]:
    """The covariance that all components share, shrunk like that of one cloud about zero."""
    offsets = codes - shares @ centres
    return shrunk_covariance(offsets)


def _log_densities(
    codes: Codes, centres: Centres, covariance: Float[Tensor, "code code"]
) -> Float[Tensor, "subject component"]:
    factor = torch.linalg.cholesky(covariance)
    white = [torch.linalg.solve_triangular(factor, rows.T, upper=False).T for rows in (codes, centres)]
    constant = factor.diagonal().log().sum() + 0.5 * codes.shape[1] * math.log(2 * math.pi)
    return -0.5 * torch.cdist(*white) ** 2 - constant


def _floored(covariance: Float[Tensor, "code code"]) -> Float[Tensor, "code code"]:
    """Variances raised to a small share of their mean, so that the matrix can be inverted."""
    floor = FLOOR * covariance.diagonal().mean().clamp_min(1e-12)
    return covariance + floor * torch.eye(len(covariance)).to(covariance)
