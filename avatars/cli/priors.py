"""The verb that trains a prior of people. Imports wait until it runs, so that help is quick."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class TrainPrior:
    """Train a prior on a dataset of many people; under torchrun on several GPUs, machines or processes."""

    source: tyro.conf.Positional[Path]
    """A dataset that `avatars dataset make-people` or `avatars dataset people` wrote."""
    out: Path
    """The prior file to write; work in progress is kept beside it in OUT.work."""
    preset: str = "fast"
    """"fast", "paper", or the path of a YAML file with the same keys."""
    seed: int = 0
    """The same seed on the same machine gives the same prior."""
    device: str = "auto"
    """auto, cpu or cuda."""
    resume: bool = False
    """Go on from the last checkpoint of an interrupted run."""
    steps: int | None = None
    """Steps of the first stage (surfaces), instead of the preset's."""
    detail_steps: int | None = None
    """Steps of the second stage (wrinkles), instead of the preset's."""
    held_out: int = 0
    """How many people at the end of the dataset are kept for tests, and not trained on."""

    def run(self) -> str:
        """Train and write the prior."""
        from avatars.fit.prior import train_prior

        prior = train_prior(
            self.source,
            self.out,
            preset=self.preset,
            seed=self.seed,
            device=self.device,
            resume=self.resume,
            steps=self.steps,
            detail_steps=self.detail_steps,
            held_out=self.held_out,
        )
        if int(os.environ.get("RANK", "0")):  # of several processes the first one speaks
            return ""
        size = self.out.stat().st_size / 1e6
        sample = shlex.join(["avatars", "sample", "--prior", str(self.out), "--out", "people"])
        return f"Prior of {prior.card.people} people: {self.out} ({size:.1f} MB). Draw new ones with: {sample}"
