"""People of a prior on the page: their codes can be changed."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from avatars.export.driving.drivers import read_driver
from avatars.export.rig import Rig
from avatars.export.rig.bake import rig_of
from avatars.export.rig.source import source_of_body
from avatars.models.avatar import Avatar
from avatars.models.person import Person
from avatars.models.person_file import prior_mark, read_person
from avatars.models.prior import Prior
from avatars.viewer.models import COARSE, Build, Model
from avatars.viewer.shown import Meshed
from avatars.viewer.stances import body_poses, grounded, standing
from avatars.viewer.state import Display, Stance
from body_models import InputError, Motion, retarget

PARTS = ("shape", "detail", "betas")
BAKED = 192
"""Cells of the avatar that is made of a person for the exact surface and for export."""


@dataclass(frozen=True)
class KnownPrior:
    """A prior and its mark, by which people of another one are told."""

    prior: Prior
    mark: str

    @staticmethod
    def of(prior: Prior) -> "KnownPrior":
        """With the mark computed."""
        return KnownPrior(prior, prior_mark(prior))

    def read(self, path: Path) -> Person:
        """A person's file; raises InputError for people of another prior."""
        return read_person(path, self.prior, self.mark)

    def varied(self, person: Person, parts: tuple[str, ...], seed: int, spread: float) -> Person:
        """The person with some of shape, detail and betas drawn anew; the same seed draws the same."""
        drawn = self.prior.sample(1, seed, spread)[0]
        shape, detail, betas = (getattr(drawn if part in parts else person, part) for part in PARTS)
        return self.prior.person(shape, detail, betas)

    def between(self, first: int, second: int, share: float, spread: float) -> Person:
        """Somebody on the straight line between two seeds' people; 0 is the first."""
        ends = [self.prior.sample(1, seed, spread)[0] for seed in (first, second)]
        codes = [getattr(ends[0], part) + share * (getattr(ends[1], part) - getattr(ends[0], part)) for part in PARTS]
        return self.prior.person(*codes)


class PersonModel(Model):
    """Somebody of a prior, straight from their codes."""

    def __init__(self, name: str, person: Person) -> None:
        self.person = person
        self._body = body = person.body(COARSE, details=False)
        canonical = grounded(body, body.canonical_pose)
        build = Build(body.skeleton, body.joints, standing(body), canonical, lambda: body_poses(body))
        super().__init__(name, build)

    @cached_property
    def avatar(self) -> Avatar:
        """The person as an avatar of its own, made when it is asked for."""
        return self.person.avatar(self.name, BAKED)

    def motion(self, source: Motion | Path | str) -> Motion:
        """Anybody's motion on this one, without waiting for the avatar."""
        return retarget(read_driver(source).motion, self._body)

    def own_motion(self) -> Motion:
        """Refused: raises InputError."""
        raise InputError(f"{self.name} was drawn from a prior, not fitted to anything that moves; open a motion file.")

    def _exact(self, stance: Stance, display: Display) -> Meshed:
        mesh = self.avatar.pose(stance.rotations, stance.translation).mesh(display.resolution, exact=True)
        return Meshed(mesh.vertices, mesh.faces)

    def _make_rig(self, resolution: int) -> Rig:
        return rig_of(source_of_body(self.person.body(resolution)))
