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
from body_models.motion.motion import Motion
from body_models.motion.npz_files import frame_rate as rate_in
from body_models.motion.npz_files import numbers, read_arrays, scalar_text, text
from body_models.motion.rest_joints import smpl_rest_joints
from body_models.names import SMPL_SKELETON, SMPLH_SKELETON, SMPLX_SKELETON
from body_models.skeleton import Skeleton

_log = logging.getLogger(__name__)

SMPL_FAMILY = {"smpl": SMPL_SKELETON, "smplh": SMPLH_SKELETON, "smplx": SMPLX_SKELETON}
BODY_MODELS = (*SMPL_FAMILY, "anny")
_OF_WIDTH = {63: "smpl", 66: "smpl", 72: "smpl", 156: "smplh", 165: "smplx"}
_BODY_COLUMNS = 66
"""Root and 21 body joints: what AMASS files without hands have."""
_PARTS = {
    "root": (("root_orient", "global_orient"), (3,)),
    "body": (("pose_body", "body_pose"), (63, 69)),
    "jaw": (("pose_jaw", "jaw_pose"), (3,)),
    "eyes": (("pose_eye",), (6,)),
    "left eye": (("leye_pose",), (3,)),
    "right eye": (("reye_pose",), (3,)),
    "hands": (("pose_hand",), (90,)),
    "left hand": (("left_hand_pose",), (45,)),
    "right hand": (("right_hand_pose",), (45,)),
}
"""Keys of files that hold poses in parts, AMASS's spelling first, then smplx's; and how many numbers a frame has."""
_SMPLX_KEYS = {"global_orient", "body_pose", "transl"}


@dataclass(frozen=True)
class Poses:
    """A motion and the person who made it."""

    motion: Motion
    betas: Float[Tensor, "shape"] | None
    body_model: str
    """`smpl`, `smplh`, `smplx` or `anny`: whose betas these are and whose rest pose the rotations start from."""
    gender: str | None = None


def load_poses(path: str | Path, frame_rate: float | None = None) -> Poses:
    """Read an AMASS or smplx-type file with every joint that it has (metres, Y up, facing +Z at rest).

    Files with AMASS's keys are Z up and are turned; those with smplx's (`global_orient`, `transl`) are Y up; a key `up`
    overrides both. `frame_rate` serves a file that does not say it. Rest joints of the SMPL family are rough unless
    the file holds them. Raises InputError that names the file and the key.
    """
    path = Path(path)
    arrays = read_arrays(path)
    poses, found_model = _columns(path, arrays)
    body_model, skeleton = _body_model(path, arrays, found_model, poses.shape[1])
    translations = _translations(path, arrays, len(poses))
    betas = _betas(path, arrays)
    rest = _rest_joints(path, arrays, skeleton, body_model, betas)
    rotations = poses.unflatten(1, (-1, 3))
    if text(path, arrays, "up", ("y", "z"), _usual_up(arrays)) == "z":
        rotations, translations = y_up_from_z_up(rotations, translations, rest)
        _log.info("%s: turned from Z up to Y up", path)
    expression, names = _expression(path, arrays, len(poses))
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
    return Poses(motion, None if betas is None else betas.float(), body_model, scalar_text(arrays, "gender"))


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


def _columns(path: Path, arrays: Mapping[str, np.ndarray]) -> tuple[Float[Tensor, "frame column"], str]:
    """Axis-angle numbers of all joints of the SMPL-family model that they are of, and that model."""
    if "poses" not in arrays:
        return _joined_parts(path, arrays)
    poses = numbers(path, arrays, "poses")
    poses = poses.flatten(1) if poses.ndim == 3 else poses
    free = "joint_names" in arrays and poses.ndim == 2 and poses.shape[1] == 3 * arrays["joint_names"].size
    if poses.ndim != 2 or len(poses) == 0 or not (free or poses.shape[1] in _OF_WIDTH):
        raise InputError(
            f"{path}: 'poses' has shape {tuple(poses.shape)}; expected frames x 72 (SMPL), 156 (SMPL-H), 165 (SMPL-X), "
            "or 66 or 63 (body without hands, with or without root): three numbers a joint. Export all joints again."
        )
    model = _OF_WIDTH.get(poses.shape[1], "anny")
    if poses.shape[1] == 63 and not free:
        root = _part(path, arrays, "root", len(poses))
        poses = torch.cat([poses.new_zeros(len(poses), 3) if root is None else root, poses], dim=1)
    if poses.shape[1] == _BODY_COLUMNS and not free:
        poses = torch.cat([poses, poses.new_zeros(len(poses), 6)], dim=1)
    return poses, model


