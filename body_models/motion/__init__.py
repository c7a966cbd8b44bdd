"""Motion clips: read, write, edit and carry over to any body."""

from body_models.motion.amass import Poses, load_poses
from body_models.motion.amass_writer import write_amass
from body_models.motion.arkit import load_arkit
from body_models.motion.arkit_writer import write_arkit
from body_models.motion.bvh_writer import write_bvh
from body_models.motion.clips import load_motion
from body_models.motion.faces import transfer_expression
from body_models.motion.gltf_clips import load_gltf_clip
from body_models.motion.head_tracks import load_head_motion, write_head_motion
from body_models.motion.motion import Motion
from body_models.motion.retarget import retarget

__all__ = [
    "Motion",
    "Poses",
    "load_arkit",
    "load_gltf_clip",
    "load_head_motion",
    "load_motion",
    "load_poses",
    "retarget",
    "transfer_expression",
    "write_amass",
    "write_arkit",
    "write_bvh",
    "write_head_motion",
]
