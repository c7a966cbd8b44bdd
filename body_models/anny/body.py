"""The free default body: Anny (Apache-2.0 / CC0) on one of three rigs, baked once to a safe file.

Anny's own package builds its model in about half a minute from blendshapes of hundreds of phenotypes and local
measures. `bake_body` samples those, keeps the principal directions as `betas` and turns the frame to metres, Y up,
facing +Z; the rigs are merged from its 104 bones when the body is loaded.
"""

from typing import get_args

import torch

from body_models.anny.body_landmarks import BODY_LANDMARKS, body_landmark_vertices
from body_models.anny.cache import Tensors, decode_names, encode_names, from_cache
from body_models.anny.identities import principal_directions, sample_identities
from body_models.anny.package import build_body_package, linear_model, scatter_weights
from body_models.anny.rigs import Rig, RigName, build_rig
from body_models.errors import InputError
from body_models.landmarks import landmarks_at_vertices
from body_models.model import BodyModel
from body_models.parameters import unknown_name

SHAPE_COUNT = 48
LOCAL_SPREAD = 0.3
"""How far the sampled people's local changes go, of 1."""


def load_anny(rig: RigName = "compact") -> BodyModel:
    """The Anny body; the first call bakes it to the cache (up to a minute), later ones take milliseconds.

    Rigs: `compact` has SMPL's 24 joints, `hands` SMPL-H's 52, `full` Anny's own 104 bones. Betas and surface are the
    same on each, so one identity is one person on every rig. Rotations are about axes parallel to the world's at rest.
    The cache folder is `$AVATARS_CACHE`, else `~/.cache/avatars`. Raises InputError for an unknown rig, or when the
    anny package is missing.
    """
    check_rig(rig)
    return from_cache("anny_body", bake_body, lambda tensors: _assemble(tensors, rig))


def check_rig(rig: str) -> None:
    """Raise InputError for a rig that there is not."""
    if rig not in get_args(RigName):
        raise InputError(unknown_name("The Anny body has no rig", rig, get_args(RigName)))


def bake_body() -> Tensors:
    """Build the body's tensors from the anny package (deterministic)."""
    model = build_body_package()
    coefficients = sample_identities(model, LOCAL_SPREAD)
    mean = coefficients.mean(0)
    directions = principal_directions(coefficients - mean, model.blendshapes, SHAPE_COUNT)
    tensors = linear_model(model, mean, directions)
    landmarks = body_landmark_vertices(model, tensors["template"], tensors["heads"])
    return {
        **tensors,
        "bone_indices": model.vertex_bone_indices.to(torch.uint8).contiguous(),
        "bone_weights": model.vertex_bone_weights.double().contiguous(),
        "bone_names": encode_names(model.bone_labels),
        "bone_parents": torch.tensor(list(model.bone_parents), dtype=torch.int32),
        "faces": model.get_triangular_faces().to(torch.int32).contiguous(),
        "landmarks": torch.tensor([landmarks[name] for name in BODY_LANDMARKS], dtype=torch.int32),
    }


def body_rig(tensors: Tensors, rig: RigName) -> Rig:
    """A rig on the bones of a baked body."""
    return build_rig(rig, decode_names(tensors["bone_names"]), tuple(tensors["bone_parents"].tolist()))


def _assemble(tensors: Tensors, name: RigName) -> BodyModel:
    rig = body_rig(tensors, name)
    origins = list(rig.origins)
    weights = scatter_weights(tensors["bone_indices"], tensors["bone_weights"], len(tensors["bone_parents"]))
    vertices, joints = len(tensors["template"]), len(origins)
    return BodyModel(
        name="anny" if name == "compact" else f"anny-{name}",
        skeleton=rig.skeleton,
        template=tensors["template"],
        faces=tensors["faces"].long(),
        skinning_weights=rig.merge(weights).float(),
        template_joints=tensors["heads"][origins],
        shape_basis=tensors["shape_basis"],
        shape_basis_joints=tensors["heads_basis"][:, origins],
        expression_basis=torch.zeros(0, vertices, 3),
        expression_basis_joints=torch.zeros(0, joints, 3),
        pose_basis=torch.zeros(0, vertices, 3),
        canonical_pose=rig.canonical_pose(),
        landmarks=landmarks_at_vertices(dict(zip(BODY_LANDMARKS, tensors["landmarks"].tolist(), strict=True))),
    )
