"""Stage 2 of a prior: wrinkles as normals, from surface points of scans and an adversary's eye (gDNA, section 3.4)."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from avatars.fields.normals import GridNormals
from avatars.fit.adversarial import adversarial_losses
from avatars.fit.detail_options import DetailStage
from avatars.fit.discriminator import Discriminator
from avatars.fit.people_pools import PeoplePools
from avatars.fit.prior_hits import SeenPoints
from avatars.fit.prior_seen import SeenPeople, joined
from avatars.fit.prior_shape import CodedPeople, Share
from data_prep.people import PeopleDataset, to_view


class DetailedPeople(nn.Module):
    """A prior in training with the discriminator of its normals, for views of `size` pixels along a side."""

    def __init__(self, people: CodedPeople, size: int, options: DetailStage, seed: int) -> None:
        super().__init__()
        self.people = people
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.discriminator = Discriminator(options.discriminator(size))
        self.discriminator.to(people.shape.device)


@dataclass(frozen=True)
class _Batch:
    """What a step looks at: people, a scan and a view of each."""

    person: list[int]
    scan: list[int]
    """Counted within the person's."""
    view: list[int]
    share: list[float]
    """Which of the scan's surface points are drawn."""

    def first(self, count: int) -> "_Batch":
        """The first people of the batch."""
        return _Batch(self.person[:count], self.scan[:count], self.view[:count], self.share[:count])


