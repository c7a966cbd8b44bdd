"""A trained prior of people in clothes: draws new ones, and says which codes are likely."""

import copy
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.models.code_statistics import CodeStatistics
from avatars.models.gdna import Gdna
from avatars.models.person import Person


@dataclass(frozen=True)
class PriorCard:
    """Where a prior comes from."""

    body_model: str = "anny"
    people: int = 0
    """How many people it was trained on."""
    notes: tuple[str, ...] = ()


class Prior:
    """Networks with the statistics of the codes and builds of the people they were trained on."""

    def __init__(
        self, model: Gdna, shape: CodeStatistics, detail: CodeStatistics, betas: CodeStatistics, card: PriorCard
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.shape, self.detail, self.betas, self.card = shape, detail, betas, card

    @property
    def device(self) -> torch.device:
        """Where the prior computes."""
        return self.model.space.joints.device

    def to_device(self, device: torch.device | str) -> "Prior":
        """The same prior on a device."""
        shape, detail, betas = (some.to(device) for some in (self.shape, self.detail, self.betas))
        return Prior(copy.deepcopy(self.model).to(device), shape, detail, betas, self.card)

    def person(
        self,
        shape: Float[Tensor, "shape"] | None = None,
        detail: Float[Tensor, "detail"] | None = None,
        betas: Float[Tensor, "betas"] | None = None,
    ) -> Person:
        """The person of some codes and build; the mean ones where none are given.

        Raises InputError for codes or betas of another length, or with numbers that are not finite.
        """
        return Person(
            self.model,
            self.shape.mean if shape is None else self.shape.checked(shape, "shape code"),
            self.detail.mean if detail is None else self.detail.checked(detail, "detail code"),
            self.betas.mean if betas is None else self.betas.checked(betas, "body shape"),
            self.card.body_model,
        )

    def sample(
        self,
        count: int,
        seed: int = 0,
        truncation: float = 1.0,
        shape: Float[Tensor, "shape"] | None = None,
        detail: Float[Tensor, "detail"] | None = None,
        betas: Float[Tensor, "betas"] | None = None,
    ) -> list[Person]:
        """New people; what is given stays the same for all, what is not is drawn.

        Codes come from the kinds of people in the training set, builds from its normal distribution. `truncation`
        scales the spread of all three (0: the typical people only). The same seed draws the same people, however many.
        Raises InputError for a count below 1, a negative truncation, or codes that do not fit.
        """
        generators = [torch.Generator().manual_seed(3 * seed + number) for number in range(3)]
        shapes = self.shape.sample(count, generators[0], truncation)
        details = self.detail.sample(count, generators[1], truncation)
        builds = self.betas.sample(count, generators[2], truncation, "gaussian")
        return [
            self.person(
                shapes[number] if shape is None else shape,
                details[number] if detail is None else detail,
                builds[number] if betas is None else betas,
            )
            for number in range(count)
        ]

    def interpolate(self, start: Person, end: Person, steps: int) -> list[Person]:
        """People on the straight line between two, both included; raises InputError for fewer than two steps."""
        shapes = self.shape.interpolate(start.shape, end.shape, steps)
        details = self.detail.interpolate(start.detail, end.detail, steps)
        builds = self.betas.interpolate(start.betas, end.betas, steps)
        return [self.person(*codes) for codes in zip(shapes, details, builds, strict=True)]
