"""Many avatars, some at a time: those of a page are opened one after another while the first ones can be seen."""

import threading
from collections.abc import Callable, Sequence

import viser

from avatars.viewer.figure import Figure
from avatars.viewer.opening import Place, opened
from avatars.viewer.panels.handling import on_press
from avatars.viewer.people import KnownPrior
from avatars.viewer.stage import Stage
from avatars.viewer.state import Display
from body_models import InputError

SHOWN = 12
"""Avatars on the stage at once."""
CELLS = 96
"""Resolution of people in a gallery; the View tab makes one finer."""


class Gallery:
    """Shows a folder of people, a click opens one."""

    def __init__(
        self,
        stage: Stage,
        places: Sequence[Place],
        prior: Callable[[], KnownPrior],
        added: Callable[[Figure], None],
    ) -> None:
        self._stage, self._places, self._prior, self._added = stage, places, prior, added
        self._page, self._turn = 0, 0
        self._lock = threading.Lock()
        self.complete = threading.Event()
        """Set while all of a page are on the stage."""
        stage.open_on_click = True
        stage.on_roster.append(self._say)
        gui, several = stage.server.gui, len(places) > SHOWN
        self._text = gui.add_markdown("")
        self._back = gui.add_button("Earlier people", icon=viser.Icon.ARROW_LEFT, visible=several)
        self._next = gui.add_button("More people", icon=viser.Icon.ARROW_RIGHT, visible=several)
        on_press(self._back, stage.board, lambda event: self.show(self._page - 1))
        on_press(self._next, stage.board, lambda event: self.show(self._page + 1))

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return -(-len(self._places) // SHOWN)

    def show(self, page: int) -> None:
        """Show a page, counted from 0; returns at once."""
        with self._lock:
            self._page = min(max(page, 0), self.pages - 1)
            self._turn += 1
            turn = self._turn
        self.complete.clear()
        threading.Thread(target=self._fill, args=(turn,), name="gallery", daemon=True).start()

    def _fill(self, turn: int) -> None:
        """Open the page's avatars; stops where another page is wanted by now."""
        self._stage.clear()
        self._stage.board.clear("Gallery")
        unread = []
        first = self._page * SHOWN
        some = self._places[first : first + SHOWN]
        self._back.disabled, self._next.disabled = self._page == 0, self._page == self.pages - 1
        self._say()
        known = self._known(some)
        for place in some:
            if turn != self._turn:
                return
            unread += self._open(place, known)
        self._stage.board.done("Gallery")
        if unread:
            self._stage.board.error("Gallery", InputError("  \n".join(unread)))
        self._stage.frame()
        for client in self._stage.server.get_clients().values():
            self._stage.frame(client)
        self.complete.set()

    def _say(self) -> None:
        """Who is shown, and how to see one of them or all."""
        first = self._page * SHOWN
        last = min(first + SHOWN, len(self._places))
        how = "Show all brings the others back." if self._stage.alone else "Click one to open it."
        self._text.content = f"People {first + 1} to {last} of {len(self._places)}. {how}"

    def _open(self, place: Place, known: KnownPrior | None) -> list[str]:
        """Put one on the stage; returns what was wrong with its file."""
        self._stage.board.busy("Gallery", f"opening {place.path.stem}")
        try:
            self._added(self._stage.add(opened(place, known), known, Display(resolution=CELLS)))
        except (InputError, OSError) as error:
            return [f"{place.path.name}: {error}"]
        return []

    def _known(self, some: Sequence[Place]) -> KnownPrior | None:
        """The prior, read once, where any of the people have codes."""
        if all(place.codes is None for place in some):
            return None
        self._stage.board.busy("Gallery", "reading the prior")
        return self._prior()
