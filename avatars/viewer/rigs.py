"""Rigs for the page: the surface as it is meshed, not made lighter, with four influences a vertex."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.export.rig import Rig, Source
from avatars.viewer.colouring import vertex_normals
from body_models import Body

INFLUENCES = 4


@torch.no_grad()
def source_rig(source: Source) -> Rig:
    """An avatar's canonical surface as a rig."""
    bones, weights = _strongest(source.weights)
    return Rig(
        source.name, source.skeleton, source.joints, source.canonical_pose, source.vertices, source.normals,
        source.faces, bones, weights, source.basis, source.morph_names, source.correctives,
    )  # fmt: skip


@torch.no_grad()
def body_rig(name: str, body: Body) -> Rig:
    """A body without blendshapes as a rig, bound in its canonical pose."""
    bones, weights = _strongest(body.skinning_weights)
    vertices = body.canonical()
    return Rig(
        name, body.skeleton, body.joints, body.canonical_pose, vertices, vertex_normals(vertices, body.faces),
        body.faces, bones, weights, vertices.new_zeros(0, len(vertices), 3), (),
    )  # fmt: skip


def _strongest(
    weights: Float[Tensor, "vertex bone"],
) -> tuple[Int[Tensor, "vertex influence"], Float[Tensor, "vertex influence"]]:
    most = weights.topk(min(INFLUENCES, weights.shape[1]), dim=1)
    return most.indices, most.values / most.values.sum(1, keepdim=True)
