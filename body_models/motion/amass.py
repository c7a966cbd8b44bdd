"""AMASS pose files (`.npz`): SMPL, SMPL-H and SMPL-X sequences, and our own poses of the free body."""

import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.anny import load_anny
from body_models.errors import InputError
from body_models.motion.motion import Motion
from body_models.names import SMPL_SKELETON

_BODY_MODEL_OF_WIDTH = {72: "smpl", 156: "smplh", 165: "smplx"}
_BODY_COLUMNS = 66
"""Root and 21 body joints come first in all three; what follows is hands in one, fingers or the jaw in the others."""
_DAMAGED = (zipfile.BadZipFile, EOFError, ValueError, zlib.error, MemoryError, NotImplementedError, RuntimeError)
_RATE_KEYS = ("mocap_frame_rate", "mocap_framerate", "fps")
_REST_CENTIMETRES = {
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
}
"""About where a grown person's joints are in the frame of SMPL's T-pose; for files that come without joints."""


@dataclass(frozen=True)
class Poses:
    """A motion and the person who made it."""

    motion: Motion
    betas: Float[Tensor, "shape"] | None
    body_model: str
    """`smpl`, `smplh`, `smplx` or `anny`: whose betas these are and whose rest pose the rotations start from."""
    gender: str | None = None


def load_poses(path: str | Path) -> Poses:
    """Read an AMASS-type file as the 24 joints of SMPL (metres, Y up, facing +Z at rest).

    AMASS is Z up and is turned; a file with `up` = 'y' is not. Fingers and face are left out. Raises InputError that
    names the file and the key.
    """
    path = Path(path)
    arrays = _read_arrays(path)
    poses = _floats(path, arrays, "poses")
    if poses.ndim != 2 or len(poses) == 0 or poses.shape[1] not in _BODY_MODEL_OF_WIDTH:
        raise InputError(
            f"{path}: 'poses' has shape {poses.shape}; expected frames x 72 (SMPL), 156 (SMPL-H) or 165 (SMPL-X)."
        )
    translations = _floats(path, arrays, "trans")
    if translations.shape != (len(poses), 3):
        raise InputError(f"{path}: 'trans' has shape {translations.shape}; expected ({len(poses)}, 3) as for 'poses'.")
    body_model = _body_model(path, arrays, poses.shape[1])
    betas = _floats(path, arrays, "betas").reshape(-1) if "betas" in arrays else None
    rest = _rest_joints(path, arrays, body_model, betas)
    rotations = _body_rotations(poses)
    if _text(path, arrays, "up", ("y", "z"), "z") == "z":
        rotations, translations = _y_up(rotations, translations, rest)
    motion = Motion(
        name=path.stem,
        skeleton=SMPL_SKELETON,
        rest_joints=rest.float(),
        rotations=rotations.float(),
        translations=translations.float(),
        frame_rate=_frame_rate(path, arrays),
    )
    return Poses(motion, None if betas is None else betas.float(), body_model, _scalar_text(arrays, "gender"))


def write_amass(
    path: str | Path, motion: Motion, betas: Float[Tensor, "shape"] | None = None, body_model: str = "anny"
) -> None:
    """Write a motion of the 24 joints with its rest joints, so that `load_poses` gives it back (Y up, metres).

    The file is complete or not there. Raises InputError for other skeletons or when the folder cannot be written.
    """
    path = Path(path)
    if motion.skeleton != SMPL_SKELETON:
        raise InputError(
            f"Motion '{motion.name}' has another skeleton: retarget(motion, body) it before writing {path}."
        )
    if path.suffix.lower() != ".npz":
        raise InputError(f"{path}: poses are written as .npz; change the file's suffix.")
    if body_model not in (*_BODY_MODEL_OF_WIDTH.values(), "anny"):
        raise InputError(
            f"No body model '{body_model}'; use anny or one of {', '.join(_BODY_MODEL_OF_WIDTH.values())}."
        )
    arrays = {
        "poses": motion.rotations.flatten(1).cpu().numpy(),
        "trans": motion.translations.cpu().numpy(),
        "rest_joints": motion.rest_joints.cpu().numpy(),
        "mocap_frame_rate": np.array(motion.frame_rate),
        "joint_names": np.array(motion.skeleton.joint_names),
        "body_model": np.array(body_model),
        "up": np.array("y"),
    }
    if betas is not None:
        arrays["betas"] = betas.detach().cpu().numpy()
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({error.strerror}). Choose a folder that exists.") from error


