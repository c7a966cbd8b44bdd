"""The verb that draws new people from a prior. Imports wait until it runs, so that help is quick."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from avatars.models.prior import Person, Prior

PARTS = {"both": ("shape", "detail", "betas"), "shape": ("shape",), "detail": ("detail",), "build": ("betas",)}
"""Which codes of a person `--vary` lets vary."""
MOST = 10_000


@dataclass(frozen=True)
class Sample:
    """Draw new people in clothes from the prior: avatars that can be posed, meshes, and a picture of all."""

    out: Path
    """The folder to write: person_000.avatar, .ply and .json for each, and sheet.png."""
    count: int = 8
    """How many people."""
    seed: int = 0
    """The same seed gives the same people; the first ones are the same whatever --count is."""
    prior: Path | None = None
    """A prior that `avatars train-prior` wrote; the one that is shipped if not given."""
    truncation: float = 1.0
    """How far people may differ from what is usual: 0 not at all, 1 as in life, less than 1 is cautious."""
    vary: str = "both"
    """both: all of a person; shape: clothes and hair only; detail: wrinkles only; build: the body only."""
    people: Annotated[tuple[Path, ...], tyro.conf.arg(name="from", metavar="JSON ...")] = ()
    """Files person_000.json: make these people again; with --vary shape, detail or build: vary the first."""
    interpolate: Annotated[tuple[str, str] | None, tyro.conf.arg(metavar="A B")] = None
    """From one person to another: each a number (of this seed's people, counted from 0) or a person's .json."""
    steps: int = 8
    """People of the interpolation, both ends included."""
    format: str = "avatar,ply"
    """What to write of each person, with commas between: avatar, glb (rigged), ply, obj, stl."""
    poses: Path | None = None
    """A motion file of which the sheet shows three frames, instead of its own poses."""
    resolution: int = 256
    """Cells along the longest side of the meshes."""
    device: str = "cpu"
    """cpu or cuda."""

    def run(self) -> str:
        """Draw the people, write their files, and say where they lie."""
        from avatars.export.people import PeopleOptions, check_folder, write_people
        from avatars.models.person_file import prior_mark
        from avatars.models.prior_file import load_prior

        options = PeopleOptions(tuple(self.format.lower().replace(" ", "").split(",")), self.resolution, self.poses)
        options.check()
        check_folder(self.out)
        self._check()
        prior = load_prior(self.prior, self._device())
        mark = prior_mark(prior)
        people = self._people(prior, mark)
        sheet = write_people(people, self.out, options, mark)
        return self._said(len(people), sheet, options.formats)

    def _check(self) -> None:
        from body_models import InputError

        if not 1 <= self.count <= MOST:
            raise InputError(f"--count {self.count}: ask for 1 to {MOST} people.")
        if not 2 <= self.steps <= MOST:
            raise InputError(f"--steps {self.steps}: an interpolation takes 2 to {MOST}.")
        if self.vary not in PARTS:
            raise InputError(f"Unknown --vary '{self.vary}'; use {', '.join(PARTS)}.")
        if not 0 <= self.truncation <= 3:
            raise InputError(f"--truncation {self.truncation} is not in 0 to 3; 1 is as in life, 0.7 is cautious.")
        if self.people and self.interpolate is not None:
            raise InputError("Give either --from or --interpolate; the latter takes .json files too.")

    def _device(self) -> str:
        from body_models import InputError

        if self.device not in ("cpu", "cuda"):
            raise InputError(f"Unknown device '{self.device}'; use cpu or cuda.")
        if self.device == "cuda":
            import torch

            if not torch.cuda.is_available():
                raise InputError("No CUDA device is available; use --device cpu.")
        return self.device

    def _people(self, prior: "Prior", mark: str) -> "list[Person]":
        from avatars.models.person_file import read_person

        if self.interpolate is not None:
            start, end = (self._person(prior, which, mark) for which in self.interpolate)
            return prior.interpolate(start, self._varied(prior, start, end), self.steps)
        given = [read_person(path, prior, mark) for path in self.people]
        if given and self.vary == "both":
            return given
        drawn = prior.sample(self.count, self.seed, self.truncation)
        base = given[0] if given else drawn[0]
        return [self._varied(prior, base, person) for person in drawn]

    def _person(self, prior: "Prior", which: str, mark: str) -> "Person":
        """One end of an interpolation."""
        from avatars.models.person_file import read_person
        from body_models import InputError

        if not which.isdecimal():
            return read_person(Path(which), prior, mark)
        if int(which) >= MOST:
            raise InputError(f"--interpolate {which}: name people by numbers below {MOST}.")
        return prior.sample(int(which) + 1, self.seed, self.truncation)[int(which)]

    def _varied(self, prior: "Prior", base: "Person", other: "Person") -> "Person":
        """The base with those codes of another person that vary."""
        varied = PARTS[self.vary]
        shape, detail, betas = (getattr(other if name in varied else base, name) for name in PARTS["both"])
        return prior.person(shape, detail, betas)

    def _said(self, count: int, sheet: Path, formats: tuple[str, ...]) -> str:
        first = self.out / "person_000"
        names = ", ".join(f".{name}" for name in (*formats, "json"))
        people = f"{count} people, person_000 to person_{count - 1:03d}" if count > 1 else "One person, person_000"
        lines = [f"{people} ({names}): {self.out}. Look at {sheet} first."]
        if "avatar" in formats:
            film = shlex.join(["avatars", "animate", f"{first}.avatar", "--turntable", "--out", "turn.mp4"])
            lines.append(f"Film one with: {film}")
        prior = [] if self.prior is None else ["--prior", str(self.prior)]
        again = shlex.join(
            ["avatars", "sample", "--from", f"{first}.json", *prior, "--vary", "detail", "--out", "more"]
        )
        lines.append(f"Other wrinkles on the same clothes: {again}")
        return "\n".join(lines)
