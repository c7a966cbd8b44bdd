"""The command `avatars`."""

from avatars.cli.main import main

__all__ = ["main"]
