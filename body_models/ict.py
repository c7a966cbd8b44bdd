"""ICT-FaceKit's light face model (MIT) as a head model: 100 identities and its named facial actions.

The files bring surfaces only, so the joints of FLAME's head are made here: eyes in the centres of the eyeballs, the
jaw's hinge from how `jawOpen` carries the lower teeth, and a neck that bends smoothly between collar and skull.
"""

import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float, Int
from torch import Tensor

from body_models.errors import InputError
from body_models.landmarks import landmarks_at_vertices
from body_models.model import BodyModel
from body_models.names import HEAD_SKELETON
from body_models.parameters import unknown_name

_VERTICES = 26719
_METRES_PER_UNIT = 0.01
_SKIN, _LOWER_TEETH = slice(0, 11248), slice(19247, 21451)
_EYEBALLS = {"left": slice(21451, 23021), "right": slice(23021, 24591)}
_SCLERAS = {"left": slice(21451, 22221), "right": slice(23021, 23791)}
"""Vertex ranges of the model's parts, from its documentation."""
SOLID_VERTICES = 24591
"""The vertices after these are layers before the eyes, meant to be transparent (tear film, shade, lashes)."""
_BACK_OF_EYE = 0.085
"""Sclera vertices behind this depth (metres) lie on the ball; those before it also shape the cornea's rim."""
_ROOT, _NECK = (0.0, -0.13, -0.03), (0.0, -0.06, -0.01)
"""Where the neck meets the shoulders, and where the head turns on it, in the neutral face (metres)."""
_NECK_AXIS = (0.0, 0.93, 0.37)
_NECK_FIXED, _NECK_FREE = -0.12, -0.05
"""Along the neck's axis: below the first height the skin stays with the root, above the second with the head."""
_NEAR_JOINT = 0.01
_JAW_OPEN = 0.2
_DAMAGED = (zipfile.BadZipFile, EOFError, ValueError, KeyError, MemoryError, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class _Shapes:
    """What the files hold, in their own units (centimetres, Y up, facing +Z)."""

    neutral: Float[np.ndarray, "vertex 3"]
    polygons: Int[np.ndarray, "polygon 4"]
    """Quads; -1 in the last place of a triangle."""
    identities: Float[np.ndarray, "shape vertex 3"]
    expressions: Float[np.ndarray, "expression vertex 3"]
    names: tuple[str, ...]


def load_ict(path: str | Path) -> BodyModel:
    """The head model straight from its files; see `convert_ict`."""
    return assemble_ict(convert_ict(Path(path)))


def convert_ict(path: Path) -> dict[str, Tensor]:
    """Tensors of the head model, ready for a safetensors file (metres, Y up, facing +Z).

    `path` is the original `FaceXModel` folder of OBJ files, a folder with the packed `ict_facekit.npz`, or that file
    itself; `vertex_indices.json` must lie there too. Raises InputError that names the file and what is wrong with it.
    """
    folder = path if path.is_dir() else path.parent
    packed = path / "ict_facekit.npz" if path.is_dir() else path
    if packed.suffix == ".npz" and packed.exists():
        shapes = _read_packed(packed)
    elif path.is_dir() or path.suffix.lower() == ".obj":
        shapes = _read_folder(folder)
    else:
        raise InputError(f"{path}: no ICT-FaceKit model. Give its FaceXModel folder or ict_facekit.npz.")
    if "jawOpen" not in shapes.names:
        raise InputError(f"{folder}: no expression 'jawOpen', which the jaw is made from. Download the model again.")
    landmarks = _read_landmarks(folder / "vertex_indices.json")
    neutral, identities, expressions = (
        torch.from_numpy(np.asarray(part, dtype=np.float64) * _METRES_PER_UNIT)
        for part in (shapes.neutral, shapes.identities, shapes.expressions)
    )
    hinge, turn = _jaw_hinge(neutral, expressions[shapes.names.index("jawOpen")])
    joints, joints_basis = _joints(neutral, identities, hinge)
    weights = _skinning_weights(neutral, expressions[shapes.names.index("jawOpen")], hinge, turn)
    names = "\n".join(_action_name(name) for name in shapes.names)
    return {
        "template": neutral.float(),
        "faces": _triangles(shapes.polygons),
        "skinning_weights": weights.float(),
        "template_joints": joints.float(),
        "shape_basis": identities.float(),
        "shape_basis_joints": joints_basis.float(),
        "expression_basis": expressions.float(),
        "expression_names": torch.tensor(list(names.encode()), dtype=torch.uint8),
        "landmarks": landmarks,
    }


def assemble_ict(tensors: dict[str, Tensor]) -> BodyModel:
    """The head model from what `convert_ict` made: FLAME's joints, actions under ARKit's names where they agree."""
    template, expressions = tensors["template"], tensors["expression_basis"]
    bones = len(HEAD_SKELETON)
    canonical = template.new_zeros(bones, 3)
    canonical[HEAD_SKELETON.index("jaw"), 0] = _JAW_OPEN
    points = {f"face_{place}": int(vertex) for place, vertex in enumerate(tensors["landmarks"])}
    return BodyModel(
        name="ict",
        skeleton=HEAD_SKELETON,
        template=template,
        faces=tensors["faces"],
        skinning_weights=tensors["skinning_weights"],
        template_joints=tensors["template_joints"],
        shape_basis=tensors["shape_basis"],
        shape_basis_joints=tensors["shape_basis_joints"],
        expression_basis=expressions,
        expression_basis_joints=expressions.new_zeros(len(expressions), bones, 3),
        pose_basis=template.new_zeros(0, len(template), 3),
        canonical_pose=canonical,
        expression_names=tuple(bytes(tensors["expression_names"].tolist()).decode().split("\n")),
        landmarks=landmarks_at_vertices(points),
    )


def _read_packed(path: Path) -> _Shapes:
    try:
        with np.load(path, allow_pickle=False) as file:
            shapes = _Shapes(
                neutral=file["neutral"],
                polygons=file["faces"],
                identities=file["id_delta"],
                expressions=file["expr_delta"],
                names=tuple(str(name) for name in file["expr_names"]),
            )
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}). Check the path.") from error
    except _DAMAGED as error:
        raise InputError(
            f"{path}: no packed ICT-FaceKit model ({error}); expected neutral, faces, id_delta, expr_delta and "
            f"expr_names. Copy the file again, or give the original FaceXModel folder."
        ) from error
    for key, part in (("neutral", shapes.neutral), ("id_delta", shapes.identities), ("expr_delta", shapes.expressions)):
        if part.shape[-2:] != (_VERTICES, 3) or part.dtype.kind != "f":
            raise InputError(f"{path}: '{key}' has shape {part.shape}; expected {_VERTICES} vertices x 3.")
        if not np.isfinite(part).all():
            raise InputError(f"{path}: '{key}' holds a number that is not finite. Copy the file again.")
    if len(shapes.names) != len(shapes.expressions):
        raise InputError(f"{path}: {len(shapes.names)} expr_names, but {len(shapes.expressions)} expr_delta.")
    return shapes


