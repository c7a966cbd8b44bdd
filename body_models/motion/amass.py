"""AMASS pose files (`.npz`): SMPL, SMPL-H and SMPL-X sequences, and our own poses of the free body."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.motion.amass_tracks import betas_in, expression_in, pose_columns, translations_in
from body_models.motion.motion import Motion
from body_models.motion.npz_files import frame_rate as rate_in
from body_models.motion.npz_files import numbers, read_arrays, scalar_text, text, warn_of_degrees
from body_models.motion.rest_joints import person_joints
from body_models.names import SMPL_SKELETON, SMPLH_SKELETON, SMPLX_SKELETON
from body_models.skeleton import Skeleton

_log = logging.getLogger(__name__)

SMPL_FAMILY = {"smpl": SMPL_SKELETON, "smplh": SMPLH_SKELETON, "smplx": SMPLX_SKELETON}
FREE_BODY = ("anny", "anny-hands", "anny-full")
BODY_MODELS = (*SMPL_FAMILY, *FREE_BODY)
_FULL_RIG = {"root", "spine05", "upperleg01.L"}
"""Joints by which the free body's whole rig is known."""
_SMPLX_KEYS = {"global_orient", "body_pose", "transl"}


@dataclass(frozen=True)
class Poses:
    """A motion and the person who made it."""

    motion: Motion
    betas: Float[Tensor, "shape"] | None
    body_model: str
    """One of `BODY_MODELS`: whose betas these are and whose rest pose the rotations start from."""
    gender: str | None = None


def load_poses(path: str | Path, frame_rate: float | None = None) -> Poses:
    """Read an AMASS or smplx-type file with every joint that it has (metres, Y up, facing +Z at rest).

    Files with AMASS's keys are Z up and are turned; those with smplx's (`global_orient`, `transl`) are Y up; a key `up`
    overrides both. `frame_rate` serves a file that does not say it. Rest joints that the file does not hold are those
    of the person's model where the user has it, else rough. Raises InputError that names the file and the key.
    """
    path = Path(path)
    arrays = read_arrays(path)
    poses, found_model = pose_columns(path, arrays)
    body_model, skeleton = _body_model(path, arrays, found_model, poses.shape[1])
    translations = translations_in(path, arrays, len(poses))
    betas = betas_in(path, arrays)
    gender = scalar_text(arrays, "gender")
    rest = _rest_joints(path, arrays, skeleton)
    rest = person_joints(path, body_model, skeleton, betas, gender) if rest is None else rest
    rotations = poses.unflatten(1, (-1, 3))
    warn_of_degrees(path, rotations)
    if text(path, arrays, "up", ("y", "z"), _usual_up(arrays)) == "z":
        rotations, translations = y_up_from_z_up(rotations, translations, rest)
        _log.info("%s: turned from Z up to Y up", path)
    expression, names = expression_in(path, arrays, len(poses))
    motion = Motion(
        name=path.stem,
        skeleton=skeleton,
        rest_joints=rest.float(),
        rotations=rotations.float(),
        translations=translations.float(),
        frame_rate=rate_in(path, arrays, frame_rate),
        expression=expression,
        expression_names=names,
    )
    return Poses(motion, None if betas is None else betas.float(), body_model, gender)


def free_model(skeleton: Skeleton) -> str:
    """Which of the free body's rigs a skeleton is; `anny` for any other, too."""
    if skeleton == SMPLH_SKELETON:
        return "anny-hands"
    return "anny-full" if set(skeleton.joint_names) >= _FULL_RIG else "anny"


def y_up_from_z_up(
    rotations: Float[Tensor, "frame bone 3"], translations: Float[Tensor, "frame 3"], rest: Float[Tensor, "bone 3"]
) -> tuple[Float[Tensor, "frame bone 3"], Float[Tensor, "frame 3"]]:
    """Turn the world from Z up to Y up; the rest pose is Y up already, so only root and place change."""
    return turn_world(rest.new_tensor([[1, 0, 0], [0, 0, 1], [0, -1, 0]]), rotations, translations, rest)


def turn_world(
    turn: Float[Tensor, "3 3"],
    rotations: Float[Tensor, "frame bone 3"],
    translations: Float[Tensor, "frame 3"],
    rest: Float[Tensor, "bone 3"],
) -> tuple[Float[Tensor, "frame bone 3"], Float[Tensor, "frame 3"]]:
    """The same poses in a turned world, with the rest pose as it was."""
    root = roma.rotmat_to_rotvec(turn @ roma.rotvec_to_rotmat(rotations[:, 0]))
    places = (translations + rest[0]) @ turn.T
    return torch.cat([root[:, None], rotations[:, 1:]], dim=1), places - rest[0]


def _usual_up(arrays: Mapping[str, np.ndarray]) -> str:
    return "y" if "poses" not in arrays and _SMPLX_KEYS & arrays.keys() else "z"


def _body_model(path: Path, arrays: Mapping[str, np.ndarray], found: str, columns: int) -> tuple[str, Skeleton]:
    """Whose poses these are, and their skeleton: the file's own when it names its joints."""
    body_model = text(path, arrays, "body_model", BODY_MODELS, found)
    if "joint_names" not in arrays:
        if body_model != found:
            raise InputError(f"{path}: poses of a {body_model} body with {columns} columns need 'joint_names'.")
        return body_model, SMPL_FAMILY[found]
    names = tuple(map(str, arrays["joint_names"].reshape(-1)))
    if "parents" in arrays:
        parents = numbers(path, arrays, "parents").reshape(-1).long().tolist()
        try:
            skeleton = Skeleton(names, tuple(parents))
        except InputError as error:
            raise InputError(f"{path}: 'joint_names' and 'parents' form no skeleton. {error}") from error
    else:
        known = [one for one in SMPL_FAMILY.values() if one.joint_names == names]
        if not known:
            raise InputError(f"{path}: 'joint_names' are not the known joints: {', '.join(SMPL_SKELETON.joint_names)}.")
        skeleton = known[0]
    fits = SMPL_FAMILY[body_model] == skeleton if body_model in SMPL_FAMILY else True
    if body_model in FREE_BODY:
        fits = body_model in ("anny", free_model(skeleton))
        body_model = free_model(skeleton)
    if 3 * len(skeleton) != columns or not fits:
        raise InputError(f"{path}: 'joint_names' has {len(names)} joints, which are not those of 'poses' ({columns}).")
    return body_model, skeleton


def _rest_joints(path: Path, arrays: Mapping[str, np.ndarray], skeleton: Skeleton) -> Float[Tensor, "bone 3"] | None:
    if "rest_joints" not in arrays:
        return None
    joints = numbers(path, arrays, "rest_joints")
    if joints.shape != (len(skeleton), 3):
        raise InputError(f"{path}: 'rest_joints' has shape {tuple(joints.shape)}; expected ({len(skeleton)}, 3).")
    return joints
