"""Start MediaPipe and OpenCV quietly, only when a video is looked at; their models travel inside MediaPipe's wheel."""

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType, TracebackType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from body_models.errors import InputError

NOISE = re.compile(
    rb"XNNPACK delegate|before absl::InitializeLog|inference_feedback_manager|gl_context|GL version"
    rb"|NORM_RECT without IMAGE_DIMENSIONS"
)
"""Lines that MediaPipe writes on every start, whatever the picture."""


@cache
def start_mediapipe() -> ModuleType:
    """Import MediaPipe. Raises InputError that names the extra when it is not installed."""
    try:
        with quiet_native_stderr():
            import mediapipe
    except ImportError as error:
        raise _needs_extra() from error
    if not hasattr(mediapipe, "solutions"):
        raise InputError(
            f"mediapipe {getattr(mediapipe, '__version__', '?')} no longer carries the face models; "
            "install the tested one: pip install 'animatable-avatars[video]'."
        )
    module: ModuleType = mediapipe
    return module


@cache
def start_opencv() -> ModuleType:
    """Import OpenCV, which comes with MediaPipe. Raises InputError that names the extra when it is not installed."""
    try:
        import cv2
    except ImportError as error:
        raise _needs_extra() from error
    return cv2


class Solution:
    """One MediaPipe graph, made on first use, its start-up chatter held back."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        """Take a function that makes the graph from `mediapipe.solutions`, for example `lambda s: s.hands.Hands()`."""
        self._solutions = start_mediapipe().solutions
        self._make = make
        self._graph: Any = None
        self._fresh, self._restart = True, False

    def __call__(self, rgb: UInt8[np.ndarray, "height width 3"]) -> Any:
        """Run the graph on one picture and return MediaPipe's own result."""
        rgb = np.ascontiguousarray(rgb)
        if not (self._fresh or self._restart):
            return self._graph.process(rgb)
        with quiet_native_stderr():
            if self._graph is None:
                self._graph = self._make(self._solutions)
            if self._restart:  # put off until here because its networks write after it has returned
                self._graph.reset()
                self._restart = False
            result = self._graph.process(rgb)
        # A network's first run writes too, and the second one of a chain may wait long for its first finding.
        self._fresh = any(getattr(result, name) is None for name in result._fields)
        return result

    def reset(self) -> None:
        """Forget all earlier pictures."""
        self._restart = self._graph is not None

    def close(self) -> None:
        """Release the graph; a later call makes it anew."""
        if self._graph is not None:
            self._graph.close()
        self._graph, self._fresh, self._restart = None, True, False

    def __enter__(self) -> "Solution":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def quiet_native_stderr() -> Iterator[None]:
    """Hold back what compiled code writes to file descriptor 2, and pass on every line that is not known noise."""
    try:
        kept = os.dup(2)
    except OSError:  # a service without a standard error has nothing to hold back
        yield
        return
    with tempfile.TemporaryFile() as held:
        try:
            sys.stderr.flush()
            os.dup2(held.fileno(), 2)
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            wanted = b"".join(line for line in held.read().splitlines(keepends=True) if not NOISE.search(line))
            if wanted:
                os.write(2, wanted)


def _needs_extra() -> InputError:
    return InputError("Reading a video needs the extra: pip install 'animatable-avatars[video]'")
