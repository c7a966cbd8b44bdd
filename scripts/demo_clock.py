"""The steps of a demo: which is under way, and how long each took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console


@dataclass
class Clock:
    """Tells which of the steps is under way, and keeps how long each took (seconds)."""

    console: Console
    steps: tuple[str, ...]
    """Their titles, in order."""
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce and time one step."""
        number = self.steps.index(title) + 1
        self.console.rule(f"[{number}/{len(self.steps)}] {title}".replace("[", r"\["), align="left")
        started = time.perf_counter()
        yield
        self.seconds[title] = time.perf_counter() - started
        self.console.print(f"Done in {self.seconds[title]:.0f} s.", highlight=False)