def smpl_rest_joints() -> Float[Tensor, "bone 3"]:
    """Rough T-pose joint centres of a grown person in SMPL's frame (metres)."""
    places = []
    for name in SMPL_SKELETON.joint_names:
        side, _, part = name.rpartition("_")
        x, y, z = _REST_CENTIMETRES[part]
        places.append((-x if side == "right" else x, y, z))
    return torch.tensor(places, dtype=torch.float64) / 100


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays that are plain data; pickled ones are left out, since unpickling may run code."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise InputError(f"{path}: a single array, not an .npz archive with 'poses' and 'trans'.")
            arrays = {}
            for key in file.files:
                try:
                    arrays[key] = file[key]
                except ValueError:
                    continue
            return arrays
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}). Check the path.") from error
    except _DAMAGED as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: damaged or not an .npz file ({error}). Download or export it again.") from error


def _floats(path: Path, arrays: dict[str, np.ndarray], key: str) -> Float[Tensor, "..."]:
    if key not in arrays:
        raise InputError(f"{path}: no key '{key}' with plain numbers. Keys found: {', '.join(arrays) or 'none'}.")
    array = arrays[key]
    if array.dtype.kind not in "fiu":
        raise InputError(f"{path}: '{key}' does not hold numbers (its type is {array.dtype}).")
    if not np.isfinite(array).all():
        first = np.argwhere(~np.isfinite(np.atleast_1d(array)))[0].tolist()
        raise InputError(f"{path}: '{key}' holds a value that is not finite, the first at index {first}.")
    return torch.from_numpy(np.array(array, dtype=np.float64))


def _scalar_text(arrays: dict[str, np.ndarray], key: str) -> str | None:
    if key not in arrays or arrays[key].size != 1:
        return None
    value = arrays[key].item()
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _text(path: Path, arrays: dict[str, np.ndarray], key: str, allowed: tuple[str, ...], default: str) -> str:
    if key not in arrays:
        return default
    value = _scalar_text(arrays, key)
    if value is None or value not in allowed:
        raise InputError(f"{path}: '{key}' is '{value}'; expected one of {', '.join(allowed)}.")
    return value


def _frame_rate(path: Path, arrays: dict[str, np.ndarray]) -> float:
    for key in _RATE_KEYS:
        if key in arrays:
            value = _floats(path, arrays, key)
            if value.numel() != 1 or float(value) <= 0:
                raise InputError(f"{path}: '{key}' is no frame rate ({arrays[key]}).")
            return float(value)
    raise InputError(f"{path}: no frame rate; expected a key {' or '.join(_RATE_KEYS)}. Keys: {', '.join(arrays)}.")


def _body_model(path: Path, arrays: dict[str, np.ndarray], width: int) -> str:
    known = (*_BODY_MODEL_OF_WIDTH.values(), "anny")
    body_model = _text(path, arrays, "body_model", known, _BODY_MODEL_OF_WIDTH[width])
    if "joint_names" in arrays and arrays["joint_names"].reshape(-1).tolist() != list(SMPL_SKELETON.joint_names):
        raise InputError(f"{path}: 'joint_names' are not the 24 known joints: {', '.join(SMPL_SKELETON.joint_names)}.")
    if body_model == "anny" and ("joint_names" not in arrays or width != 72):
        raise InputError(f"{path}: poses of the anny body need 'joint_names' and 72 columns (found {width}).")
    return body_model


def _rest_joints(
    path: Path, arrays: dict[str, np.ndarray], body_model: str, betas: Float[Tensor, "shape"] | None
) -> Float[Tensor, "bone 3"]:
    if "rest_joints" in arrays:
        joints = _floats(path, arrays, "rest_joints")
        if joints.shape != (len(SMPL_SKELETON), 3):
            raise InputError(f"{path}: 'rest_joints' has shape {joints.shape}; expected ({len(SMPL_SKELETON)}, 3).")
        return joints
    if body_model == "anny":
        return load_anny().body(None if betas is None else betas.float()).joints.double()
    return smpl_rest_joints()


def _body_rotations(poses: Float[Tensor, "frame column"]) -> Float[Tensor, "frame bone 3"]:
    """The 24 joints; SMPL's two hand joints are at rest where the file has fingers instead."""
    rotations = poses.new_zeros(len(poses), len(SMPL_SKELETON) * 3)
    columns = poses.shape[1] if poses.shape[1] == rotations.shape[1] else _BODY_COLUMNS
    rotations[:, :columns] = poses[:, :columns]
    return rotations.unflatten(1, (-1, 3))


def _y_up(
    rotations: Float[Tensor, "frame bone 3"], translations: Float[Tensor, "frame 3"], rest: Float[Tensor, "bone 3"]
) -> tuple[Float[Tensor, "frame bone 3"], Float[Tensor, "frame 3"]]:
    """Turn the world from Z up to Y up; the rest pose is Y up already, so only root and place change."""
    y_up_from_z_up = rest.new_tensor([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    root = roma.rotmat_to_rotvec(y_up_from_z_up @ roma.rotvec_to_rotmat(rotations[:, 0]))
    places = (translations + rest[0]) @ y_up_from_z_up.T
    return torch.cat([root[:, None], rotations[:, 1:]], dim=1), places - rest[0]
