"""What SNARF minimises on scans: occupancy of posed points; poses and joints move with it (implicit gradient)."""

from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from avatars.fields.occupancy import GridOccupancy, MlpOccupancy
from avatars.fit.options import FitOptions, LearningRates
from avatars.fit.pools import PointPools
from avatars.models.snarf import Snarf
from body_models import Body

SHIFT_WEIGHT, SHIFT_SIGMA = 1e-5, 0.01
"""Factor and scale (metres) of what holds joints: those that no scan bends (toes) would wander off otherwise."""
JOINT_WEIGHT = 10.0
"""Factor of the bootstrapping loss on skinning weights (SNARF, section 3.4)."""


class PosedSnarf(nn.Module):
    """A SNARF model with the poses of the scans that it is fitted to."""

    def __init__(
        self, snarf: Snarf, poses: Float[Tensor, "scan bone 3"], translations: Float[Tensor, "scan 3"]
    ) -> None:
        super().__init__()
        self.snarf = snarf
        self.poses = nn.Parameter(poses.clone())
        self.translations = nn.Parameter(translations.clone())


class ScanMethod:
    """SNARF on a sequence of scans (metres, Y up)."""

    def __init__(
        self, module: PosedSnarf, body: Body, pools: PointPools, options: FitOptions, exact_poses: bool
    ) -> None:
        self.module, self.body, self.pools, self.options = module, body, pools, options
        self.refine = options.refine_poses and not exact_poses
        for parameter in (module.poses, module.translations, module.snarf.joint_shift):
            parameter.requires_grad_(self.refine)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Each kind of parameter with its own step size."""
        snarf, rates = self.module.snarf, self.options.rates
        groups = [{"params": list(snarf.weights.parameters()), "lr": rates.weights}]
        groups += occupancy_groups(snarf.occupancy, rates)
        if self.refine:
            groups.append({"params": [self.module.poses, self.module.translations], "lr": rates.pose})
            groups.append({"params": [snarf.joint_shift], "lr": rates.joints})
        return groups

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Binary cross-entropy of occupancy, a hold on the joints, and bootstrapping terms in an MLP's first steps."""
        scans = choose_scans(len(self.module.poses), self.options, generator).to(self.module.poses.device)
        points, labels = self.pools.draw(scans, self.options.points, generator)
        pose, translation = self.module.poses[scans], self.module.translations[scans]
        snarf = self.module.snarf
        code = hidden_at_times(snarf.pose_code(pose.detach()), self.options, generator)
        frame = torch.arange(len(scans), device=pose.device).repeat_interleave(self.options.points)
        logits = snarf(points, frame, pose, translation, code)
        terms = {"occupancy": functional.binary_cross_entropy_with_logits(logits, labels)}
        if self.refine:
            terms["joints"] = SHIFT_WEIGHT * (snarf.joint_shift / SHIFT_SIGMA).square().sum()
        if snarf.options.network == "mlp" and step < self.options.bootstrap * self.options.steps:
            terms |= self._bootstrap(generator)
        return terms

    def _bootstrap(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Points along the bones are inside, weights on the body's surface are the body model's (canonical space)."""
        snarf, body = self.module.snarf, self.body
        heads, tails = snarf.bone_segments()
        along = torch.rand(len(heads), 5, 1, generator=generator).to(heads)
        on_bones = (heads[:, None] + along * (tails - heads)[:, None]).flatten(0, 1)
        size = snarf.options.pose_code
        code = on_bones.new_zeros(len(on_bones), size) if size else None
        inside = snarf.canonical_logits(on_bones, code)
        some = torch.randint(len(body.vertices), (1000,), generator=generator).to(on_bones.device)
        learned = snarf.weights(self.canonical_vertices[some])
        return {
            "bones": functional.binary_cross_entropy_with_logits(inside, torch.ones_like(inside)),
            "weights": JOINT_WEIGHT * functional.mse_loss(learned, body.skinning_weights.to(learned)[some]),
        }

    @cached_property
    def canonical_vertices(self) -> Float[Tensor, "vertex 3"]:
        """The registered body's surface in the canonical pose."""
        return self.body.canonical().to(self.module.poses.device)


def occupancy_groups(occupancy: GridOccupancy | MlpOccupancy, rates: LearningRates) -> list[dict[str, Any]]:
    """An occupancy network's grids, features and networks, each with its own step size."""
    own = list(occupancy.parameters())
    if not isinstance(occupancy, GridOccupancy):
        return [{"params": own, "lr": rates.network}]
    grids = [occupancy.base, *occupancy.tables]
    return [
        {"params": [occupancy.base], "lr": rates.base},
        {"params": list(occupancy.tables), "lr": rates.features},
        {"params": [p for p in own if all(p is not grid for grid in grids)], "lr": rates.network},
    ]


def choose_scans(count: int, options: FitOptions, generator: torch.Generator) -> Int[Tensor, "scan"]:
    """The scans of one step."""
    return torch.randperm(count, generator=generator)[: options.scans_per_step]


def hidden_at_times(
    code: Float[Tensor, "scan code"] | None, options: FitOptions, generator: torch.Generator
) -> Float[Tensor, "scan code"] | None:
    """Pose codes, some of them zero, so that the shape without a pose code is learned too."""
    if code is None:
        return None
    shown = torch.rand(len(code), 1, generator=generator) >= options.pose_dropout
    return code * shown.to(code)
