"""Launch Warp kernels over points: at once on CUDA, on the CPU by all cores."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
from torch import Tensor

from data_prep.warp_runtime import on_torch_stream, start_warp

PARALLEL_POINTS = 256
"""A slice for one core has at least as many points as this."""
SLICES = 4
"""Slices for each core: some points cost more than others."""


def on_all_cores(kernel: Any, run: Callable[[int, int], None], count: int, device: torch.device) -> None:
    """Launch over 0..count: at once on CUDA, on torch's stream; on the CPU in slices that the cores take in turn.

    `run` launches `kernel` from a first to before a last point.
    """
    if device.type == "cuda":
        with on_torch_stream(device):
            run(0, count)
        return
    slices = min(SLICES * _cores(), count // PARALLEL_POINTS)
    if _cores() == 1 or slices <= 1:
        run(0, count)
        return
    kernel.module.load("cpu")  # compiled once, before the threads want it
    bounds = [count * i // slices for i in range(slices + 1)]
    list(_pool().map(run, bounds[:-1], bounds[1:]))


def as_warp(tensor: Tensor, kind: Any) -> Any:
    """A view of a tensor's memory for a launch; it does not keep the tensor alive."""
    return start_warp().from_torch(tensor, dtype=kind, requires_grad=False, return_ctype=True)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_cores(), thread_name_prefix="points")


def _cores() -> int:
    """Cores that this process may use: torch's setting, which follows OMP_NUM_THREADS."""
    return max(1, min(torch.get_num_threads(), os.cpu_count() or 1))
