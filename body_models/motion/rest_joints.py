"""Joints at rest for motion files that come without any: those of the person's model, else of a rough grown person."""

import logging
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.names import SMPL_SKELETON
from body_models.skeleton import Skeleton

_log = logging.getLogger(__name__)

_RIGS: dict[str, Literal["compact", "hands", "full"]] = {"anny": "compact", "anny-hands": "hands", "anny-full": "full"}

_CENTIMETRES = {
    "pelvis": (0, -23, 3),
    "hip": (6, -32, 2),
    "knee": (10, -70, 1),
    "ankle": (9, -110, -3),
    "foot": (12, -116, 9),
    "spine1": (0, -11, 0),
    "spine2": (0, 2, 0),
    "spine3": (0, 8, 3),
    "neck": (0, 29, -1),
    "collar": (8, 19, -1),
    "head": (0, 36, 4),
    "shoulder": (17, 22, -2),
    "elbow": (43, 21, -4),
    "wrist": (68, 22, -4),
    "hand": (76, 21, -5),
    "jaw": (0, 34, 4),
    "eye": (3, 43, 9),
    "index1": (78, 22, -2),
    "index2": (81, 22, -2),
    "index3": (84, 22, -2),
    "middle1": (78, 22, -4),
    "middle2": (81, 22, -4),
    "middle3": (84, 22, -4),
    "ring1": (78, 22, -6),
    "ring2": (80, 22, -6),
    "ring3": (83, 22, -7),
    "pinky1": (76, 21, -8),
    "pinky2": (78, 21, -9),
    "pinky3": (80, 21, -9),
    "thumb1": (70, 20, -1),
    "thumb2": (72, 20, 1),
    "thumb3": (75, 19, 3),
}
"""About where joints are in the frame of SMPL's T-pose; left ones, which mirror to the right."""


def smpl_rest_joints(skeleton: Skeleton = SMPL_SKELETON) -> Float[Tensor, "bone 3"]:
    """Rough T-pose joint centres of a grown person in SMPL's frame (metres), for the skeletons of the SMPL family."""
    places = []
    for name in skeleton.joint_names:
        side, _, part = name.rpartition("_")
        x, y, z = _CENTIMETRES[part]
        places.append((-x if side == "right" else x, y, z))
    return torch.tensor(places, dtype=torch.float64) / 100


def person_joints(
    path: Path, body_model: str, skeleton: Skeleton, betas: Float[Tensor, "shape"] | None, gender: str | None
) -> Float[Tensor, "bone 3"]:
    """Joint centres at rest of a file's person (metres), as its model has them.

    Without the user's copy of a licensed model they are rough; a line in the log says which they are. Raises
    InputError for a skeleton that the free body has not.
    """
    betas = None if betas is None else betas.float()
    if body_model not in _RIGS:
        return _licensed_joints(path, body_model, skeleton, betas, gender or "neutral")
    from body_models.anny import load_anny  # a heavy model that no other file needs

    body = load_anny(_RIGS[body_model]).body(betas)
    if body.skeleton != skeleton:
        raise InputError(f"{path}: holds no 'rest_joints', without which its {len(skeleton)} joints have no places.")
    return body.joints.double()


def _licensed_joints(
    path: Path, family: str, skeleton: Skeleton, betas: Float[Tensor, "shape"] | None, gender: str
) -> Float[Tensor, "bone 3"]:
    from body_models.licensed.library import list_models, load_licensed  # as above

    if any((entry.family, entry.gender, entry.there) == (family, gender, True) for entry in list_models()):
        model = load_licensed(family, gender)
        known = None if betas is None else betas[: len(model.shape_basis)]
        _log.info("%s: joints at rest taken from your %s %s model", path, gender, family)
        return model.body(known).joints.double()
    _log.info("%s: joints at rest are rough; there is no %s %s model among yours", path, gender, family)
    return smpl_rest_joints(skeleton)
