"""Fit a baseline as SNARF is fitted: same points, same draws, same loss, same step sizes; poses are exact."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from avatars.fit.options import FitOptions
from avatars.fit.pools import PointPools
from avatars.fit.scan_method import choose_scans, hidden_at_times, occupancy_groups
from avatars.models.baselines.inverse import InverseSkinning
from avatars.models.baselines.pose_conditioned import PoseConditionedOccupancy

Baseline = InverseSkinning | PoseConditionedOccupancy


class BaselineMethod:
    """A baseline on a sequence of scans (metres, Y up); what `ScanMethod` is to SNARF, with given poses."""

    def __init__(
        self,
        model: Baseline,
        poses: Float[Tensor, "scan bone 3"],
        translations: Float[Tensor, "scan 3"],
        pools: PointPools,
        options: FitOptions,
    ) -> None:
        self.model, self.poses, self.translations = model, poses, translations
        self.pools, self.options = pools, options

    @property
    def module(self) -> nn.Module:
        """All that is optimised."""
        return self.model

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Each kind of parameter with its own step size."""
        occupancy, rates = self.model.occupancy, self.options.rates
        own = list(occupancy.parameters())
        told = [p for p in self.model.parameters() if p.requires_grad and all(p is not other for other in own)]
        groups = [{"params": told, "lr": rates.weights}] if told else []
        return [*groups, *occupancy_groups(occupancy, rates)]

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Binary cross-entropy of occupancy."""
        options, device = self.options, self.poses.device
        scans = choose_scans(len(self.poses), options, generator).to(device)
        points, labels = self.pools.draw(scans, options.points, generator)
        code = hidden_at_times(self.model.pose_code(self.poses[scans]), options, generator)
        frame = torch.arange(len(scans), device=device).repeat_interleave(options.points)
        logits = self.model(points, frame, self.poses[scans], self.translations[scans], code)
        return {"occupancy": functional.binary_cross_entropy_with_logits(logits, labels)}
