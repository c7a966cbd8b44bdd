"""Tune a fitted person's own avatar to the scans; where nothing was seen it stays as the prior has it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.fit.options import FitOptions, LearningRates
from avatars.fit.pools import PointPools
from avatars.fit.prior_fit_options import PriorFitOptions
from avatars.fit.prior_fit_points import NEAR_SIGMA, Evidence, SeenScan
from avatars.fit.scan_method import PosedSnarf, ScanMethod
from avatars.models import Avatar
from body_models import Body
from data_prep.registration.register import scan_surface
from data_prep.surface import Surface

UNSEEN = 0.03
"""What is farther than this from the scan's surface was not seen (metres)."""
KEPT_SHARE = 0.3
"""Points on unseen surface, as a share of all."""
RATES = LearningRates(weights=0.0, pose=1e-3, joints=0.0)
"""Weights and joints stay the prior's: a few scans say nothing better of them."""


@dataclass(frozen=True)
class Posed:
    """The poses and places in which a person was scanned."""

    poses: Float[Tensor, "scan bone 3"]
    translations: Float[Tensor, "scan 3"]
    exact: bool = False
    """They were known beforehand, and stay."""


def tuning_method(
    avatar: Avatar, body: Body, posed: Posed, seen: Sequence[SeenScan], evidence: Evidence, options: PriorFitOptions
) -> ScanMethod:
    """The method that fits an avatar's surface to scans, begun at an avatar that a prior made.

    `body` is the avatar's rigged surface. Only the poses and the occupancy move.
    """
    settings = FitOptions(
        steps=options.tuning_steps,
        points=max(options.tuning_points // len(seen), 1),
        pose_dropout=0.0,
        rates=RATES,
        snarf=avatar.model.options,
    )
    pools = evidence.pools(avatar.model.options.edge)
    if any(one.partial for one in seen):
        pools = with_unseen(pools, avatar, body, posed, seen)
    avatar.model.occupancy.requires_grad_(True)
    module = PosedSnarf(avatar.model, posed.poses, posed.translations)
    return ScanMethod(module, body, pools, settings, posed.exact)


@torch.no_grad()
def with_unseen(pools: PointPools, avatar: Avatar, body: Body, posed: Posed, seen: Sequence[SeenScan]) -> PointPools:
    """The points of partial scans, some replaced by ones about the surface that no scan shows, as the avatar is."""
    points, labels = pools.points.clone(), pools.labels.clone()
    count = round(KEPT_SHARE * points.shape[1])
    for number, one in enumerate(seen):
        if not one.partial:
            continue
        pose, place = posed.poses[number], posed.translations[number]
        skinned = Surface(body.pose_vertices(pose.cpu(), place.cpu()), body.faces)
        generator = torch.Generator().manual_seed(number)
        drawn = skinned.sample(2 * count, generator).points
        hidden = drawn[scan_surface(one.scan).closest(drawn).distance > UNSEEN][:count]
        hidden = hidden + NEAR_SIGMA * torch.randn(hidden.shape, generator=generator)
        points[number, : len(hidden)] = hidden.to(points)
        labels[number, : len(hidden)] = avatar.pose(pose, place).occupancy(hidden).sigmoid().to(labels)
    return PointPools(points, labels)
