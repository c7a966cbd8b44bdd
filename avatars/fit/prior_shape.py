"""Stage 1 of a prior: surfaces, skinning and shape codes of many people, from labelled posed points (gDNA, 3.4)."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from avatars.deform.people import PeopleSkinning
from avatars.fields.coded_weights import GridCodedWeights
from avatars.fields.people_occupancy import GridPeopleOccupancy
from avatars.fit.people_pools import PeoplePools
from avatars.fit.prior_options import ShapeStage
from avatars.fit.scan_method import JOINT_WEIGHT
from avatars.models.gdna import Gdna
from avatars.models.gdna_start import CanonicalModel
from body_models.skeleton import transform_points

SHAPE_SPREAD, DETAIL_SPREAD = 0.2, 0.3
"""Of the codes at the start: the publication's zeros would leave the bases without a gradient at first."""
VERTICES_AT_ONCE = 2000


class CodedPeople(nn.Module):
    """A prior with the codes of the people that it is trained on."""

    def __init__(self, gdna: Gdna, people: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.gdna = gdna
        self.shape = nn.Parameter(SHAPE_SPREAD * torch.randn(people, gdna.options.shape_code, generator=generator))
        self.detail = nn.Parameter(DETAIL_SPREAD * torch.randn(people, gdna.options.detail_code, generator=generator))


@dataclass(frozen=True)
class Share:
    """Which part of every step's work this process does."""

    rank: int = 0
    processes: int = 1

    def of(self, rows: Tensor) -> Tensor:
        """This process's rows; all processes get as many, and together all but a rest."""
        each = len(rows) // self.processes
        return rows[self.rank * each : (self.rank + 1) * each]


def occupancy_loss(
    gdna: Gdna,
    codes: Float[Tensor, "frame code"],
    field: PeopleSkinning,
    points: Float[Tensor, "point 3"],
    labels: Float[Tensor, "point"],
) -> Float[Tensor, ""]:
    """Binary cross-entropy of occupancy at posed points, as many of each frame's person, frame by frame."""
    frame = torch.arange(len(codes), device=points.device).repeat_interleave(len(points) // len(codes))
    logits = gdna(points, frame, gdna.shape(codes), field)
    return functional.binary_cross_entropy_with_logits(logits, labels)


class ShapeMethod:
    """Binary cross-entropy of occupancy at posed points, with the regularisers of the first stage."""

    def __init__(
        self, module: CodedPeople, pools: PeoplePools, canonical: CanonicalModel, options: ShapeStage, share: Share
    ) -> None:
        self.module, self.pools, self.options, self.share = module, pools, options, share
        device = module.shape.device
        self.vertices = canonical.vertices.to(device)
        self.displacements = canonical.displacements.to(device)
        self.body_weights = canonical.body.skinning_weights.to(device)
        for parameter in (module.detail, *module.gdna.normals.parameters()):
            parameter.requires_grad_(False)
        module.gdna.space.basis.requires_grad_(options.rates.offsets > 0)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Each kind of parameter with its own step size; grids that begin at the body stay smooth (`uniform`)."""
        gdna, rates = self.module.gdna, self.options.rates
        occupancy = gdna.occupancy
        groups: list[dict[str, Any]] = [
            {"params": [self.module.shape], "lr": rates.codes},
            {"params": list(occupancy.volumes.parameters()), "lr": rates.volumes},
        ]
        if rates.offsets:
            groups.append({"params": [gdna.space.basis], "lr": rates.offsets, "uniform": True})
        taken = list(occupancy.volumes.parameters())
        if isinstance(occupancy, GridPeopleOccupancy):
            groups += [
                {"params": [occupancy.base], "lr": rates.base, "uniform": True},
                {"params": list(occupancy.grids.parameters()), "lr": rates.features},
            ]
            taken += [occupancy.base, *occupancy.grids.parameters()]
        rest = [p for p in occupancy.parameters() if all(p is not other for other in taken)]
        groups.append({"params": rest, "lr": rates.network})
        if isinstance(gdna.weights, GridCodedWeights):
            own = [gdna.weights.patterns, *gdna.weights.mix.parameters()]
            return [
                *groups,
                {"params": [gdna.weights.logits], "lr": rates.weights},
                {"params": own, "lr": rates.patterns},
            ]
        return [*groups, {"params": list(gdna.weights.parameters()), "lr": rates.weights}]

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """The terms of this process's share of a step."""
        gdna, options = self.module.gdna, self.options
        person, scan = self.pools.choose(options.people, generator)
        points, distances = self.pools.draw(scan, options.points, options.near_share, generator)
        person, scan = self.share.of(person), self.share.of(scan)
        points = self.share.of(points.unflatten(0, (-1, options.points))).flatten(0, 1)
        distances = self.share.of(distances.unflatten(0, (-1, options.points))).flatten()
        codes = self.module.shape[person]
        pools = self.pools
        field = gdna.skinning(codes, pools.betas[person], pools.poses[scan], pools.translations[scan])
        labels = torch.sigmoid(-distances / gdna.options.edge)
        terms = {
            "occupancy": occupancy_loss(gdna, codes, field, points, labels),
            "codes": options.code_weight * codes.square().mean(),
        }
        if isinstance(gdna.weights, GridCodedWeights):
            terms["skinning"] = options.skinning_weight * field.tables.square().mean()
        if options.rates.offsets:
            terms["warp"] = options.warp_weight * self._warp(generator)
        if gdna.options.network == "mlp" and step < options.bootstrap * options.steps:
            terms |= self._bootstrap(codes, generator)
        return terms

    def _warp(self, generator: torch.Generator) -> Float[Tensor, ""]:
        some = torch.randint(len(self.vertices), (VERTICES_AT_ONCE,), generator=generator).to(self.vertices.device)
        return self.module.gdna.space.warp_error(self.vertices[some], self.displacements[:, some])

    def _bootstrap(self, codes: Float[Tensor, "some code"], generator: torch.Generator) -> dict[str, Tensor]:
        """Points along the bones are inside, weights on the body are the body model's (canonical space)."""
        gdna = self.module.gdna
        space = gdna.space
        still = space.canonical_from_rest(codes.new_zeros(1, space.betas))[0]
        heads, tails = transform_points(still, space.joints), transform_points(still, space.segment_tails)
        along = torch.rand(len(heads), 5, 1, generator=generator).to(heads)
        bones = (heads[:, None] + along * (tails - heads)[:, None]).flatten(0, 1)
        some = torch.randint(len(self.vertices), (1000,), generator=generator).to(codes.device)
        first = torch.zeros(len(bones), dtype=torch.long, device=codes.device)
        inside = gdna.logits(bones, first, gdna.shape(codes[:1]))
        learned = gdna.weights.log_weights(self.vertices[some], first.new_zeros(len(some)), codes[:1]).softmax(1)
        return {
            "bones": functional.binary_cross_entropy_with_logits(inside, torch.ones_like(inside)),
            "weights": JOINT_WEIGHT * functional.mse_loss(learned, self.body_weights[some]),
        }
