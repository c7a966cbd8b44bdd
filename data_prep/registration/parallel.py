"""Spread work that is independent for each scan over the cores."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True)
class Workers:
    """Threads that take one scan each."""

    pool: ThreadPoolExecutor

    def map(
        self, function: Callable[[In], Out], items: Sequence[In], done: Callable[[int], None] = lambda count: None
    ) -> list[Out]:
        """Results of the function in the items' order; `done` hears how many are ready."""
        results: list[Out] = []
        done(0)
        for result in self.pool.map(function, items):
            results.append(result)
            done(len(results))
        return results


@contextmanager
def scan_workers() -> Iterator[Workers]:
    """As many workers as torch has threads; torch itself keeps to one thread meanwhile.

    The work is made of many short tensor operations, for which torch's own threads cost more than they bring; on cores
    shared with others they waste nearly all time waiting for each other.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            yield Workers(pool)
    finally:
        torch.set_num_threads(threads)
