"""Start NVIDIA Warp quietly, once, for every module that launches kernels."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType

import torch


@cache
def start_warp() -> ModuleType:
    """Import and initialise Warp without its banner or its note that a machine has no CUDA driver."""
    import warp

    if hasattr(warp.config, "log_level"):
        warp.config.log_level = warp.LOG_WARNING
    else:  # older Warp
        setattr(warp.config, "quiet", True)  # noqa: B010
    if torch.cuda.is_available():
        warp.init()
    else:
        with _muted_native_stderr():
            warp.init()
    return warp


@contextmanager
def on_torch_stream(device: torch.device) -> Iterator[None]:
    """Launch in order with torch's own work on CUDA; nothing to do on the CPU."""
    if device.type != "cuda":
        yield
        return
    warp = start_warp()
    with warp.ScopedStream(warp.stream_from_torch(torch.cuda.current_stream(device))):
        yield


@contextmanager
def _muted_native_stderr() -> Iterator[None]:
    """Silence the process's file descriptor 2, which compiled code writes to behind Python's back."""
    try:
        kept = os.dup(2)
    except OSError:  # a service without a standard error has nothing to mute
        yield
        return
    muted = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(muted, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(muted)
