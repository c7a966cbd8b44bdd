"""What the page says while something takes a while, and when something went wrong."""

import logging
import threading
import time
import traceback
from dataclasses import dataclass, field
from typing import Literal

import viser

from body_models import InputError

_log = logging.getLogger(__name__)

LONGEST = 240
"""Characters of a message that the page shows; the terminal has all of it."""
SECONDS = 15.0
"""After which a message goes away by itself."""
REPEATED = 3.0
"""Seconds in which the same is not said again."""

Colour = Literal["red", "blue"]


@dataclass
class _Notice:
    """A message about a topic, as every browser shows it."""

    text: str
    colour: Colour
    said: float = field(default_factory=time.monotonic)
    shown: list[viser.NotificationHandle] = field(default_factory=list)


class Board:
    """A line of text with a bar that moves while anything is at work, and one message at most about every topic."""

    def __init__(self, server: viser.ViserServer) -> None:
        self._server = server
        self._lock = threading.RLock()
        self._notices: dict[str, _Notice] = {}
        self.works: dict[str, str] = {}
        """Who is at work, and what at."""
        self.last_error = ""
        self._bar = server.gui.add_progress_bar(100, animated=True, visible=False)
        self._line = server.gui.add_markdown("", visible=False)
        server.on_client_connect(self._welcome)

    @property
    def notices(self) -> dict[str, str]:
        """What is said, by topic."""
        with self._lock:
            return {topic: notice.text for topic, notice in self._notices.items()}

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
        """Show what went wrong to everybody who looks or comes to look, and write all of it to the terminal."""
        self.done(who)
        text = str(error) or type(error).__name__
        self.last_error = f"{who}: {text}"
        if self.note(who, text, "red"):
            _log.error("%s: %s", who, text)
            if not isinstance(error, InputError | OSError):
                traceback.print_exception(error)

    def note(self, topic: str, text: str, colour: Colour = "blue") -> bool:
        """Say something about a topic instead of what was said about it; False if the same was said just now."""
        with self._lock:
            former = self._notices.get(topic)
            if former is not None and former.text == shortened(text) and time.monotonic() - former.said < REPEATED:
                return False
            self.clear(topic)
            notice = self._notices[topic] = _Notice(shortened(text), colour)
        for client in self._server.get_clients().values():
            self._tell(client, topic, notice)
        return True

    def clear(self, topic: str) -> None:
        """Take back what was said about a topic: it went well now."""
        with self._lock:
            notice = self._notices.pop(topic, None)
            for handle in notice.shown if notice is not None else ():
                handle.remove()

    def _welcome(self, client: viser.ClientHandle) -> None:
        """Tell somebody who just came what went wrong before."""
        with self._lock:
            standing = dict(self._notices)
        for topic, notice in standing.items():
            self._tell(client, topic, notice)

    def _tell(self, client: viser.ClientHandle, topic: str, notice: _Notice) -> None:
        with self._lock:
            if self._notices.get(topic) is notice:
                notice.shown.append(
                    client.add_notification(topic, notice.text, color=notice.colour, auto_close_seconds=SECONDS)
                )

    def _show(self) -> None:
        lines = [f"**{who}**: {what} ..." for who, what in self.works.items()]
        self._line.content = "  \n".join(lines)
        self._line.visible = self._bar.visible = bool(lines)


def shortened(text: str) -> str:
    """As much of a message as the page has room for."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rsplit(' ', 1)[0]} ... (all of it is in the terminal)"
