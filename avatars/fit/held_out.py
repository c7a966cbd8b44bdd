"""Codes of people whom a prior was not trained on, in known poses: how well it can say who they are."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avatars.fit.detail_options import DetailStage
from avatars.fit.loop import cosine, step_generator
from avatars.fit.people_pools import PeoplePools
from avatars.fit.prior_hits import SeenPoints, seen_surface
from avatars.fit.prior_seen import PARTS, joined
from avatars.fit.prior_shape import occupancy_loss
from avatars.fit.progress import Progress
from avatars.models.coarse_person import CoarsePerson
from avatars.models.prior import Prior
from data_prep.people import PeopleDataset


@dataclass(frozen=True)
class HeldOutOptions:
    """How codes are found; the networks stay as they are."""

    steps: int = 300
    """Of the shape codes, and again of the detail codes."""
    people: int = 16
    """People in a step."""
    points: int = 1024
    """Points of each person in a step."""
    rate: float = 0.05
    """Adam's step size."""
    code_weight: float = 1e-3
    """Factor of the mean square of the codes, as in training."""
    detail: DetailStage = field(default_factory=lambda: DetailStage(cached_points=4096))


@dataclass(frozen=True)
class Surfaces:
    """What is known of people's surface points once their shape codes are found."""

    points: list[SeenPoints]
    normals: list[Float[Tensor, "_ 3"]]
    """The scans' own, posed."""

    def draw(self, rows: list[int], count: int, generator: torch.Generator) -> tuple[SeenPoints, Tensor, Tensor]:
        """Points of some people, their subjects and normals."""
        chosen = [torch.randint(len(self.points[row]), (count,), generator=generator) for row in rows]
        device = self.normals[0].device
        pairs = [(self.points[row], index.to(device)) for row, index in zip(rows, chosen, strict=True)]
        drawn = SeenPoints(*(torch.cat([getattr(points, name)[index] for points, index in pairs]) for name in PARTS))
        subject = torch.arange(len(rows), device=device).repeat_interleave(count)
        normals = [self.normals[row][index.to(device)] for row, index in zip(rows, chosen, strict=True)]
        return drawn, subject, torch.cat(normals)


def fit_codes(
    prior: Prior,
    dataset: PeopleDataset,
    numbers: list[int],
    options: HeldOutOptions | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Float[Tensor, "person shape"], Float[Tensor, "person detail"], Surfaces]:
    """Shape and detail codes that reproduce people of a dataset best, with what they make of the people's surfaces.

    Poses and builds are the dataset's (auto-decoding, gDNA, section 4.1). The same seed gives the same codes.
    """
    options, progress = options or HeldOutOptions(), progress or Progress(quiet=True)
    device = prior.device
    pools = PeoplePools.of(dataset, numbers, prior.model.space.betas).to(device)
    shape = nn.Parameter(prior.shape.mean.expand(len(numbers), -1).clone())
    detail = nn.Parameter(prior.detail.mean.expand(len(numbers), -1).clone())
    task = progress.start("finding codes of people held out", 2 * options.steps)

    def minimise(codes: nn.Parameter, loss: Callable[[torch.Generator], Float[Tensor, ""]]) -> None:
        optimiser = torch.optim.Adam([codes], lr=options.rate)
        for step in range(options.steps):
            optimiser.param_groups[0]["lr"] = options.rate * cosine(step / options.steps, 0.05)
            optimiser.zero_grad(set_to_none=True)
            loss(step_generator(seed, step)).backward()
            optimiser.step()
            progress.advance(task)

    minimise(shape, lambda generator: _shape_loss(prior, shape, pools, options, generator))
    surfaces = _surfaces(prior, shape.detach(), pools, dataset, numbers, options)
    minimise(detail, lambda generator: _detail_loss(prior, detail, surfaces, options, generator))
    progress.finish(task)
    return shape.detach(), detail.detach(), surfaces


def _shape_loss(
    prior: Prior, table: Tensor, pools: PeoplePools, options: HeldOutOptions, generator: torch.Generator
) -> Float[Tensor, ""]:
    person, scan = pools.choose(options.people, generator)
    points, distances = pools.draw(scan, options.points, 0.75, generator)
    codes, model = table[person], prior.model
    field = model.skinning(codes, pools.betas[person], pools.poses[scan], pools.translations[scan])
    labels = torch.sigmoid(-distances / model.options.edge)
    return occupancy_loss(model, codes, field, points, labels) + options.code_weight * codes.square().mean()


def _detail_loss(
    prior: Prior, table: Tensor, surfaces: Surfaces, options: HeldOutOptions, generator: torch.Generator
) -> Float[Tensor, ""]:
    rows = torch.randperm(len(table), generator=generator)[: options.people].tolist()
    points, subject, truth = surfaces.draw(rows, options.points, generator)
    codes = table[rows]
    posed = posed_details(prior, points, subject, codes)
    return (1 - (posed * truth).sum(1)).mean() + options.code_weight * codes.square().mean()


def posed_details(
    prior: Prior, points: SeenPoints, subject: Int[Tensor, "point"], codes: Float[Tensor, "subject code"]
) -> Float[Tensor, "point 3"]:
    """Detailed unit normals in the pose at points that are known already."""
    normals = prior.model.normals(points.canonical, subject, codes, points.coarse, points.feature)
    return points.posed(normals)


@torch.no_grad()
def _surfaces(
    prior: Prior,
    codes: Float[Tensor, "person shape"],
    pools: PeoplePools,
    dataset: PeopleDataset,
    numbers: list[int],
    options: HeldOutOptions,
) -> Surfaces:
    points, normals = [], []
    for row, number in enumerate(numbers):
        person, member = CoarsePerson(prior.model, codes[row], pools.betas[row]), dataset.member(number)
        field, shape = person.skinning(member.poses.to(codes), member.translations.to(codes)), person.shape()
        count = options.detail.cached_points
        scans = [seen_surface(prior.model, shape, field, member, scan, count) for scan in range(len(member))]
        points.append(joined([found for found, _ in scans], codes.device))
        normals.append(torch.cat([truth for _, truth in scans]))
    return Surfaces(points, normals)
