"""The clock that moves all avatars through their clips."""

import threading
import time
from collections.abc import Callable, Sequence

from avatars.viewer.clips import Clip
from avatars.viewer.figure import Figure
from avatars.viewer.reels import Reel

RATE = 30.0
"""Stances a second that are asked for."""
TOLD_EVERY = 0.25
"""Seconds between two messages of where the clock is."""


class Player:
    """Plays, pauses and scrubs; while nobody looks it stands still."""

    def __init__(self, figures: Callable[[], Sequence[Figure]], watched: Callable[[], bool]) -> None:
        self._figures, self._watched = figures, watched
        self.seconds, self.speed = 0.0, 1.0
        self.loop, self.in_place = True, False
        self.listener: Callable[[object], None] = lambda origin: None
        """Told when the clock starts, stops or has gone on, and by whom."""
        self._lock = threading.RLock()
        self._running, self._stopped = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="player", daemon=True)
        self._thread.start()

    @property
    def playing(self) -> bool:
        """Whether the clock runs."""
        return self._running.is_set()

    @property
    def length(self) -> float:
        """Seconds of the longest clip; 0 without any."""
        return max((figure.clip.seconds for figure in self._figures() if figure.clip is not None), default=0.0)

    def play(self) -> None:
        """Go on; from the start where the end was reached."""
        if self.length > 0:
            self.seconds = 0.0 if self.seconds >= self.length else self.seconds
            self._running.set()
        self.listener(None)

    def pause(self) -> None:
        """Stand still."""
        with self._lock:  # so that no step of the clock comes after
            self._running.clear()
            self.show()
        self.listener(None)

    def let_go(self, figure: Figure) -> None:
        """Stand still if it is the clock that moves a figure: somebody wants to pose it."""
        if self.playing and figure.clip is not None:
            self.pause()

    def renew(self) -> None:
        """Have browsers told anew of the motion, since another one came to look."""
        for figure in self._figures():
            figure.unroll()

    def scrub(self, seconds: float, origin: object = None) -> None:
        """Stand still at a time; `origin` is who asks."""
        self._running.clear()
        self.seek(seconds)
        self.listener(origin)

    def seek(self, seconds: float) -> None:
        """Go to a time."""
        with self._lock:
            self.seconds = min(max(seconds, 0.0), self.length)
        self.show()

    def show(self) -> None:
        """Have all avatars stand as their clips say now."""
        length = self.length
        for figure in self._figures():
            if figure.clip is not None and figure.visible:
                goes_on = self.playing and length > 0 and self.speed > 0
                reel = self._reel(figure.clip, length) if goes_on else None
                figure.stand(figure.clip.stance(self.seconds, self.in_place), self, reel)

    def advance(self, elapsed: float) -> None:
        """Let seconds go by."""
        with self._lock:
            self._count_on(elapsed)
        self.show()

    def stop(self) -> None:
        """End the thread."""
        self._stopped = True
        self._running.set()
        if self._thread is not threading.current_thread():
            self._thread.join(1.0)

    def _count_on(self, elapsed: float) -> None:
        seconds, length = self.seconds + self.speed * elapsed, self.length
        if length == 0 or (seconds > length and not self.loop):
            self._running.clear()
        self.seconds = seconds % length if self.loop and length > 0 else min(seconds, length)

    def _reel(self, clip: Clip, length: float) -> Reel:
        """How a clip goes on if nobody touches the clock."""
        return Reel(clip, self.seconds, time.monotonic(), length, self.speed, self.loop, self.in_place)

    def _go_on(self, elapsed: float) -> None:
        """Let seconds go by, unless somebody just stopped the clock."""
        with self._lock:
            if self.playing:
                self.advance(elapsed)

    def _run(self) -> None:
        last = told = time.monotonic()
        while True:
            if not self.playing:
                self._running.wait()
                last = time.monotonic()
            if self._stopped:
                return
            now = time.monotonic()
            if self._watched():
                self._go_on(now - last)
            if now - told > TOLD_EVERY or not self.playing:
                told = now
                self.listener(None)
            last = now
            time.sleep(max(0.0, 1 / RATE - (time.monotonic() - now)))
