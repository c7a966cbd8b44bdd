"""What the library says about a conversion, for the user who asked for it on the command line."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collected_notes() -> Iterator[list[str]]:
    """Fills a list with what avatars, body models and motion readers log while the block runs."""
    notes: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() not in notes:
                notes.append(record.getMessage())

    loggers, collector = [logging.getLogger(name) for name in ("body_models", "avatars")], Collector()
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(collector)
        logger.setLevel(logging.INFO)
    try:
        yield notes
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(collector)
            logger.setLevel(level)


def with_notes(said: str, notes: list[str]) -> str:
    """A verb's answer with each note on a line below."""
    return "\n".join([said, *(f"Note: {note}" for note in notes)])
