"""Run a fit so that one that diverges is taken up again from its last good checkpoint."""

import json
from pathlib import Path

import torch

from avatars.fit.loop import LoopOptions, optimise
from avatars.fit.nerface_method import NerfaceMethod
from avatars.fit.progress import Progress
from avatars.fit.video_method import VideoMethod
from avatars.fit.video_surface import Diverged
from body_models import InputError
from data_prep.atomic import replacing

MOST_ROLLBACKS = 3
"""A fit that diverges is taken up again from its last checkpoint, with half the step sizes, this often."""
CHECKPOINT_EVERY = 100
"""Steps between checkpoints, about: they fall together with a new proxy mesh."""


def optimise_safely(
    method: VideoMethod | NerfaceMethod, seed: int, device: str, work: Path, resume: bool, progress: Progress
) -> None:
    """Run the loop; where the fit diverges, go back to the last checkpoint with half the step sizes.

    Raises InputError when that has not helped `MOST_ROLLBACKS` times.
    """
    options, record = method.options, work / "rollbacks.json"
    every = options.refresh * max(1, round(CHECKPOINT_EVERY / options.refresh))
    loop = LoopOptions(options.steps, seed, device, options.rates.final, options.clip, every)
    start = {name: value.detach().clone() for name, value in method.module.state_dict().items()}
    halvings = _read_halvings(record) if resume else 0
    while True:
        method.restart(0.5**halvings)
        try:
            optimise(method, loop, work, resume, progress, method.check)
            return
        except InputError as error:
            if not isinstance(error, Diverged) and _is_finite(method.module):
                raise
            if halvings == MOST_ROLLBACKS:
                raise InputError(
                    f"The fit diverged again after {MOST_ROLLBACKS} retries with smaller steps: {error}. Look at the "
                    "dataset's overlay.mp4 and masks; if they are good, give a preset with lower `rates`."
                ) from error
            halvings += 1
            progress.say(f"The fit diverged: {error}. Going back to the last checkpoint with half the step sizes.")
        with replacing(record) as temporary:
            temporary.write_text(json.dumps({"halvings": halvings}), encoding="utf-8")
        method.module.load_state_dict(start)
        resume = True


def _read_halvings(record: Path) -> int:
    try:
        return min(MOST_ROLLBACKS, max(0, int(json.loads(record.read_text(encoding="utf-8"))["halvings"])))
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _is_finite(module: torch.nn.Module) -> bool:
    return all(bool(parameter.isfinite().all()) for parameter in module.parameters())
