import threading

from avatars.viewer.worker import LatestWorker


class Held:
    """Work that waits until it is let go, and remembers what was done."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.errors: list[Exception] = []
        self.started, self.go = threading.Event(), threading.Event()
        self.worker = LatestWorker[int](self.work, self.errors.append)

    def work(self, job: int) -> None:
        self.started.set()
        assert self.go.wait(5.0)
        if job < 0:
            raise ValueError(f"job {job}")
        self.done.append(job)


def test_the_latest_request_wins():
    held = Held()
    held.worker.ask(0)
    assert held.started.wait(5.0)
    for job in range(1, 50):
        held.worker.ask(job)  # returns at once, though the first one still runs
    assert not held.worker.idle
    held.go.set()
    assert held.worker.wait(5.0)
    assert held.done == [0, 49]
    assert held.worker.idle


def test_errors_are_handed_over_and_the_next_job_is_done():
    held = Held()
    held.go.set()
    held.worker.ask(-1)
    assert held.worker.wait(5.0)
    held.worker.ask(3)
    assert held.worker.wait(5.0)
    assert [str(error) for error in held.errors] == ["job -1"]
    assert held.done == [3]


def test_a_wait_that_is_too_short_says_so():
    held = Held()
    held.worker.ask(1)
    assert not held.worker.wait(0.05)
    held.go.set()
    assert held.worker.wait(5.0)


def test_nothing_is_done_after_a_stop():
    held = Held()
    held.go.set()
    held.worker.stop()
    held.worker.ask(1)
    assert held.worker.wait(5.0)
    assert held.done == []
