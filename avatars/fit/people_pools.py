"""The people that a prior is trained on, as tensors ready to draw from."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from data_prep.people import PeopleDataset

NEAR = 2 / 3
"""Share of a member's points that lie near the surface, by the dataset's schema."""


@dataclass(frozen=True)
class PeoplePools:
    """All scans of all people on end (metres, posed space); people are numbered as in the dataset."""

    person: Int[Tensor, "scan"]
    """Whose scan it is; ascending."""
    first: Int[Tensor, "person"]
    count: Int[Tensor, "person"]
    """Where each person's scans begin, and how many there are."""
    betas: Float[Tensor, "person betas"]
    poses: Float[Tensor, "scan bone 3"]
    translations: Float[Tensor, "scan 3"]
    points: Float[Tensor, "scan point 3"]
    distances: Float[Tensor, "scan point"]

    @staticmethod
    def of(dataset: PeopleDataset, people: list[int], betas: int) -> "PeoplePools":
        """The given people of a dataset; body shapes get the length that the prior takes, by zeros or cutting."""
        members = [dataset.member(number) for number in people]
        count = torch.tensor([len(member) for member in members])
        shapes = torch.zeros(len(members), betas)
        for row, member in zip(shapes, members, strict=True):
            size = min(betas, len(member.betas))
            row[:size] = member.betas[:size]
        joined = {
            name: torch.cat([getattr(member, name) for member in members])
            for name in ("poses", "translations", "points", "distances")
        }
        person = torch.arange(len(members)).repeat_interleave(count)
        return PeoplePools(person, count.cumsum(0) - count, count, shapes, **joined)

    def __len__(self) -> int:
        """How many people there are."""
        return len(self.count)

    def to(self, device: torch.device) -> "PeoplePools":
        """The same on a device."""
        moved = {name: value.to(device) for name, value in vars(self).items()}
        return replace(self, **moved)

    def choose(self, people: int, generator: torch.Generator) -> tuple[Int[Tensor, "some"], Int[Tensor, "some"]]:
        """Different people and a scan of each, at random."""
        person = torch.randperm(len(self), generator=generator)[:people]
        share = torch.rand(len(person), generator=generator)
        person = person.to(self.first.device)
        number = (share.to(self.first.device) * self.count[person]).long()
        return person, self.first[person] + torch.minimum(number, self.count[person] - 1)

    def draw(
        self, scans: Int[Tensor, "some"], points: int, near_share: float, generator: torch.Generator
    ) -> tuple[Float[Tensor, "drawn 3"], Float[Tensor, "drawn"]]:
        """Points of some scans with their signed distances, the same number of each, scan by scan."""
        near = round(NEAR * self.points.shape[1])
        wanted = round(near_share * points)
        size = (len(scans), wanted), (len(scans), points - wanted)
        index = torch.cat(
            [
                torch.randint(max(near, 1), size[0], generator=generator),
                torch.randint(near, self.points.shape[1], size[1], generator=generator),
            ],
            dim=1,
        ).to(self.points.device)
        return self.points[scans[:, None], index].flatten(0, 1), self.distances[scans[:, None], index].flatten()
