"""From an avatar to its rig: mesh, simplify, keep the strongest influences, add correctives, and paint textures."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.export.look import Look, textured
from avatars.export.rig.correctives import with_correctives
from avatars.export.rig.influences import strongest
from avatars.export.rig.options import MOST_INFLUENCES, RigOptions
from avatars.export.rig.rig import Rig
from avatars.export.rig.simplify import simplified
from avatars.export.rig.source import Source, source_of, source_of_body
from avatars.export.rig.transfer import transferred
from avatars.models.avatar import Avatar
from avatars.models.head_avatar import HeadAvatar
from body_models import Body, InputError
from data_prep.surface import Surface

BODY_CELLS, HEAD_CELLS = 512, 256
"""Cells along the longest side of the surface, unless told otherwise."""


@dataclass(frozen=True)
class Baked:
    """A rig and how it looks."""

    rig: Rig
    look: Look | None
    """None for a rig without textures."""


@torch.no_grad()
def bake(
    avatar: Avatar | HeadAvatar,
    options: RigOptions | None = None,
    poses: Float[Tensor, "frame bone 3"] | None = None,
) -> Baked:
    """The avatar as a rig with textures; bodies learn their correctives from `poses` beside those they were fitted to.

    Raises InputError for heads that no single mesh shows, correctives of heads, and budgets that leave no mesh.
    """
    options = options or RigOptions()
    if options.correctives and not isinstance(avatar, Avatar):
        raise InputError(
            "Correctives are for bodies; a head's own are among its morph targets. Leave --correctives away."
        )
    source = source_of(avatar, options.resolution or (HEAD_CELLS if isinstance(avatar, HeadAvatar) else BODY_CELLS))
    rig = plain_rig(source, options.faces, options.influences)
    if options.correctives and isinstance(avatar, Avatar):
        seen = avatar.poses if poses is None else torch.cat([avatar.poses, poses.to(avatar.poses)])
        rig = with_correctives(avatar, rig, seen, options.correctives)
    return _with_textures(rig, source, options)


@torch.no_grad()
def bake_body(body: Body, options: RigOptions | None = None) -> Baked:
    """A rigged mesh at full resolution, such as `Person.body` gives, as a light rig with a normal map."""
    options = options or RigOptions()
    source = source_of_body(body)
    return _with_textures(plain_rig(source, options.faces, options.influences), source, options)


def _with_textures(rig: Rig, source: Source, options: RigOptions) -> Baked:
    if options.texture == 0:
        return Baked(rig, None)
    return Baked(*textured(rig, source, options.texture))


def plain_rig(source: Source, faces: int, influences: int) -> Rig:
    """A rig of at most so many triangles and influences a vertex, without textures."""
    mesh = simplified(source.vertices, source.faces, faces)
    weights, basis = transferred(source, mesh.vertices)
    normals = Surface(mesh.vertices, mesh.faces).vertex_normals
    light = replace(source, vertices=mesh.vertices, faces=mesh.faces, normals=normals, weights=weights, basis=basis)
    return rig_of(light, influences)


def rig_of(source: Source, influences: int = MOST_INFLUENCES) -> Rig:
    """A source as a rig with all its triangles, without textures."""
    bones, weights = strongest(source.weights, influences)
    return Rig(
        source.name, source.skeleton, source.joints, source.canonical_pose, source.vertices, source.normals,
        source.faces, bones, weights, source.basis, source.morph_names, source.correctives,
    )  # fmt: skip
