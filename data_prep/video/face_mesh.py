"""Where each point of MediaPipe's face mesh lies on a head model's surface (see `face_points` for the points)."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from body_models.anny.cache import from_cache
from body_models.errors import InputError
from body_models.landmarks import Landmarks
from body_models.model import BodyModel
from data_prep.atomic import replacing
from data_prep.video.face_points import FACE_POINTS, point_names

_COMPUTED = 1
"""Version of how embeddings are computed; counted up when those in people's caches are to be made anew."""
_EMBEDDINGS = Path(__file__).with_name("embeddings")
_DAMAGED = (SafetensorError, OSError, KeyError, ValueError)


def face_mesh_landmarks(model: BodyModel) -> Landmarks:
    """The 478 points of the face mesh on a head model, for `.on(vertices)` of any identity, expression and pose.

    They come from a file beside this module for the free heads; on others (FLAME from the user's file) they are
    computed the first time, by looking at the model with MediaPipe, and kept in the cache. The iris points turn with
    the eyes only. Raises InputError for a shipped file that does not fit the model, and on other models when MediaPipe
    is not installed or sees no face.
    """
    shipped = _EMBEDDINGS / f"{model.name}.safetensors"
    if shipped.is_file():
        return read_face_mesh(shipped, model)
    from data_prep.video.embed import embed_face_mesh  # here, as it is seldom needed

    def assemble(tensors: dict[str, Tensor]) -> Landmarks:
        return _landmarks(tensors["corners"], tensors["weights"], model)

    def bake() -> dict[str, Tensor]:
        return _tensors(embed_face_mesh(model))

    return from_cache(f"face_mesh_{_COMPUTED}_{model.name}_{fingerprint(model)}", bake, assemble)


def read_face_mesh(path: Path | str, model: BodyModel) -> Landmarks:
    """The points in a file that `write_face_mesh` wrote for this model; raises InputError when it fits another one."""
    try:
        with safe_open(path, framework="pt") as file:
            made_for = json.loads((file.metadata() or {})["model"])
            corners, weights = file.get_tensor("corners"), file.get_tensor("weights")
        name, vertices, faces = made_for["name"], made_for["vertices"], made_for["fingerprint"]
        _check_shapes(corners, weights)
    except _DAMAGED as error:
        raise InputError(f"{path}: no face mesh embedding ({error}). {_again(path, model)}") from error
    if faces != fingerprint(model):
        raise InputError(
            f"{path}: made for a {name} of {vertices} vertices whose faces are others than those of this {model.name} "
            f"of {len(model.template)} vertices. {_again(path, model)}"
        )
    return _landmarks(corners, weights, model)


def face_mesh_offsets(model: BodyModel) -> Float[Tensor, "478 3"]:
    """Where MediaPipe sees the points, beside their places on the model at rest (metres); zero where not measured.

    Its points are not exactly anatomical: it flattens faces a little. `scripts/calibrate_face_mesh.py` measures this on
    synthetic heads whose truth is known.
    """
    shipped = _EMBEDDINGS / f"{model.name}.safetensors"
    offsets = load_file(shipped).get("offsets") if shipped.is_file() else None
    return model.template.new_zeros(FACE_POINTS, 3) if offsets is None else offsets.to(model.template)


def write_face_mesh(
    landmarks: Landmarks, model: BodyModel, path: Path | str, offsets: Float[Tensor, "478 3"] | None = None
) -> None:
    """Keep the points in a small safetensors file that names the model it fits, whole or not at all."""
    made_for = {"name": model.name, "vertices": len(model.template), "fingerprint": fingerprint(model)}
    tensors = _tensors(landmarks) | ({} if offsets is None else {"offsets": offsets.float().contiguous()})
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"model": json.dumps(made_for)})


def fingerprint(model: BodyModel) -> str:
    """Which vertices make up a model's faces, as a short hash; shape and pose do not matter."""
    faces = model.faces.detach().cpu().numpy().astype(np.int32)
    return hashlib.sha256(f"{len(model.template)}:".encode() + faces.tobytes()).hexdigest()[:16]


def _tensors(landmarks: Landmarks) -> dict[str, Tensor]:
    return {"corners": landmarks.corners.to(torch.int32), "weights": landmarks.weights.float().contiguous()}


def _landmarks(corners: Tensor, weights: Tensor, model: BodyModel) -> Landmarks:
    _check_shapes(corners, weights)
    return Landmarks(point_names(), corners.long().to(model.template.device), weights.to(model.template))


def _check_shapes(corners: Tensor, weights: Tensor) -> None:
    if corners.shape != (FACE_POINTS, 3) or weights.shape != (FACE_POINTS, 3):
        raise KeyError(f"{FACE_POINTS} points of three corners each are expected")


def _again(path: Path | str, model: BodyModel) -> str:
    return f"Make it anew: python scripts/embed_face_mesh.py --model {model.name} --out {path}"
