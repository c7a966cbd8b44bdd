"""The tabs beside the scene: each acts on the chosen avatar and is told when something else changed it."""

from avatars.viewer.panels.display import DisplayPanel
from avatars.viewer.panels.expression import ExpressionPanel
from avatars.viewer.panels.files import FilesPanel
from avatars.viewer.panels.motion import MotionPanel
from avatars.viewer.panels.pose import PosePanel
from avatars.viewer.panels.prior import PriorPanel

__all__ = ["DisplayPanel", "ExpressionPanel", "FilesPanel", "MotionPanel", "PosePanel", "PriorPanel"]
