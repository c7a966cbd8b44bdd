"""The page itself: a server, what it shows, and the doors by which programs reach it."""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import cached_property
from io import StringIO
from pathlib import Path

import viser

from avatars.models.avatar import Avatar
from avatars.models.head_avatar import HeadAvatar
from avatars.models.person import Person
from avatars.models.prior import Prior
from avatars.models.prior_file import load_prior
from avatars.viewer.board import Board
from avatars.viewer.controls import Chooser, Controls
from avatars.viewer.figure import Figure
from avatars.viewer.gallery import Gallery
from avatars.viewer.models import Model
from avatars.viewer.opening import Place, model_of, opened
from avatars.viewer.panels.motion import MotionLoader
from avatars.viewer.people import KnownPrior, PersonModel
from avatars.viewer.player import Player
from avatars.viewer.ports import free_port, page_address
from avatars.viewer.stage import Stage
from body_models import InputError, Motion

PORT, HOST = 8080, "127.0.0.1"
BRAND = (32, 134, 122)
PATIENCE = 2.0
"""Seconds that drawing may go on once the page is closed."""
SETTLED = 2.5
"""Seconds that a browser takes for the page."""

Shownable = Avatar | HeadAvatar | Person | Path | str


class Viewer:
    """A page in the browser that shows avatars and lets them be posed, animated and saved (metres, Y up).

    It serves from threads of its own as soon as it is made; `stop` ends it, as leaving its `with` does.
    """

    def __init__(self, port: int = PORT, host: str = HOST, prior: Prior | None = None) -> None:
        """Start to serve at the port, or the next one that is free.

        Raises InputError for numbers that are no ports and hosts that are not this computer.
        """
        self.port = free_port(host, port)
        logging.getLogger("websockets").setLevel(logging.CRITICAL)  # tells of every tab that is closed
        with redirect_stdout(StringIO()):  # we say ourselves where the page is
            self._server = viser.ViserServer(host=host, port=self.port, label="Avatars", verbose=False)
        self.port, self.host, self._given_prior = self._server.get_port(), host, prior
        self._server.gui.configure_theme(control_width="medium", show_logo=False, show_share_button=False,
                                         brand_color=BRAND)  # fmt: skip
        self.board = Board(self._server)
        self.stage = Stage(self._server, self.board)
        self.player = Player(lambda: self.stage.figures, lambda: bool(self._server.get_clients()))
        self._server.on_client_connect(lambda client: self.stage.frame(client))
        self._server.on_client_connect(lambda client: self._renew_soon())
        self.loader = MotionLoader(self.stage, self.player)
        self._gallery: Gallery | None = None
        self._chooser = Chooser(self.stage)
        self._controls = Controls(self.stage, self.player, self.loader, self._chooser, self.board)

    @property
    def address(self) -> str:
        """What to type into a browser on this computer."""
        return page_address(self.host, self.port)

    @cached_property
    def prior(self) -> KnownPrior:
        """The prior that people's codes are read with: the given one, or the one that comes with the package."""
        return KnownPrior.of(load_prior() if self._given_prior is None else self._given_prior)

    def add(self, avatar: Shownable, name: str = "") -> Figure:
        """Put an avatar, the file of one, or somebody of a prior on the stage.

        Raises InputError for files that are no avatars and heads without a surface.
        """
        figure = self.stage.add(model := self._model(avatar, name), self.prior if _coded(model) else None)
        self.stage.frame()
        return figure

    def add_place(self, place: Place) -> Figure:
        """Put what `avatars.viewer.opening.places` found on the stage; raises InputError as `add` does."""
        known = None if place.codes is None else self.prior
        figure = self.stage.add(opened(place, known), known)
        self.stage.frame()
        return figure

    def show_gallery(self, places: Sequence[Place], motion: Motion | Path | None = None) -> Gallery:
        """Show many avatars as a gallery, which is filled while the page can be seen already."""
        self._gallery = Gallery(self.stage, places, lambda: self.prior, lambda figure: self._join(motion))
        self._gallery.show(0)
        return self._gallery

    def play(self, motion: Motion | Path | str) -> None:
        """Have all avatars play a motion of anybody; what does not fit is said on the page. Returns at once."""
        self.loader.load(Path(motion) if isinstance(motion, str) else motion, list(self.stage.figures))

    def wait(self, seconds: float | int = 60.0) -> bool:
        """Wait until everybody is drawn as they are; returns whether they were in that time."""
        end = time.monotonic() + seconds
        if not self.loader.wait(seconds):
            return False
        return all(figure.wait(max(0.0, end - time.monotonic())) for figure in self.stage.figures)

    def serve_forever(self) -> None:
        """Stay until Ctrl-C."""
        while True:
            time.sleep(3600)

    def stop(self) -> None:
        """Close the page."""
        self.player.stop()
        self.loader.stop()
        self._controls.close()
        for figure in self.stage.figures:
            figure.halt()
            figure.wait(PATIENCE)
        with redirect_stdout(StringIO()):
            self._server.stop()

    def __enter__(self) -> "Viewer":
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def _join(self, motion: Motion | Path | None) -> None:
        """Have those who came last play along; the loader forgets requests for newer ones, so name all of them."""
        if motion is not None:
            self.loader.load(motion, [figure for figure in self.stage.figures if figure.clip is None])

    def _renew_soon(self) -> None:
        """Have motion told anew once a browser that just came has read all that there is."""
        later = threading.Timer(SETTLED, self.player.renew)
        later.daemon = True
        later.start()

    def _model(self, avatar: Shownable, name: str) -> Model:
        if isinstance(avatar, Person):
            return PersonModel(name or "person", avatar)
        if isinstance(avatar, Path | str):
            return opened(Place(Path(avatar), None), None)
        return model_of(avatar, name or avatar.info.names[0] if avatar.info.names else name or "avatar")


def _coded(model: Model) -> bool:
    return isinstance(model, PersonModel)


def view(
    avatars: Shownable | Sequence[Shownable],
    motion: Motion | Path | str | None = None,
    port: int = PORT,
    host: str = HOST,
    prior: Prior | None = None,
) -> Viewer:
    """Show avatars, files of them or people of a prior side by side on a page in the browser, perhaps in motion.

    Returns at once; the page is at `.address` until `.stop()`. Raises InputError for what cannot be shown.
    """
    some = [avatars] if isinstance(avatars, Avatar | HeadAvatar | Person | Path | str) else list(avatars)
    if not some:
        raise InputError("There is nothing to show: give one avatar or more.")
    viewer = Viewer(port, host, prior)
    try:
        for avatar in some:
            viewer.add(avatar)
    except BaseException:
        viewer.stop()
        raise
    if motion is not None:
        viewer.play(motion)
    return viewer
