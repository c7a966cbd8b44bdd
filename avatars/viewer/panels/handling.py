"""How panels listen to people: not to their own messages, and errors are shown instead of lost."""

import math
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
    """Do something, and show what it raises on the page until it goes well."""
    try:
        action()
    except Exception as error:  # a callback's errors are seen by nobody else
        board.error(who, error)
    else:
        board.clear(who)


def put(handle: Any, value: Any) -> None:
    """Have a control show a value; nobody's `on_user` hears of it."""
    handle.value = value


def number(handle: "viser.GuiSliderHandle[float] | viser.GuiNumberHandle[int] | viser.GuiNumberHandle[float]") -> float:
    """The number in a control, brought between its ends where somebody typed one beyond, and then shown so."""
    low = -math.inf if handle.min is None else handle.min
    high = math.inf if handle.max is None else handle.max
    value = min(max(handle.value, low), high)
    if value != handle.value:
        put(handle, value)
    return float(value)
