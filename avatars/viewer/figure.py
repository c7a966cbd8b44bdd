"""One avatar on the page: what it does, drawn by a thread of its own that never keeps the page waiting."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import viser
from jaxtyping import Float
from torch import Tensor

from avatars.viewer.board import Board
from avatars.viewer.clips import Clip
from avatars.viewer.layers import Layers
from avatars.viewer.models import Model
from avatars.viewer.people import KnownPrior
from avatars.viewer.reels import Reel
from avatars.viewer.state import OWN, PLAIN, Display, Stance
from avatars.viewer.worker import LatestWorker

HEAD_CELLS, BODY_CELLS = 128, 192
"""Resolutions to begin with: a body's longest side is three times its head."""
AHEAD = 0.1
"""Seconds from telling a browser of a motion until it shows it, about."""

Job = tuple[Model, Stance, Display, Reel | None]


class Figure:
    """An avatar with its stance and display; whoever changes these has it drawn anew, the latest state only."""

    def __init__(
        self,
        server: viser.ViserServer,
        number: int,
        model: Model,
        board: Board,
        tell: Callable[["Figure", object], None],
        click: Callable[["Figure", viser.SceneNodePointerEvent], None],
        display: Display | None = None,
    ) -> None:
        self._server, self._board, self._tell = server, board, tell
        self.number, self.model = number, model
        self.clip: Clip | None = None
        self.prior: KnownPrior | None = None
        self.stance = model.build.neutral
        self.display = display or Display(
            colouring=OWN if model.build.has_colours else PLAIN, resolution=HEAD_CELLS if model.head else BODY_CELLS
        )
        self._reel: Reel | None = None
        """What the browser plays by itself now."""
        self._lock = threading.Lock()
        self.path = f"/avatars/{number}"
        self.frame = server.scene.add_frame(self.path, show_axes=False)
        self._label = server.scene.add_label(f"{self.path}/name", model.name, position=(0.0, 0.0, 0.5), visible=False)
        self._layers = Layers(server, self.path, lambda event: click(self, event))
        self._worker = LatestWorker[Job](self._draw, self._failed, f"figure {number}")
        self.draws = 0
        """How often it was drawn."""

    @property
    def name(self) -> str:
        """What to call it."""
        return self.model.name

    @property
    def gizmo_path(self) -> str:
        """Where the rings that turn its joints are in the scene."""
        return f"{self.path}/gizmo"

    @property
    def rolling(self) -> bool:
        """Whether browsers play its motion by themselves."""
        return self._reel is not None

    @property
    def visible(self) -> bool:
        """Whether it is on the stage."""
        return bool(self.frame.visible)

    @visible.setter
    def visible(self, visible: bool) -> None:
        if visible != self.visible:
            self.frame.visible = visible
            self.unroll()
            self.redraw()

    @property
    def labelled(self) -> bool:
        """Whether its name stands at its feet."""
        return bool(self._label.visible)

    @labelled.setter
    def labelled(self, labelled: bool) -> None:
        self._label.visible = labelled

    def stand(self, stance: Stance, origin: object = None, reel: Reel | None = None) -> None:
        """Take a stance; `origin` is who asks, and is not told of it.

        In a motion that goes on, `reel` tells how: browsers that can play it are told of it once.
        """
        with self._lock:
            self.stance = stance
            rolls = reel is not None and self.model.rolls(self.display)
            goes_on = rolls and self._reel is not None and reel is not None and self._reel.leads_to(reel)
            if not goes_on:
                self._reel = reel if rolls else None
        if not goes_on and not (reel is not None and self.display.canonical):
            self.redraw()
        self._tell(self, origin)

    def unroll(self) -> None:
        """Have browsers told anew of a motion that goes on."""
        with self._lock:
            self._reel = None

    def change(self, origin: object = None, **changes: Any) -> None:
        """Draw it in another way: fields of `Display`. Raises InputError for values that make no sense."""
        with self._lock:
            self.display = replace(self.display, **changes)
        self.redraw()
        self._tell(self, origin)

    def become(self, model: Model) -> None:
        """Be somebody else of the same skeleton, in the same stance, on the same ground."""
        with self._lock:
            lift = model.build.neutral.translation - self.model.build.neutral.translation
            self.model, self.stance = model, self.stance.moved(self.stance.translation + lift)
        self.redraw()
        self._tell(self, None)

    def redraw(self) -> None:
        """Have it drawn as it is now; returns at once."""
        if self.visible:
            self._worker.ask((self.model, self.stance, self.display, self._reel))

    def place(self, across: float, along: float) -> None:
        """Put it somewhere on the ground (metres)."""
        self.frame.position = (across, 0.0, along)

    def box(self) -> Float[Tensor, "2 3"]:
        """Its lowest and highest corner where it stands by itself (metres)."""
        own = self.model.box
        return own + own.new_tensor([float(value) for value in self.frame.position])

    def wait(self, seconds: float | int = 30.0) -> bool:
        """Wait until it is drawn as it is; returns whether it was in that time."""
        return self._worker.wait(seconds)

    def halt(self) -> None:
        """Draw no more."""
        self._worker.stop()
        self._layers.close()

    def remove(self) -> None:
        """Take it from the page; its empty frame stays, see `Layers`."""
        self.halt()
        self._worker.wait(5.0)
        self._layers.remove()
        self.frame.visible = False

    def _draw(self, job: Job) -> None:
        model, stance, display, reel = job
        if reason := model.slow(display):
            self._board.busy(self.name, reason)
        if reel is not None and model.rolls(display):
            model.rig(display.resolution)  # it may take long: only then tell from when on
            self._layers.draw(model.rolled(*reel.stances(time.monotonic() + AHEAD), display), display)
        else:
            self._layers.draw(model.shown(stance, display), display)
        self.draws += 1
        self._board.done(self.name)
        self._board.clear(self.name)

    def _failed(self, error: Exception) -> None:
        self._board.error(self.name, error)
