"""Fit a baseline as SNARF is fitted: same points, same draws, same loss, same step sizes; poses are exact."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from avatars.fields.occupancy import GridOccupancy
from avatars.fit.options import FitOptions
from avatars.fit.pools import PointPools
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
        if not isinstance(occupancy, GridOccupancy):
            return [*groups, {"params": own, "lr": rates.network}]
        grids = [occupancy.base, *occupancy.tables]
        rest = [p for p in own if all(p is not grid for grid in grids)]
        return [
            *groups,
            {"params": [occupancy.base], "lr": rates.base},
            {"params": list(occupancy.tables), "lr": rates.features},
            {"params": rest, "lr": rates.network},
        ]

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Binary cross-entropy of occupancy."""
        options, device = self.options, self.poses.device
        scans = torch.randperm(len(self.poses), generator=generator)[: options.scans_per_step].to(device)
        points, labels = self.pools.draw(scans, options.points, generator)
        code = self.model.pose_code(self.poses[scans])
        if code is not None:
            shown = torch.rand(len(scans), 1, generator=generator) >= options.pose_dropout
            code = code * shown.to(code)
        frame = torch.arange(len(scans), device=device).repeat_interleave(options.points)
        logits = self.model(points, frame, self.poses[scans], self.translations[scans], code)
        return {"occupancy": functional.binary_cross_entropy_with_logits(logits, labels)}
