"""Body models: bones, blendshapes and template surfaces, one interface for every family; and motion clips for them."""

from body_models.anny import anny_betas, anny_person, load_anny, load_anny_head
from body_models.body import Body
from body_models.errors import InputError
from body_models.landmarks import Landmarks
from body_models.licensed.library import add_models, list_models
from body_models.load import MODEL_NAMES, load_body_model
from body_models.model import BodyModel, HandSpace, Posed
from body_models.motion import (
    Motion,
    Poses,
    load_arkit,
    load_gltf_clip,
    load_head_motion,
    load_motion,
    load_poses,
    retarget,
    transfer_expression,
    write_amass,
    write_arkit,
    write_bvh,
    write_head_motion,
)
from body_models.parameters import Parameter
from body_models.skeleton import Skeleton
from body_models.skinning import skin
from body_models.symmetry import mirror_pose, vertex_mirror

__all__ = [
    "MODEL_NAMES",
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
    "add_models",
    "anny_betas",
    "anny_person",
    "list_models",
    "load_anny",
    "load_anny_head",
    "load_arkit",
    "load_body_model",
    "load_gltf_clip",
    "load_head_motion",
    "load_motion",
    "load_poses",
    "mirror_pose",
    "retarget",
    "skin",
    "transfer_expression",
    "vertex_mirror",
    "write_amass",
    "write_arkit",
    "write_bvh",
    "write_head_motion",
]
