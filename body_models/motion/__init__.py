"""Motion clips: read, write, edit and carry over to any body."""

from body_models.motion.amass import Poses, load_poses, write_amass
from body_models.motion.clips import load_motion
from body_models.motion.motion import Motion
from body_models.motion.retarget import retarget

__all__ = ["Motion", "Poses", "load_motion", "load_poses", "retarget", "write_amass"]
