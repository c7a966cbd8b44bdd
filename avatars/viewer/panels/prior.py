"""Codes of somebody of a prior: new clothes, wrinkles and builds, and people between two others."""

import random
from collections.abc import Callable

import viser

from avatars.models.person import Person
from avatars.viewer.figure import Figure
from avatars.viewer.panels.handling import number, on_user, put
from avatars.viewer.people import PARTS, KnownPrior, PersonModel
from avatars.viewer.stage import Stage
from avatars.viewer.worker import LatestWorker

MOST_SEEDS = 1_000_000
_BUTTONS = {"everything": PARTS, "clothes": ("shape",), "wrinkles": ("detail",), "build": ("betas",)}


class PriorPanel:
    """Makes one figure somebody else."""

    def __init__(self, stage: Stage, figure: Figure, known: KnownPrior) -> None:
        assert isinstance(figure.model, PersonModel)
        self._stage, self._figure, self._known = stage, figure, known
        self._worker = LatestWorker[Callable[[], Person]](
            self._make, lambda error: stage.board.error(figure.name, error), "prior"
        )
        self._build(stage.server.gui)

    def refresh(self, origin: object) -> None:
        """Nothing here follows from how the figure stands."""

    def close(self) -> None:
        """End its thread."""
        self._worker.stop()

    def _build(self, gui: viser.GuiApi) -> None:
        board = self._stage.board
        new = gui.add_button_group("New", tuple(_BUTTONS), hint="Draw some of the codes anew")
        on_user(new, board, lambda event: self._vary(_BUTTONS[new.value]))
        self._seed = gui.add_number(
            "Seed", 0, min=0, max=MOST_SEEDS, step=1, hint="The same seed gives the same person"
        )
        on_user(self._seed, board, lambda event: self._vary(PARTS, int(number(self._seed))))
        self._spread = gui.add_slider("Spread", 0.0, 1.5, 0.05, 1.0, hint="0: the typical person; 1: as in life")
        with gui.add_folder("Between two people"):
            self._first = gui.add_number("First seed", 1, min=0, max=MOST_SEEDS, step=1)
            self._second = gui.add_number("Second seed", 2, min=0, max=MOST_SEEDS, step=1)
            self._share = gui.add_slider("Share", 0.0, 1.0, 0.02, 0.0, hint="0 is the first, 1 the second")
            for handle in (self._first, self._second, self._share):
                on_user(handle, board, lambda event: self._between())

    def _vary(self, parts: tuple[str, ...], seed: int | None = None) -> None:
        model = self._figure.model
        assert isinstance(model, PersonModel)
        if seed is None:
            seed = random.randrange(MOST_SEEDS)
            put(self._seed, seed)
        spread, person = number(self._spread), model.person
        self._worker.ask(lambda: self._known.varied(person, parts, seed, spread))

    def _between(self) -> None:
        seeds, share = (int(number(self._first)), int(number(self._second))), number(self._share)
        spread = number(self._spread)
        self._worker.ask(lambda: self._known.between(*seeds, share, spread))

    def _make(self, drawn: Callable[[], Person]) -> None:
        """Draw somebody, and let the figure be them."""
        figure, board = self._figure, self._stage.board
        board.busy(figure.name, "drawing somebody")
        figure.become(PersonModel(figure.name, drawn()))
