"""The avatar as game engines know one: a light mesh with bones, four influences a vertex and morph targets."""

from avatars.export.rig.clip import RigMotion
from avatars.export.rig.motion import rig_motion
from avatars.export.rig.poser import RigPoser
from avatars.export.rig.rig import Correctives, Rig
from avatars.export.rig.source import Source, rig_skeleton, source_of

__all__ = ["Correctives", "Rig", "RigMotion", "RigPoser", "Source", "rig_motion", "rig_skeleton", "source_of"]
