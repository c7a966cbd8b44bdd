"""How panels listen to people: not to their own messages, and errors are shown instead of lost."""

from collections.abc import Callable
from typing import Any

import viser

from avatars.viewer.board import Board

Action = Callable[[viser.GuiEvent], None]


def on_user(handle: Any, board: Board, action: Action) -> None:
    """Have something done when somebody at a browser changes a control; not when the program itself does."""

    def changed(event: viser.GuiEvent) -> None:
        if event.client is not None:
            guarded(board, handle.label, lambda: action(event))

    listen = handle.on_click if isinstance(handle, viser.GuiButtonGroupHandle) else handle.on_update
    listen(changed)


def on_press(handle: viser.GuiButtonHandle, board: Board, action: Action) -> None:
    """Have something done when a button is pressed."""
    handle.on_click(lambda event: guarded(board, handle.label, lambda: action(event)))


def guarded(board: Board, who: str, action: Callable[[], None]) -> None:
    """Do something, and show what it raises on the page."""
    try:
        action()
    except Exception as error:  # a callback's errors are seen by nobody else
        board.error(who, error)


def put(handle: Any, value: Any) -> None:
    """Have a control show a value; nobody's `on_user` hears of it."""
    handle.value = value
