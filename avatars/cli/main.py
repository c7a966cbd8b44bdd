"""Read the command line, run a verb, and turn errors into one message and an exit code."""

import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, NoReturn

import tyro

from avatars import __version__
from avatars.cli.datasets import Datasets
from avatars.cli.exporting import Export
from avatars.cli.files import Animate, Info
from avatars.cli.fitting import Evaluate, FitScans, FitVideo
from avatars.cli.models import Models
from avatars.cli.motion import Motions
from avatars.cli.prepare import Prepare
from avatars.cli.priors import TrainPrior
from avatars.cli.rendering import Render
from avatars.cli.sampling import Sample
from avatars.cli.viewing import View

INPUT_ERROR, INTERRUPTED, NO_READER, TERMINATED = 2, 130, 141, 143
DESCRIPTION = "Animatable avatars from scans, video or a prior: fit, sample, view, animate, export. --version tells it."

Makers = Prepare | FitScans | FitVideo | Sample | TrainPrior
Verb = Makers | Animate | Render | View | Export | Evaluate | Info | Models | Motions | Datasets
Named = (
    Annotated[Prepare, tyro.conf.subcommand("prepare")]
    | Annotated[FitScans, tyro.conf.subcommand("fit-scans")]
    | Annotated[FitVideo, tyro.conf.subcommand("fit-video")]
    | Annotated[Sample, tyro.conf.subcommand("sample")]
    | Annotated[TrainPrior, tyro.conf.subcommand("train-prior")]
    | Annotated[Animate, tyro.conf.subcommand("animate")]
    | Annotated[Render, tyro.conf.subcommand("render")]
    | Annotated[View, tyro.conf.subcommand("view")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Info, tyro.conf.subcommand("info")]
    | Annotated[Models, tyro.conf.subcommand("models")]
    | Annotated[Motions, tyro.conf.subcommand("motion")]
    | Annotated[Datasets, tyro.conf.subcommand("dataset")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; returns the exit code.

    0, 2 for input that cannot be used, 130 after Ctrl-C, 141 without reader, 143 after SIGTERM.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments in (["--version"], ["-V"]):
        print(f"avatars {__version__}")
        return 0
    style = (tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone)
    verb: Verb = tyro.cli(Named, prog="avatars", description=DESCRIPTION, args=arguments or ["--help"], config=style)
    with _sigterm_interrupts() as terminated:
        try:
            code = _run(verb)
        except KeyboardInterrupt:
            print(f"\n{_stopped(arguments)}", file=sys.stderr)
            code = INTERRUPTED
    return TERMINATED if terminated.is_set() else code


@contextmanager
def _sigterm_interrupts() -> Iterator[threading.Event]:
    """Have SIGTERM end the block as Ctrl-C does, with all that cleans up after it; the event tells that it came."""
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only that one may listen to signals
        yield came
        return

    def stop(*_: object) -> NoReturn:
        came.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(verb: Verb) -> int:
    from body_models.errors import InputError  # after parsing: help needs no torch

    try:
        said = verb.run()
        print(said, end="\n" if said else "", flush=True)
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return INPUT_ERROR
    except BrokenPipeError:  # as in `avatars info a.avatar | head -1`; else Python complains when it flushes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER
    except OSError as error:
        place = "" if error.filename is None else f"'{error.filename}': "
        reason = error.strerror or type(error).__name__
        print(f"Error: {place}{reason}. Check the path, its permissions and the room there.", file=sys.stderr)
        return INPUT_ERROR
    return 0


def _stopped(arguments: list[str]) -> str:
    if arguments[0] == "sample":
        return "Stopped; the files of people already made are whole and stay."
    if arguments[:2] in (["dataset", "people"], ["dataset", "make-people"]):
        return f"Stopped; the people made so far stay. Go on with: {shlex.join(['avatars', *arguments])}"
    if arguments[0] not in ("prepare", "fit-scans", "fit-video", "train-prior"):
        return "Stopped; nothing was written."
    again = arguments if "--resume" in arguments else [*arguments, "--resume"]
    return f"Stopped; resume with: {shlex.join(['avatars', *again])}"