def _joined_parts(path: Path, arrays: Mapping[str, np.ndarray]) -> tuple[Float[Tensor, "frame column"], str]:
    keys = [key for key in _PARTS["body"][0] if key in arrays]
    if not keys:
        raise InputError(
            f"{path}: no key 'poses' with plain numbers, nor 'pose_body' or 'body_pose'. Keys found: "
            f"{', '.join(arrays) or 'none'}."
        )
    frames = 1 if arrays[keys[0]].ndim == 1 else len(arrays[keys[0]])
    parts = {name: _part(path, arrays, name, frames) for name in _PARTS}
    body = parts["body"]
    if body is None or frames == 0:
        raise InputError(f"{path}: '{keys[0]}' has no frames.")
    root = _or_rest(parts["root"], body, 3)
    fingers = [parts["hands"]] if parts["hands"] is not None else [parts["left hand"], parts["right hand"]]
    face = [parts["jaw"], *([parts["eyes"]] if parts["eyes"] is not None else [parts["left eye"], parts["right eye"]])]
    moved_face, moved_hands = (any(part is not None for part in group) for group in (face, fingers))
    if body.shape[1] == 69 or not (moved_face or moved_hands):
        return torch.cat([root, body, body.new_zeros(frames, 69 - body.shape[1])], dim=1), "smpl"
    hands = torch.cat([_or_rest(part, body, 90 // len(fingers)) for part in fingers], dim=1)
    if not moved_face:
        return torch.cat([root, body, hands], dim=1), "smplh"
    eyes = face[1:]
    turns = [_or_rest(face[0], body, 3), *(_or_rest(part, body, 6 // len(eyes)) for part in eyes)]
    return torch.cat([root, body, *turns, hands], dim=1), "smplx"


def _or_rest(
    part: Float[Tensor, "frame column"] | None, like: Float[Tensor, "frame other"], width: int
) -> Float[Tensor, "frame width"]:
    return like.new_zeros(len(like), width) if part is None else part


def _part(path: Path, arrays: Mapping[str, np.ndarray], name: str, frames: int) -> Float[Tensor, "frame column"] | None:
    keys, widths = _PARTS[name]
    key = next((key for key in keys if key in arrays), None)
    if key is None:
        return None
    values = numbers(path, arrays, key)
    values = values[None] if values.ndim == 1 else values.flatten(1)
    if len(values) != frames or values.shape[1] not in widths:
        pca = " Fingers as principal components cannot be read: export them in full." if "hand" in name else ""
        raise InputError(
            f"{path}: '{key}' has shape {arrays[key].shape}; expected {frames} x {' or '.join(map(str, widths))}.{pca}"
        )
    return values


def _translations(path: Path, arrays: Mapping[str, np.ndarray], frames: int) -> Float[Tensor, "frame 3"]:
    if "trans" not in arrays and "poses" not in arrays and "transl" not in arrays:
        _log.info("%s: holds no 'transl'; the person stays at one place", path)
        return torch.zeros(frames, 3, dtype=torch.float64)
    key = "transl" if "transl" in arrays and "trans" not in arrays else "trans"
    translations = numbers(path, arrays, key)
    translations = translations[None] if translations.ndim == 1 else translations
    if translations.shape != (frames, 3):
        raise InputError(f"{path}: '{key}' has shape {arrays[key].shape}; expected ({frames}, 3) as for the poses.")
    return translations


def _betas(path: Path, arrays: Mapping[str, np.ndarray]) -> Float[Tensor, "shape"] | None:
    """The person's shape; where every frame has one, their mean."""
    if "betas" not in arrays:
        return None
    betas = numbers(path, arrays, "betas")
    return betas.flatten(1).mean(0) if betas.ndim > 1 and len(betas) > 0 else betas.reshape(-1)


def _expression(
    path: Path, arrays: Mapping[str, np.ndarray], frames: int
) -> tuple[Float[Tensor, "frame expression"] | None, tuple[str, ...]]:
    if "expression" not in arrays:
        return None, ()
    values = numbers(path, arrays, "expression")
    values = values[None] if values.ndim == 1 else values
    if values.ndim != 2 or len(values) != frames:
        raise InputError(f"{path}: 'expression' has shape {arrays['expression'].shape}; expected {frames} rows.")
    names = tuple(map(str, arrays["expression_names"].reshape(-1))) if "expression_names" in arrays else ()
    if names and len(names) != values.shape[1]:
        raise InputError(f"{path}: {len(names)} 'expression_names' for {values.shape[1]} columns of 'expression'.")
    return values.float(), names


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
    if 3 * len(skeleton) != columns or (body_model != "anny" and skeleton != SMPL_FAMILY[body_model]):
        raise InputError(f"{path}: 'joint_names' has {len(names)} joints, which are not those of 'poses' ({columns}).")
    return body_model, skeleton


def _rest_joints(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    skeleton: Skeleton,
    body_model: str,
    betas: Float[Tensor, "shape"] | None,
) -> Float[Tensor, "bone 3"]:
    if "rest_joints" in arrays:
        joints = numbers(path, arrays, "rest_joints")
        if joints.shape != (len(skeleton), 3):
            raise InputError(f"{path}: 'rest_joints' has shape {tuple(joints.shape)}; expected ({len(skeleton)}, 3).")
        return joints
    if body_model != "anny":
        return smpl_rest_joints(skeleton)
    from body_models.anny import load_anny  # a heavy model that no other file needs

    body = load_anny().body(None if betas is None else betas.float())
    if body.skeleton != skeleton:
        raise InputError(f"{path}: holds no 'rest_joints', without which its {len(skeleton)} joints have no places.")
    return body.joints.double()
