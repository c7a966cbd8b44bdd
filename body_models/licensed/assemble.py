"""Turn the arrays of an official SMPL, SMPL-H, SMPL-X or FLAME file into tensors, and those into a model.

The official files stand Y up, facing +Z, in metres, as everything here does.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.landmarks import ContourLandmarks, Landmarks, landmarks_at_vertices
from body_models.model import BodyModel, HandSpace
from body_models.names import HEAD_SKELETON, SMPL_SKELETON, SMPLH_SKELETON, SMPLX_SKELETON
from body_models.skeleton import Skeleton

_HIP_ANGLE = math.radians(30.0)
_JAW_ANGLE = 0.2
_FACE_LANDMARKS = tuple(f"face_{number}" for number in range(17, 68))
"""The 51 points inside the face outline, by their numbers in the 68-point scheme."""
_CONTOUR = tuple(f"face_{number}" for number in range(17))
"""The face outline of the 68-point scheme, from the right ear over the chin to the left."""
_CONTOUR_KEYS = ("dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords")
_YAW_STEPS = 79
_POINTS = (
    *("nose", "right_eye", "left_eye", "right_ear", "left_ear"),
    *(f"{side}_{finger}" for side in ("right", "left") for finger in ("thumb", "index", "middle", "ring", "pinky")),
    *(f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel")),
)
_SMPL_POINTS = (
    *(332, 6260, 2800, 4071, 583),
    *(6191, 5782, 5905, 6016, 6133, 2746, 2319, 2445, 2556, 2673),
    *(3216, 3226, 3387, 6617, 6624, 6787),
)
_SMPLX_POINTS = (
    *(9120, 9929, 9448, 616, 6),
    *(8079, 7669, 7794, 7905, 8022, 5361, 4933, 5058, 5169, 5286),
    *(5770, 5780, 8846, 8463, 8474, 8635),
)


@dataclass(frozen=True)
class Family:
    """What the official files of one family look like."""

    title: str
    skeleton: Skeleton
    vertices: int
    has_expression: bool
    points: tuple[int, ...] = ()
    """Vertices of `_POINTS`."""


FAMILIES = {
    "smpl": Family("SMPL", SMPL_SKELETON, 6890, False, _SMPL_POINTS),
    "smplh": Family("SMPL-H", SMPLH_SKELETON, 6890, False, _SMPL_POINTS),
    "smplx": Family("SMPL-X", SMPLX_SKELETON, 10475, True, _SMPLX_POINTS),
    "flame": Family("FLAME", HEAD_SKELETON, 5023, True),
}
_REQUIRED = ("v_template", "f", "weights", "J_regressor", "kintree_table", "shapedirs", "posedirs")
_HANDS = ("hands_meanl", "hands_meanr", "hands_componentsl", "hands_componentsr")
_FACE_SPELLINGS = (("lmk_faces_idx", "lmk_bary_coords"), ("lmk_face_idx", "lmk_b_coords"))
_REMEDY = "Download the official file again; `avatars models list` says where each model is obtained."


def check_layout(arrays: Mapping[str, np.ndarray], source: str) -> str:
    """The family ("smpl", "smplh", "smplx" or "flame") that arrays with the official names belong to.

    Raises InputError that names the file, the missing or odd array and the remedy.
    """
    missing = [key for key in _REQUIRED if key not in arrays]
    if missing:
        raise InputError(
            f"{source} has no {', '.join(repr(key) for key in missing)}, so it is no body model. {_REMEDY}"
        )
    weights = arrays["weights"]
    joints = weights.shape[-1] if weights.ndim == 2 else 0
    family = next((name for name, known in FAMILIES.items() if len(known.skeleton) == joints), None)
    if family is None:
        known_counts = ", ".join(f"{known.title} {len(known.skeleton)}" for known in FAMILIES.values())
        raise InputError(
            f"{source}: 'weights' has shape {weights.shape}, which fits no model (joints: {known_counts}). {_REMEDY}"
        )
    for key, expected in _expected_shapes(arrays, FAMILIES[family]).items():
        _check_array(key, arrays[key], expected, FAMILIES[family], source)
    _check_faces(arrays["f"], FAMILIES[family], source)
    _check_parents(arrays["kintree_table"], FAMILIES[family], source)
    if FAMILIES[family].has_expression:
        _shape_count(arrays["shapedirs"], FAMILIES[family], source)
    return family


def _expected_shapes(arrays: Mapping[str, np.ndarray], family: Family) -> dict[str, tuple[int | None, ...]]:
    """Shape of each array of a family; None where any size will do."""
    joints, vertices = len(family.skeleton), family.vertices
    shapes: dict[str, tuple[int | None, ...]] = {
        "v_template": (vertices, 3),
        "f": (None, 3),
        "weights": (vertices, joints),
        "J_regressor": (joints, vertices),
        "kintree_table": (2, joints),
        "shapedirs": (vertices, 3, None),
        "posedirs": (vertices, 3, 9 * (joints - 1)),
    }
    if _has_hands(arrays):
        shapes |= {"hands_meanl": (45,), "hands_meanr": (45,)}
        shapes |= {"hands_componentsl": (None, 45), "hands_componentsr": (arrays["hands_componentsl"].shape[0], 45)}
    spelling = _face_spelling(arrays)
    if spelling is not None:
        shapes |= {spelling[0]: (len(_FACE_LANDMARKS),), spelling[1]: (len(_FACE_LANDMARKS), 3)}
    if _has_contour(arrays):
        table = (_YAW_STEPS, len(_CONTOUR))
        shapes |= {_CONTOUR_KEYS[0]: table, _CONTOUR_KEYS[1]: (*table, 3)}
    return shapes


def _check_array(key: str, array: np.ndarray, expected: tuple[int | None, ...], family: Family, source: str) -> None:
    fits = array.ndim == len(expected) and all(
        size in (None, actual) for size, actual in zip(expected, array.shape, strict=True)
    )
    if not fits:
        wanted = " x ".join("any" if size is None else str(size) for size in expected)
        actual = " x ".join(str(size) for size in array.shape)
        raise InputError(f"{source}: '{key}' is {actual}, but {family.title} has {wanted}. {_REMEDY}")
    if array.dtype.kind not in "fiu":
        raise InputError(f"{source}: '{key}' holds {array.dtype}, not numbers. {_REMEDY}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{source}: '{key}' holds values that are not finite (NaN or infinite). {_REMEDY}")


def _check_faces(faces: np.ndarray, family: Family, source: str) -> None:
    if len(faces) == 0 or faces.min() < 0 or faces.max() >= family.vertices:
        raise InputError(f"{source}: 'f' names vertices that {family.title} does not have. {_REMEDY}")


def _check_parents(kintree_table: np.ndarray, family: Family, source: str) -> None:
    parents = kintree_table[0].astype(np.int64)  # the root's parent is 2**32 - 1 or -1
    if parents[1:].tolist() != list(family.skeleton.parents[1:]):
        raise InputError(f"{source}: 'kintree_table' is not the joint tree of {family.title}. {_REMEDY}")


def _shape_count(shapedirs: np.ndarray, family: Family, source: str) -> int:
    """How many columns are of identity; those of expression follow."""
    counts = {400: 300, 20: 10}
    if shapedirs.shape[-1] not in counts:
        raise InputError(
            f"{source}: 'shapedirs' has {shapedirs.shape[-1]} components, but {family.title} has 400 "
            f"(300 of identity, 100 of expression) or 20 (10 and 10). {_REMEDY}"
        )
    return counts[shapedirs.shape[-1]]


def _has_hands(arrays: Mapping[str, np.ndarray]) -> bool:
    return all(key in arrays for key in _HANDS)


def _has_contour(arrays: Mapping[str, np.ndarray]) -> bool:
    return all(key in arrays for key in _CONTOUR_KEYS)


def _face_spelling(arrays: Mapping[str, np.ndarray]) -> tuple[str, str] | None:
    return next((keys for keys in _FACE_SPELLINGS if all(key in arrays for key in keys)), None)


def to_tensors(arrays: Mapping[str, np.ndarray], family: str, source: str) -> dict[str, Tensor]:
    """What `assemble` needs, in float32 and int32, from arrays that passed `check_layout`.

    Joints are regressed from the template and from every basis in double precision.
    """
    known = FAMILIES[family]
    shapedirs = arrays["shapedirs"].astype(np.float64)
    count = _shape_count(shapedirs, known, source) if known.has_expression else shapedirs.shape[-1]
    template = arrays["v_template"].astype(np.float64)
    regressor = arrays["J_regressor"].astype(np.float64)
    basis = np.moveaxis(shapedirs, -1, 0)
    basis_joints = np.moveaxis(np.tensordot(regressor, shapedirs, axes=1), -1, 0)
    tensors = {
        "template": _float(template),
        "template_joints": _float(regressor @ template),
        "shape_basis": _float(basis[:count]),
        "shape_basis_joints": _float(basis_joints[:count]),
        "expression_basis": _float(basis[count:]),
        "expression_basis_joints": _float(basis_joints[count:]),
        "pose_basis": _float(np.moveaxis(arrays["posedirs"], -1, 0)),
        "skinning_weights": _float(arrays["weights"]),
        "faces": torch.from_numpy(arrays["f"].astype(np.int32)),
    }
    if _has_hands(arrays):
        tensors["hand_mean"] = _float(np.stack([arrays["hands_meanl"], arrays["hands_meanr"]]))
        tensors["hand_components"] = _float(np.stack([arrays["hands_componentsl"], arrays["hands_componentsr"]]))
    return tensors | _face_landmarks(arrays, source)


def _float(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _face_landmarks(arrays: Mapping[str, np.ndarray], source: str) -> dict[str, Tensor]:
    tensors, spelling = {}, _face_spelling(arrays)
    if spelling is not None:
        tensors["landmark_corners"] = _corners(arrays, spelling[0], source)
        tensors["landmark_weights"] = _float(arrays[spelling[1]])
    if _has_contour(arrays):
        tensors["contour_corners"] = _corners(arrays, _CONTOUR_KEYS[0], source)
        tensors["contour_weights"] = _float(arrays[_CONTOUR_KEYS[1]])
    return tensors


def _corners(arrays: Mapping[str, np.ndarray], key: str, source: str) -> Tensor:
    """Vertices of the triangles that an array of the file names."""
    triangles, faces = arrays[key].astype(np.int64), arrays["f"]
    if triangles.min() < 0 or triangles.max() >= len(faces):
        raise InputError(f"{source}: '{key}' names faces that the surface does not have. {_REMEDY}")
    return torch.from_numpy(faces[triangles].astype(np.int32))


def assemble(tensors: Mapping[str, Tensor], family: str, gender: str) -> BodyModel:
    """The model of a family ("smpl", "smplh", "smplx", "flame") and gender from what `to_tensors` made."""
    known = FAMILIES[family]
    hands = HandSpace(tensors["hand_mean"], tensors["hand_components"]) if "hand_mean" in tensors else None
    return BodyModel(
        name=f"{family}_{gender}",
        skeleton=known.skeleton,
        template=tensors["template"],
        faces=tensors["faces"].long(),
        skinning_weights=tensors["skinning_weights"],
        template_joints=tensors["template_joints"],
        shape_basis=tensors["shape_basis"],
        shape_basis_joints=tensors["shape_basis_joints"],
        expression_basis=tensors["expression_basis"],
        expression_basis_joints=tensors["expression_basis_joints"],
        pose_basis=tensors["pose_basis"],
        canonical_pose=_canonical_pose(known.skeleton),
        landmarks=_landmarks(tensors, known),
        hands=hands,
        contour=_contour(tensors, known),
    )


def _canonical_pose(skeleton: Skeleton) -> Float[Tensor, "bone 3"]:
    """Legs apart for a body, mouth a little open for a head."""
    pose = torch.zeros(len(skeleton), 3)
    if "left_hip" in skeleton.joint_names:
        pose[skeleton.index("left_hip"), 2] = _HIP_ANGLE
        pose[skeleton.index("right_hip"), 2] = -_HIP_ANGLE
    else:
        pose[skeleton.index("jaw"), 0] = _JAW_ANGLE
    return pose


def _landmarks(tensors: Mapping[str, Tensor], family: Family) -> Landmarks | None:
    parts = [landmarks_at_vertices(dict(zip(_POINTS, family.points, strict=True)))] if family.points else []
    if "landmark_corners" in tensors:
        parts.append(
            Landmarks(_FACE_LANDMARKS, tensors["landmark_corners"].long(), tensors["landmark_weights"].float())
        )
    if not parts:
        return None
    return Landmarks(
        names=tuple(name for part in parts for name in part.names),
        corners=torch.cat([part.corners for part in parts]),
        weights=torch.cat([part.weights for part in parts]),
    )


def _contour(tensors: Mapping[str, Tensor], family: Family) -> ContourLandmarks | None:
    if "contour_corners" not in tensors:
        return None
    return ContourLandmarks(
        names=_CONTOUR,
        corners=tensors["contour_corners"].long(),
        weights=tensors["contour_weights"].float(),
        joint=family.skeleton.index("neck"),
    )
