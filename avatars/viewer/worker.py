"""Work that is asked for more often than it can be done: one thread, and only the latest request counts."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar("Job")


class LatestWorker(Generic[Job]):
    """Does jobs one after another in a thread of its own; a job that waits is replaced by a newer one.

    What a job raises is handed to `failed`, and the next job is done all the same.
    """

    def __init__(self, work: Callable[[Job], None], failed: Callable[[Exception], None], name: str = "worker") -> None:
        self._work, self._failed = work, failed
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._busy, self._stopped = False, False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether nothing is done and nothing waits."""
        with self._changed:
            return not self._busy and not self._waiting

    def ask(self, job: Job) -> None:
        """Have a job done as soon as the present one is finished; returns at once."""
        with self._changed:
            self._waiting = [] if self._stopped else [job]
            self._changed.notify_all()

    def wait(self, seconds: float | int) -> bool:
        """Wait until all is done; returns whether it was done in that time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._busy and not self._waiting, seconds)

    def stop(self) -> None:
        """Drop what waits; the thread ends after the present job."""
        with self._changed:
            self._waiting, self._stopped = [], True
            self._changed.notify_all()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                self._work(job[0])
            except Exception as error:  # a thread's errors are seen by nobody else
                self._failed(error)
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _next(self) -> list[Job] | None:
        """The job that waits, in a list; None once there will be no other."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self._stopped)
            if self._stopped:
                return None
            job, self._waiting, self._busy = self._waiting, [], True
            return job
