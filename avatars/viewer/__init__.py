"""A page in the browser that shows avatars: `avatars.viewer.view(avatar)`, or `avatars view alice.avatar`."""

from avatars.viewer.state import Display, Stance
from avatars.viewer.viewer import Viewer, view

__all__ = ["Display", "Stance", "Viewer", "view"]
