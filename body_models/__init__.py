"""Body models: bones, blendshapes and template surfaces, one interface for every family; and motion clips for them."""

from body_models.amass import Poses, load_poses, write_amass
from body_models.anny import load_anny
from body_models.body import Body, BodyModel, skin
from body_models.clips import load_motion
from body_models.errors import InputError
from body_models.motion import Motion
from body_models.retarget import retarget
from body_models.skeleton import Skeleton

__all__ = [
    "Body",
    "BodyModel",
    "InputError",
    "Motion",
    "Poses",
    "Skeleton",
    "load_anny",
    "load_motion",
    "load_poses",
    "retarget",
    "skin",
    "write_amass",
]
