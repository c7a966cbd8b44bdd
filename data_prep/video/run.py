"""What the stages of one preparation share: frames, folders, options, and where to report."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.model import BodyModel
from data_prep.video.frame_source import Frame, FrameSource
from data_prep.video.shards import PART, Arrays, Shards


@dataclass(frozen=True)
class PrepareOptions:
    """How to prepare a video; see `avatars prepare --help`."""

    model: str | None = None
    body: bool = False
    start: float = 0.0
    end: float | None = None
    fps: float | None = None
    size: int = 512
    crop: str = "auto"
    focal: float | None = None
    landmarks: Path | None = None
    masks: Path | None = None
    overlay: bool = True


@dataclass(frozen=True)
class Run:
    """One preparation under way."""

    source: FrameSource
    out: Path
    work: Path
    options: PrepareOptions
    model: BodyModel
    """The model to track."""
    say: Callable[[str], None]
    progress: Callable[[str, int, int], None]

    @property
    def model_name(self) -> str:
        """The name by which the model is asked for, and read again; `checked_options` has filled it in."""
        assert self.options.model is not None
        return self.options.model

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the source frames (pixels)."""
        return self.source.info.width, self.source.info.height

    @property
    def known_intrinsics(self) -> Float[Tensor, "3 3"] | None:
        """The camera of the source frames where its focal length was given."""
        if self.options.focal is None:
            return None
        (width, height), focal = self.size, float(self.options.focal)
        return torch.tensor([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])

    def each_frame(
        self,
        stage: str,
        row_of: Callable[[Frame], Arrays],
        resume: Callable[[dict[str, np.ndarray]], None] | None = None,
    ) -> dict[str, np.ndarray]:
        """Arrays of a pass over all frames, kept on disk part by part, and gone on with after an interruption.

        `resume` is told the rows of before the interruption, when there was one.
        """
        shards = Shards(self.work, stage.replace(" ", "_"))
        if not shards.finished:
            first = len(shards)
            if first and resume is not None:
                resume(shards.read())
            for rows in self._parts(stage, self.source.frames(first), row_of, first):
                shards.append(rows, self.source.notes)
            shards.finish()
        self.progress(stage, len(shards), len(shards))
        return shards.read()

    def notes(self, stage: str) -> list[str]:
        """What was noticed about the source in a finished pass."""
        return Shards(self.work, stage.replace(" ", "_")).notes

    def _parts(
        self, stage: str, frames: Iterator[Frame], row_of: Callable[[Frame], Arrays], first: int
    ) -> Iterator[list[Arrays]]:
        total = self.source.info.frame_count
        done = first
        self.progress(stage, done, max(total, done))
        while True:
            rows: list[Arrays] = []
            for frame in islice(frames, PART):
                rows.append(row_of(frame))
                done += 1
                self.progress(stage, done, max(total, done))
            yield rows
            if len(rows) < PART:
                return
