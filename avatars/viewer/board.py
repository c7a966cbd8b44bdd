"""What the page says while something takes a while, and when something went wrong."""

import threading
import traceback

import viser

from body_models import InputError

LONGEST = 600
"""Characters of an error that are shown."""


class Board:
    """A line of text with a bar that moves while anything is at work."""

    def __init__(self, server: viser.ViserServer) -> None:
        self._server = server
        self._lock = threading.Lock()
        self.works: dict[str, str] = {}
        """Who is at work, and what at."""
        self.last_error = ""
        self._bar = server.gui.add_progress_bar(100, animated=True, visible=False)
        self._line = server.gui.add_markdown("", visible=False)

    def busy(self, who: str, what: str) -> None:
        """Tell that somebody is at work."""
        with self._lock:
            self.works[who] = what
            self._show()

    def done(self, who: str) -> None:
        """Tell that somebody has finished; does nothing for those who were not at work."""
        with self._lock:
            if self.works.pop(who, None) is not None:
                self._show()

    def error(self, who: str, error: Exception) -> None:
        """Show what went wrong to everybody who looks; errors that are ours go to the terminal in full too."""
        self.done(who)
        if not isinstance(error, InputError | OSError):
            traceback.print_exception(error)
        text = str(error) or type(error).__name__
        self.last_error = f"{who}: {text}"
        self.note(who, text[:LONGEST], "red")

    def note(self, title: str, text: str, colour: "viser._messages.LiteralColor" = "blue") -> None:
        """A message that goes away by itself."""
        for client in self._server.get_clients().values():
            client.add_notification(title, text, color=colour, auto_close_seconds=15.0)

    def _show(self) -> None:
        lines = [f"**{who}**: {what} ..." for who, what in self.works.items()]
        self._line.content = "  \n".join(lines)
        self._line.visible = self._bar.visible = bool(lines)