def _read_folder(folder: Path) -> _Shapes:
    base = folder / "generic_neutral_mesh.obj"
    if not base.exists():
        raise InputError(f"{folder}: no generic_neutral_mesh.obj. Give ICT-FaceKit's FaceXModel folder.")
    neutral = _read_vertices(base)
    others = {file.stem: file for file in sorted(folder.glob("*.obj")) if file != base}
    identities = [name for name in others if re.fullmatch(r"identity\d+", name)]
    names = [name for name in others if name not in identities]
    if not identities or not names:
        raise InputError(f"{folder}: {len(identities)} identity and {len(names)} expression OBJs; need some of each.")
    return _Shapes(
        neutral=neutral,
        polygons=_read_polygons(base),
        identities=np.stack([_read_vertices(others[name]) - neutral for name in identities]),
        expressions=np.stack([_read_vertices(others[name]) - neutral for name in names]),
        names=tuple(names),
    )


def _read_vertices(path: Path) -> Float[np.ndarray, "vertex 3"]:
    try:
        lines = [line[2:] for line in path.read_bytes().splitlines() if line.startswith(b"v ")]
        points = np.array(b" ".join(lines).split(), dtype=np.float64)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as an OBJ file ({error}). Download it again.") from error
    if len(lines) != _VERTICES or points.size != 3 * _VERTICES:
        raise InputError(f"{path}: {len(lines)} vertices; a mesh of ICT-FaceKit has {_VERTICES}.")
    if not np.isfinite(points).all():
        raise InputError(f"{path}: a vertex is not finite. Download the file again.")
    return points.reshape(-1, 3)


def _read_polygons(path: Path) -> Int[np.ndarray, "polygon 4"]:
    polygons = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        if line.startswith("f "):
            try:
                corners = [int(corner.split("/")[0]) - 1 for corner in line.split()[1:]]
            except ValueError as error:
                raise InputError(f"{path}, line {number}: '{line[:60]}' is no face. Download it again.") from error
            if len(corners) not in (3, 4) or not all(0 <= corner < _VERTICES for corner in corners):
                raise InputError(f"{path}, line {number}: '{line[:60]}' is no triangle or quad of its vertices.")
            polygons.append(corners + [-1] * (4 - len(corners)))
    if not polygons:
        raise InputError(f"{path}: no faces. Download it again.")
    return np.array(polygons)


def _read_landmarks(path: Path) -> Int[Tensor, "landmark"]:
    try:
        indices = json.loads(path.read_text())["idx_to_landmark_verts"]
        landmarks = torch.tensor(indices, dtype=torch.long)
    except FileNotFoundError as error:
        raise InputError(f"{path}: not found. Copy it from ICT-FaceKit's FaceXModel folder.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no list 'idx_to_landmark_verts' ({error!r}). Copy the file again.") from error
    if landmarks.shape != (68,) or not bool(((landmarks >= 0) & (landmarks < _VERTICES)).all()):
        raise InputError(f"{path}: 'idx_to_landmark_verts' must be 68 vertices of {_VERTICES}. Copy the file again.")
    return landmarks


