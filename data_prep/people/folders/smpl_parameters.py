"""SMPL parameters of one scan from a .pkl, .npz or .json file, in the spellings that are about."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.licensed.arrays import plain_values
from body_models.licensed.pickles import read_pickle
from body_models.model import BodyModel

SUFFIXES = (".pkl", ".npz", ".json")
MAX_BYTES = 50_000_000
_SPELLINGS = {
    "global_orient": ("global_orient", "root_orient", "root_pose", "orient"),
    "body_pose": ("body_pose", "pose_body"),
    "betas": ("betas", "beta", "shape"),
    "transl": ("transl", "trans", "translation"),
    "scale": ("scale",),
    "left_hand_pose": ("left_hand_pose",),
    "right_hand_pose": ("right_hand_pose",),
    "jaw_pose": ("jaw_pose",),
    "leye_pose": ("leye_pose",),
    "reye_pose": ("reye_pose",),
}
_WHOLE = ("pose", "theta", "poses", "full_pose", "fullpose", "thetas")
"""Spellings of the pose of the body, with or without the root in front."""
_FAMILY_OF_POSE = {72: "smpl", 156: "smplh", 165: "smplx"}


@dataclass(frozen=True)
class SmplParameters:
    """Shape, pose and placement of a body in one scan."""

    family: str
    """smpl, smplh or smplx."""
    betas: Float[Tensor, "beta"]
    values: dict[str, Tensor]
    """Rotations under smplx's names (axis-angle, radians)."""
    transl: Float[Tensor, "3"]
    scale: float | None
    """The scan is the body times the scale plus `transl`; None where the file names no scale."""

    def pose(self, model: BodyModel) -> Float[Tensor, "bone 3"]:
        """The pose of all joints; raises InputError when it is no pose of the model."""
        values = dict(self.values)
        for side in ("left", "right"):
            name = f"{side}_hand_pose"
            if name in values and name not in model.parameters:
                del values[name]
            elif name in values and len(values[name]) < model.parameters[name].size:
                values[f"{side}_hand_pca"] = values.pop(name)
        return model.pose(values)


def read_smpl_parameters(path: Path) -> SmplParameters:
    """Read one file; pickles by the reader that runs nothing.

    Raises InputError that names the file when it is damaged, holds no pose and betas, or is of several people.
    """
    found = _arrays(path)
    named = {name: _first(found, spellings) for name, spellings in _SPELLINGS.items()}
    given = {name: value for name, value in named.items() if value is not None}
    whole = _first(found, _WHOLE)
    if "body_pose" not in given and whole is not None:
        given |= _split(path, whole, "global_orient" in given)
    missing = [name for name in ("global_orient", "body_pose", "betas") if name not in given]
    if missing:
        raise InputError(
            f"{path.name}: has no {' and no '.join(missing)} (it has {', '.join(list(found)[:12]) or 'nothing'}); SMPL "
            "parameters are called global_orient, body_pose, betas, transl and scale"
        )
    gender = found.get("gender", "neutral")
    if gender not in ("neutral", "n", ""):
        raise InputError(f"{path.name}: is of the {gender} model; one dataset has one model: fit the neutral one")
    for name, value in given.items():
        if not np.isfinite(value).all():
            raise InputError(f"{path.name}: '{name}' is not finite")
    tensors = {name: torch.from_numpy(value.astype(np.float32)) for name, value in given.items()}
    betas, scale = tensors.pop("betas"), tensors.pop("scale", None)
    transl = tensors.pop("transl", torch.zeros(3))
    if transl.shape != (3,) or (scale is not None and (scale.shape != (1,) or scale.item() <= 0)):
        raise InputError(f"{path.name}: transl must be three numbers, and scale one above zero")
    return SmplParameters(_family(path, tensors), betas, tensors, transl, None if scale is None else scale.item())


def _first(found: Mapping[str, np.ndarray | str], spellings: tuple[str, ...]) -> np.ndarray | None:
    """The numbers under the first of the spellings that is there, in one row."""
    for spelling in spellings:
        value = found.get(spelling)
        if isinstance(value, np.ndarray) and value.size > 0:
            return value.reshape(-1)
    return None


def _split(path: Path, pose: np.ndarray, has_root: bool) -> dict[str, np.ndarray]:
    """The parts of a pose in one row."""
    if has_root:
        return {"body_pose": pose}
    family = _FAMILY_OF_POSE.get(len(pose))
    if family is None:
        known = ", ".join(f"{size} ({name})" for size, name in _FAMILY_OF_POSE.items())
        raise InputError(f"{path.name}: its pose has {len(pose)} numbers; one pose of one person has {known}")
    parts = {"global_orient": pose[:3], "body_pose": pose[3:72] if family == "smpl" else pose[3:66]}
    if family == "smplx":
        parts |= {"jaw_pose": pose[66:69], "leye_pose": pose[69:72], "reye_pose": pose[72:75]}
    if family != "smpl":
        parts |= {"left_hand_pose": pose[-90:-45], "right_hand_pose": pose[-45:]}
    return parts


def _family(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Which model the parameters belong to, by the joints that they turn and then by the file's name."""
    if len(tensors["body_pose"]) == 69:
        return "smpl"
    is_plain_hands = "smplh" in str(path).lower() or ("left_hand_pose" in tensors and "jaw_pose" not in tensors)
    return "smplh" if is_plain_hands and "jaw_pose" not in tensors else "smplx"


def _arrays(path: Path) -> dict[str, np.ndarray | str]:
    """Named arrays and texts of a file."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError("it is far larger than the parameters of one scan")
        if path.suffix.lower() == ".pkl":
            return plain_values(read_pickle(path.read_bytes(), path.name), path.name)
        if path.suffix.lower() == ".npz":
            return _numbers(dict(np.load(path, allow_pickle=False)))
        return _numbers(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError, EOFError, KeyError, zipfile.BadZipFile) as error:
        pickled = "a damaged pickle, or one that holds more than numbers; nothing in it was run"
        reason = pickled if path.suffix.lower() == ".pkl" else str(error)
        raise InputError(f"{path.name}: cannot be read ({reason}); export it again, as .npz or .json") from error


def _numbers(values: object) -> dict[str, np.ndarray | str]:
    """The arrays and texts among named values; an array of another kind is left out."""
    if not isinstance(values, dict):
        raise ValueError("no named parameters of one person")
    result: dict[str, np.ndarray | str] = {}
    for name, value in values.items():
        if isinstance(value, str):
            result[name] = value
            continue
        array = np.asarray(value)
        if array.dtype.kind in "fiu":
            result[name] = array.astype(np.float64)
        elif array.dtype.kind in "US" and array.size == 1:
            result[name] = str(array.reshape(-1)[0])
    return result