class DetailMethod:
    """Detail codes and the field of normals; everything coarse stays as it is.

    `numbers` are those of the people in the dataset, in the order of the pools.
    """

    def __init__(
        self,
        module: DetailedPeople,
        pools: PeoplePools,
        dataset: PeopleDataset,
        numbers: list[int],
        seen: SeenPeople,
        options: DetailStage,
        share: Share | None = None,
    ) -> None:
        self.module, self.pools, self.dataset, self.numbers = module, pools, dataset, numbers
        self.seen, self.options, self.share = seen, options, share or Share()
        module.requires_grad_(False)
        for part in (module.people.gdna.normals, module.discriminator):
            part.requires_grad_(True)
        module.people.detail.requires_grad_(True)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Each kind of parameter with its own step size, the discriminator with its own averages."""
        normals, rates = self.module.people.gdna.normals, self.options.rates
        groups: list[dict[str, Any]] = [{"params": [self.module.people.detail], "lr": rates.codes}]
        taken: list[nn.Parameter] = []
        if isinstance(normals, GridNormals):
            volumes, features = list(normals.volume.parameters()), list(normals.grids.parameters())
            groups += [{"params": volumes, "lr": rates.volumes}, {"params": features, "lr": rates.features}]
            taken = volumes + features
        rest = [p for p in normals.parameters() if all(p is not other for other in taken)]
        groups.append({"params": rest, "lr": rates.network})
        adversary, betas = list(self.module.discriminator.parameters()), self.options.adversarial.betas
        return [*groups, {"params": adversary, "lr": rates.discriminator, "betas": betas}]

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """The terms of this process's share of a step."""
        options, batch = self.options, self._choose(generator)
        device = self.module.people.detail.device
        drawn = [
            self.seen.surface(person, scan, options.points, share)
            for person, scan, share in zip(batch.person, batch.scan, batch.share, strict=True)
        ]
        pictures = batch.first(max(1, options.pictures // self.share.processes) if options.adversarial.weight else 0)
        shown = [self.seen.hits(*of) for of in zip(pictures.person, pictures.scan, pictures.view, strict=True)]
        parts = [points for points, _ in (*drawn, *shown)]
        rows = torch.cat([torch.arange(len(drawn)), torch.arange(len(shown))])
        subject = rows.repeat_interleave(torch.tensor([len(p) for p in parts]))
        codes = self.module.people.detail[torch.tensor(batch.person, device=device)]
        posed = self._posed(joined(parts, device), subject.to(device), codes)
        truth = torch.cat([normals for _, normals in drawn]).to(device)
        terms = {
            "normals": options.normal_weight * (1 - (posed[: len(truth)] * truth).sum(1)).mean(),
            "codes": options.code_weight * codes.square().mean(),
        }
        if shown:
            real = self._real(pictures).to(device)
            fake, covered = self._fake(pictures, posed[len(truth) :], [pixel for _, pixel in shown], real.shape[2])
            if options.same_outline:
                both = (covered & (real < 1).any(1))[:, None]
                real, fake = torch.where(both, real, 1.0), torch.where(both, fake, 1.0)
            size, part = real.shape[2], self.module.discriminator.options.size
            own = zip(shown, pictures.share, strict=True)
            corners = [corner(pixel, share, size, part) for (_, pixel), share in own]
            real, fake = cropped(real, corners, part), cropped(fake, corners, part)
            terms |= adversarial_losses(self.module.discriminator, fake, real, step, options.adversarial)
        return terms

    def _choose(self, generator: torch.Generator) -> _Batch:
        person, scan = self.pools.choose(self.options.people, generator)
        view = torch.randint(len(self.dataset.yaws), (len(person),), generator=generator)
        share = torch.rand(len(person), generator=generator)
        scan = scan - self.pools.first[person]
        kept = [self.share.of(values.cpu()).tolist() for values in (person, scan, view, share)]
        return _Batch(*kept)

    def _posed(
        self, points: SeenPoints, subject: Int[Tensor, "point"], codes: Float[Tensor, "subject code"]
    ) -> Float[Tensor, "point 3"]:
        """Detailed unit normals in the pose."""
        field = self.module.people.gdna.normals
        return points.posed(field(points.canonical, subject, codes, points.coarse, points.feature))

    def _real(self, batch: _Batch) -> Float[Tensor, "picture 3 row column"]:
        """The scans' own pictures."""
        members = [self.dataset.member(self.numbers[person]) for person in batch.person]
        maps = [m.maps[scan, view] for m, scan, view in zip(members, batch.scan, batch.view, strict=True)]
        return torch.stack(maps).permute(0, 3, 1, 2).float() / 255

    def _fake(
        self, batch: _Batch, posed: Float[Tensor, "hit 3"], pixels: list[Int[Tensor, "_"]], size: int
    ) -> tuple[Float[Tensor, "picture 3 row column"], Bool[Tensor, "picture row column"]]:
        """Pictures of the detailed normals, white beside the surface, and where they show it."""
        yaws, counts = self.dataset.yaws, [len(pixel) for pixel in pixels]
        own = zip(posed.split(counts), batch.view, strict=True)
        colours = torch.cat([0.5 + 0.5 * to_view(normals, yaws[view]) for normals, view in own])
        places = torch.cat([pixel + number * size * size for number, pixel in enumerate(pixels)]).to(posed.device)
        empty = posed.new_ones(len(pixels) * size * size, 3)
        pictures = empty.index_copy(0, places, colours).unflatten(0, (-1, size, size)).permute(0, 3, 1, 2)
        covered = torch.zeros(len(empty), dtype=torch.bool, device=posed.device).index_fill_(0, places, True)
        return pictures, covered.unflatten(0, (-1, size, size))


def corner(pixel: Int[Tensor, "hit"], share: float, size: int, shown: int) -> tuple[int, int]:
    """Row and column where a part of a picture begins, as near as can be about one of some pixels; `share` picks it."""
    middle = int(pixel[min(int(share * len(pixel)), len(pixel) - 1)]) if len(pixel) else size * size // 2 + size // 2
    row, column = (min(max(at - shown // 2, 0), size - shown) for at in divmod(middle, size))
    return row, column


def cropped(
    pictures: Float[Tensor, "picture 3 row column"], corners: list[tuple[int, int]], shown: int
) -> Float[Tensor, "picture 3 shown shown"]:
    """The parts of pictures that begin at some corners."""
    own = zip(pictures, corners, strict=True)
    return torch.stack([picture[:, row : row + shown, column : column + shown] for picture, (row, column) in own])