def _triangles(polygons: Int[np.ndarray, "polygon 4"]) -> Int[Tensor, "face 3"]:
    quads = polygons[polygons[:, 3] >= 0]
    return torch.from_numpy(np.concatenate([polygons[:, :3], quads[:, [0, 2, 3]]]).astype(np.int64))


def _action_name(name: str) -> str:
    """ARKit's spelling of an ICT name: `mouthSmile_L` is mouthSmileLeft."""
    base, _, side = name.partition("_")
    if side not in ("", "L", "R"):
        raise InputError(unknown_name("No side of the face is called", side, ("L", "R")))
    return base[:1].lower() + base[1:] + {"": "", "L": "Left", "R": "Right"}[side]


def _jaw_hinge(
    neutral: Float[Tensor, "vertex 3"], jaw_open: Float[Tensor, "vertex 3"]
) -> tuple[Float[Tensor, "3"], Float[Tensor, "3 3"]]:
    """A point of the hinge on the midline, and the rotation about it that `jawOpen` gives to the lower teeth."""
    before = neutral[_LOWER_TEETH]
    after = before + jaw_open[_LOWER_TEETH]
    turn, shift = roma.rigid_points_registration(before, after)
    angle = float(torch.linalg.norm(roma.rotmat_to_rotvec(turn)))
    if not 0.05 < angle < 1.5:
        raise InputError(f"'jawOpen' turns the lower teeth by {angle:.2f} rad: no jaw. Download the model again.")
    across = torch.eye(3, dtype=neutral.dtype)[0]  # only the axis' own direction is undetermined: fix x to the midline
    fixed = torch.cat([torch.eye(3, dtype=neutral.dtype) - turn, across[None]])
    return torch.linalg.lstsq(fixed, torch.cat([shift, shift.new_zeros(1)])[:, None]).solution[:, 0], turn


def _joints(
    neutral: Float[Tensor, "vertex 3"], identities: Float[Tensor, "shape vertex 3"], hinge: Float[Tensor, "3"]
) -> tuple[Float[Tensor, "bone 3"], Float[Tensor, "shape bone 3"]]:
    """Joints of the neutral face and how identities shift them: eyes with their ball, others with the skin nearby."""
    skin = neutral[_SKIN]
    root, neck = neutral.new_tensor(_ROOT), neutral.new_tensor(_NECK)
    along = skin @ neutral.new_tensor(_NECK_AXIS)
    near = {
        "root": (along - root @ neutral.new_tensor(_NECK_AXIS)).abs() < _NEAR_JOINT,
        "neck": (along - neck @ neutral.new_tensor(_NECK_AXIS)).abs() < _NEAR_JOINT,
        "jaw": torch.linalg.norm((skin - hinge)[:, 1:], dim=1) < _NEAR_JOINT,
    }
    joints = [root, neck, hinge]
    shifts = [identities[:, _SKIN][:, ring].mean(1) for ring in near.values()]
    for sclera in _SCLERAS.values():
        back = neutral[sclera, 2] < _BACK_OF_EYE
        centre = _sphere_centre(neutral[sclera][back])
        joints.append(centre)
        shifts.append(_sphere_centre((neutral + identities)[:, sclera][:, back]) - centre)
    return torch.stack(joints), torch.stack(shifts, dim=1)


def _sphere_centre(points: Float[Tensor, "*batch point 3"]) -> Float[Tensor, "*batch 3"]:
    """Centre of the sphere through points, by linear least squares."""
    middle = points.mean(-2, keepdim=True)
    local = points - middle
    design = torch.cat([2 * local, torch.ones_like(local[..., :1])], dim=-1)
    return torch.linalg.lstsq(design, local.square().sum(-1, keepdim=True)).solution[..., :3, 0] + middle[..., 0, :]


def _skinning_weights(
    neutral: Float[Tensor, "vertex 3"],
    jaw_open: Float[Tensor, "vertex 3"],
    hinge: Float[Tensor, "3"],
    turn: Float[Tensor, "3 3"],
) -> Float[Tensor, "vertex bone"]:
    """The jaw has the share of its turn that a vertex follows in `jawOpen`; the neck fades out towards the collar."""
    swing = (neutral - hinge) @ (turn.T - torch.eye(3, dtype=neutral.dtype))
    share = (jaw_open * swing).sum(1) / (swing.square().sum(1) + 1e-6)
    share = share.clamp(0, 1)
    share[_LOWER_TEETH] = 1
    head = ((neutral @ neutral.new_tensor(_NECK_AXIS) - _NECK_FIXED) / (_NECK_FREE - _NECK_FIXED)).clamp(0, 1)
    head = head.square() * (3 - 2 * head)
    weights = torch.stack([1 - head, head * (1 - share), head * share, 0 * head, 0 * head], dim=1)
    for side, ball in _EYEBALLS.items():
        weights[ball] = 0
        weights[ball, HEAD_SKELETON.index(f"{side}_eye")] = 1
    return weights
