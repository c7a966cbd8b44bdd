"""Body models: bones, blendshapes and template surfaces, one interface for every family; and motion clips for them."""

from body_models.anny import load_anny
from body_models.body import Body
from body_models.errors import InputError
from body_models.landmarks import Landmarks
from body_models.model import BodyModel, HandSpace, Posed
from body_models.motion import Motion, Poses, load_motion, load_poses, retarget, write_amass
from body_models.parameters import Parameter
from body_models.skeleton import Skeleton
from body_models.skinning import skin

__all__ = [
    "Body",
    "BodyModel",
    "HandSpace",
    "InputError",
    "Landmarks",
    "Motion",
    "Parameter",
    "Posed",
    "Poses",
    "Skeleton",
    "load_anny",
    "load_motion",
    "load_poses",
    "retarget",
    "skin",
    "write_amass",
]
