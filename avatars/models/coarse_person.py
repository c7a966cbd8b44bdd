"""One person of a prior without wrinkles: the coarse surface and how it is posed."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.deform.people import PeopleSkinning
from avatars.fields.people_occupancy import PeopleShape
from avatars.meshing import TriangleMesh, extract_surface
from avatars.models.gdna import Gdna

POINTS_AT_ONCE = 200_000


@dataclass(frozen=True)
class CoarsePerson:
    """The networks of a prior, in training or trained, and a person's own numbers (metres, Y up)."""

    gdna: Gdna
    code: Float[Tensor, "code"]
    """The shape code."""
    betas: Float[Tensor, "betas"]

    @torch.no_grad()
    def shape(self) -> PeopleShape:
        """What the shape code says."""
        return self.gdna.shape(self.code[None])

    @torch.no_grad()
    def skinning(self, poses: Float[Tensor, "scan bone 3"], translations: Float[Tensor, "scan 3"]) -> PeopleSkinning:
        """The deformation in poses, a frame each."""
        count = len(poses)
        return self.gdna.skinning(self.code.expand(count, -1), self.betas.expand(count, -1), poses, translations)

    @torch.no_grad()
    def mesh(self, cells: int) -> TriangleMesh:
        """The surface in the space that all people share; raises InputError when there is none."""
        shape, box = self.shape(), self.gdna.space.box

        def logits(points: Float[Tensor, "point 3"]) -> Float[Tensor, "point"]:
            parts = points.split(POINTS_AT_ONCE)
            return torch.cat([self.gdna.logits(some, of_one_person(some), shape) for some in parts])

        return extract_surface(logits, box[0], box[1], cells, keep_largest=True)


def of_one_person(points: Float[Tensor, "point 3"]) -> Int[Tensor, "point"]:
    """All points are of the first person."""
    return torch.zeros(len(points), dtype=torch.long, device=points.device)
