"""What the library says about a conversion, for the user who asked for it on the command line."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collected_notes() -> Iterator[list[str]]:
    """Fills a list with what the body models and motion readers log while the block runs."""
    notes: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() not in notes:
                notes.append(record.getMessage())

    logger, collector = logging.getLogger("body_models"), Collector()
    level = logger.level
    logger.addHandler(collector)
    logger.setLevel(logging.INFO)
    try:
        yield notes
    finally:
        logger.removeHandler(collector)
        logger.setLevel(level)


def with_notes(said: str, notes: list[str]) -> str:
    """A verb's answer with each note on a line below."""
    return "\n".join([said, *(f"Note: {note}" for note in notes)])
