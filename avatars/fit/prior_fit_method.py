"""Find the codes, build and poses under which a prior agrees best with scans; the prior's networks stay as they are."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from avatars.fit.pools import PointPools
from avatars.fit.prior_fit_codes import CodeDensity, spread_of, starts
from avatars.fit.prior_fit_options import PriorFitOptions
from avatars.fit.prior_fit_points import Evidence
from avatars.fit.prior_shape import occupancy_loss
from avatars.models.gdna import Gdna, posed_normals
from avatars.models.person import Person
from avatars.models.prior import Prior
from body_models.precision import matmul

SCANS_AT_ONCE = 12
START_POINTS = 4000
"""Points of each scan on which starts are compared."""
ON_SURFACE = 0.015
"""A scanned point whose root is farther from the fitted surface tells nothing of its wrinkles (metres)."""
SAME_SIDE = 0.3
"""Nor does one whose normal has a smaller cosine with the coarse surface's."""


class CodedPerson(nn.Module):
    """What is unknown of a person in scans: codes (in coordinates of unit variance), build, poses and places."""

    shape_start: Tensor
    shape_spread: Tensor
    detail_start: Tensor
    detail_spread: Tensor

    def __init__(
        self,
        prior: Prior,
        betas: Float[Tensor, "betas"],
        poses: Float[Tensor, "scan bone 3"],
        translations: Float[Tensor, "scan 3"],
    ) -> None:
        super().__init__()
        for name, statistics in (("shape", prior.shape), ("detail", prior.detail)):
            self.register_buffer(f"{name}_start", statistics.mean.clone())
            self.register_buffer(f"{name}_spread", spread_of(statistics))
        self.shape_steps = nn.Parameter(torch.zeros_like(self.shape_start))
        self.detail_steps = nn.Parameter(torch.zeros_like(self.detail_start))
        self.betas = nn.Parameter(betas.clone())
        self.poses = nn.Parameter(poses.clone())
        self.translations = nn.Parameter(translations.clone())

    @property
    def shape(self) -> Float[Tensor, "shape"]:
        """The shape code."""
        return self.shape_start + matmul(self.shape_spread, self.shape_steps[:, None])[:, 0]

    @property
    def detail(self) -> Float[Tensor, "detail"]:
        """The detail code."""
        return self.detail_start + matmul(self.detail_spread, self.detail_steps[:, None])[:, 0]

    @torch.no_grad()
    def person(self, prior: Prior) -> Person:
        """The person as found so far."""
        return prior.person(self.shape.detach(), self.detail.detach(), self.betas.detach().clone())


