"""Write AMASS pose files (`.npz`)."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.motion.amass import BODY_MODELS, FREE_BODY, SMPL_FAMILY, free_model, turn_world
from body_models.motion.motion import Motion
from body_models.motion.whole_files import write_arrays
from body_models.names import SMPL_SKELETON

_SHAPE_NUMBERS = 16


def write_amass(
    path: str | Path,
    motion: Motion,
    betas: Float[Tensor, "shape"] | None = None,
    body_model: str | None = None,
    gender: str = "neutral",
) -> None:
    """Write poses so that `load_poses` gives them back; those of the SMPL family also serve other tools (Z up there).

    Without `body_model` the number of joints tells it: 52 SMPL-H, 55 SMPL-X, else the free body on its
    compact or full rig; say `anny-hands` for its hands rig. The free body's files are Y up.
    The file is complete or not there. Raises InputError for other skeletons or when the folder cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".npz":
        raise InputError(f"{path}: poses are written as .npz; change the file's suffix.")
    if body_model is None:
        family = [name for name in ("smplh", "smplx") if SMPL_FAMILY[name] == motion.skeleton]
        body_model = (*family, free_model(motion.skeleton))[0]
    if body_model not in BODY_MODELS:
        raise InputError(f"No body model '{body_model}'; use one of {', '.join(BODY_MODELS)}.")
    free = body_model in FREE_BODY
    arrays = _free_body(path, motion, body_model) if free else _smpl_family(path, motion, body_model, gender)
    if betas is not None:
        arrays["betas"] = betas.detach().cpu().numpy()
    if motion.expression is not None:
        arrays["expression"] = motion.expression.detach().cpu().numpy()
        arrays |= {"expression_names": np.array(motion.expression_names)} if motion.expression_names else {}
    arrays |= {key: np.array(motion.frame_rate) for key in ("mocap_framerate", "mocap_frame_rate")}
    write_arrays(path, arrays | {"body_model": np.array(body_model)})


def _free_body(path: Path, motion: Motion, body_model: str) -> dict[str, np.ndarray]:
    compact = body_model == "anny"
    if free_model(motion.skeleton) != body_model or (compact and motion.skeleton != SMPL_SKELETON):
        raise InputError(
            f"Motion '{motion.name}' has another skeleton than {body_model}: retarget(motion, body) it before writing "
            f"{path}."
        )
    return {
        "poses": motion.rotations.detach().flatten(1).cpu().numpy(),
        "trans": motion.translations.detach().cpu().numpy(),
        **_skeleton_arrays(motion),
        "up": np.array("y"),
    }


def _smpl_family(path: Path, motion: Motion, body_model: str, gender: str) -> dict[str, np.ndarray]:
    expected = SMPL_FAMILY[body_model]
    if motion.skeleton != expected:
        raise InputError(
            f"Motion '{motion.name}' has {len(motion.skeleton)} joints, which are not the {len(expected)} of "
            f"{body_model}: take motion.on_skeleton(...) or retarget(motion, body) before writing {path}."
        )
    rest = motion.rest_joints.detach().cpu().double()
    turn = rest.new_tensor([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    rotations, places = (part.detach().cpu().double() for part in (motion.rotations, motion.translations))
    rotations, places = turn_world(turn, rotations, places, rest)
    return {
        "poses": rotations.flatten(1).numpy(),
        "trans": places.numpy(),
        "betas": torch.zeros(_SHAPE_NUMBERS, dtype=torch.float64).numpy(),
        "gender": np.array(gender),
        "surface_model_type": np.array(body_model),
        **_skeleton_arrays(motion),
        "up": np.array("z"),
    }


def _skeleton_arrays(motion: Motion) -> dict[str, np.ndarray]:
    return {
        "rest_joints": motion.rest_joints.detach().cpu().numpy(),
        "joint_names": np.array(motion.skeleton.joint_names),
        "parents": np.array(motion.skeleton.parents),
    }