class CodeMethod:
    """Occupancy of posed points, with shape code, build and poses held to what is likely."""

    def __init__(self, prior: Prior, module: CodedPerson, evidence: Evidence, options: PriorFitOptions) -> None:
        self.prior, self.module, self.options = prior, module, options
        self.pools: PointPools = evidence.pools(prior.model.options.edge)
        self.density, self.builds = CodeDensity.of(prior.shape), CodeDensity.of(prior.betas)
        self.registered = module.poses.detach().clone()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Code, build and poses, each with its own step size."""
        options, module = self.options, self.module
        return [
            {"params": [module.shape_steps], "lr": options.code_rate},
            {"params": [module.betas], "lr": options.build_rate},
            {"params": [module.poses, module.translations], "lr": options.pose_rate},
        ]

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """The terms at a step."""
        options, module = self.options, self.module
        chosen = torch.randperm(len(module.poses), generator=generator)[:SCANS_AT_ONCE].to(module.poses.device)
        turned = (module.poses - self.registered).square().sum((1, 2)).mean()
        return {
            "occupancy": self.misfit(module.shape, chosen, max(options.points // len(chosen), 1), generator),
            "code": options.code_weight * self.density.penalty(module.shape),
            "build": options.build_weight * self.builds.penalty(module.betas),
            "pose": options.pose_weight * turned,
        }

    def misfit(
        self, code: Float[Tensor, "code"], scans: Tensor, count: int, generator: torch.Generator
    ) -> Float[Tensor, ""]:
        """Binary cross-entropy of some points of some scans, were the person of a shape code."""
        model, module = self.prior.model, self.module
        points, labels = self.pools.draw(scans, count, generator)
        codes, betas = code.expand(len(scans), -1), module.betas.expand(len(scans), -1)
        field = model.skinning(codes, betas, module.poses[scans], module.translations[scans])
        return occupancy_loss(model, codes, field, points, labels)

    @torch.no_grad()
    def begin(self, seed: int) -> None:
        """Start from the kind of people that the scans show."""
        scans = torch.arange(len(self.module.poses), device=self.module.poses.device)[:SCANS_AT_ONCE]
        codes = starts(self.prior.shape)
        count = START_POINTS // len(scans)
        misfits = [float(self.misfit(code, scans, count, torch.Generator().manual_seed(seed))) for code in codes]
        self.module.shape_start.copy_(codes[misfits.index(min(misfits))])


class WrinkleMethod:
    """Normals of the scanned surfaces against those that a detail code gives; all else stays."""

    def __init__(self, prior: Prior, module: CodedPerson, evidence: Evidence, options: PriorFitOptions) -> None:
        self.prior, self.module, self.options = prior, module, options
        self.density = CodeDensity.of(prior.detail)
        self.canonical, self.targets = canonical_normals(prior.model, module, evidence)
        self.subject = torch.zeros(len(self.canonical), dtype=torch.long, device=self.canonical.device)
        with torch.no_grad():
            shape = prior.model.shape(module.shape[None])
            self.feature = prior.model.occupancy(self.canonical, self.subject, shape).feature
            self.coarse = prior.model.coarse_normals(self.canonical, self.subject, shape)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The detail code alone."""
        return [{"params": [self.module.detail_steps], "lr": self.options.code_rate}]

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """One minus the cosine between normals, and how unlikely the code is."""
        detail, weight = self.module.detail, self.options.detail_weight
        terms = {"detail": weight * self.density.penalty(detail)}
        if len(self.canonical):
            some = torch.randint(len(self.canonical), (self.options.detail_points,), generator=generator)
            some = some.to(detail.device)
            rows = (value[some] for value in (self.canonical, self.subject))
            normals = self.prior.model.normals(*rows, detail[None], self.coarse[some], self.feature[some])
            terms["normals"] = (1 - (normals * self.targets[some]).sum(1)).mean()
        return terms


@torch.no_grad()
def canonical_normals(
    model: Gdna, module: CodedPerson, evidence: Evidence
) -> tuple[Float[Tensor, "found 3"], Float[Tensor, "found 3"]]:
    """Scanned points in the shared space with their unit normals there; those that meet the surface on its own side."""
    scans, samples = evidence.surface.shape[:2]
    codes, betas = module.shape.expand(scans, -1), module.betas.expand(scans, -1)
    field = model.skinning(codes, betas, module.poses, module.translations)
    shape = model.shape(codes)
    posed = evidence.surface.flatten(0, 1)
    frame = torch.arange(scans, device=posed.device).repeat_interleave(samples)
    roots = model.find_roots(posed, frame, field)
    own = frame[roots.point]
    distance = model.occupancy(roots.canonical, own, shape).sdf.abs()
    nearest = distance.new_full((len(posed),), torch.inf).scatter_reduce(0, roots.point, distance, "amin")
    kept = (distance == nearest[roots.point]) & (distance < ON_SURFACE)
    canonical, own, point = roots.canonical[kept], own[kept], roots.point[kept]
    coarse = model.coarse_normals(canonical, own, shape)
    targets = evidence.normals.flatten(0, 1)[point]
    agree = (posed_normals(coarse, canonical, own, field) * targets).sum(1) > SAME_SIDE
    linear = field.blend(canonical, own)[..., :3]
    turned = functional.normalize(matmul(linear.mT, targets[..., None])[..., 0], dim=1)
    return canonical[agree], turned[agree]
