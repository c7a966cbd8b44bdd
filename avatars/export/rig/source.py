"""What a rig is made from: an avatar's canonical surface at full resolution, with all that moves and colours it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.export.driving.head_neutral import resting_head
from avatars.export.rig.motion import rig_rotations
from avatars.export.rig.rig import Correctives
from avatars.models.avatar import Avatar
from avatars.models.head_avatar import HeadAvatar
from avatars.models.head_proxy import HeadProxy
from avatars.models.imavatar import Imavatar
from body_models import Body, InputError, Skeleton
from body_models.skeleton import rotation_matrices
from body_models.skinning import pose_feature
from data_prep.pictures.mesh import srgb_to_linear
from data_prep.surface import Surface

PLACE, GHOST = "place", "ghost"
"""Bones that a head's rig has besides its joints: one that carries it, and IMavatar's, which never turns with it."""
POINTS_AT_ONCE = 60_000
UNSEEN = 2e-5
"""Pose correctives that move nothing farther than this are left out (metres)."""

Colours = Callable[[Float[Tensor, "point 3"]], Float[Tensor, "point 3"]]


@dataclass(frozen=True)
class Source:
    """An avatar's canonical surface at full resolution (metres, Y up); names as in `Rig`."""

    name: str
    skeleton: Skeleton
    joints: Float[Tensor, "bone 3"]
    canonical_pose: Float[Tensor, "bone 3"]
    vertices: Float[Tensor, "vertex 3"]
    faces: Int[Tensor, "face 3"]
    normals: Float[Tensor, "vertex 3"]
    weights: Float[Tensor, "vertex bone"]
    """Of all bones, sum to 1."""
    basis: Float[Tensor, "morph vertex 3"]
    morph_names: tuple[str, ...]
    correctives: Correctives | None
    colour: Colours | None
    """Linear colours of canonical points; None for avatars without."""
    unlit: bool
    """Whether the colours hold the light of their video."""


def source_of(avatar: Avatar | HeadAvatar, resolution: int = 256) -> Source:
    """The canonical surface of an avatar, meshed with `resolution` cells along its longest side.

    Raises InputError for heads that no single mesh shows.
    """
    if isinstance(avatar, HeadAvatar):
        return _source_of_head(avatar, resolution)
    return source_of_body(avatar.body(resolution), _colours_of_body(avatar))


def rig_skeleton(avatar: Avatar | HeadAvatar) -> Skeleton:
    """The bones of an avatar's rig."""
    if isinstance(avatar, HeadAvatar) and isinstance(avatar.model, Imavatar):
        return head_skeleton(avatar.model)
    return avatar.skeleton


def source_of_body(body: Body, colour: Colours | None = None) -> Source:
    """A rigged mesh at full resolution as a source: that of an avatar, or of a person of a prior."""
    vertices = body.canonical()
    normals = Surface(vertices, body.faces).vertex_normals
    return Source(
        "body", body.skeleton, body.joints, body.canonical_pose, vertices, body.faces, normals,
        body.skinning_weights, vertices.new_zeros(0, *vertices.shape), (), None, colour, unlit=False,
    )  # fmt: skip


def _colours_of_body(avatar: Avatar) -> Colours | None:
    if avatar.colours(avatar.model.joints[:1]) is None:
        return None

    def colours(points: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"]:
        found = avatar.colours(points)
        assert found is not None
        return found

    return colours


def _source_of_head(avatar: HeadAvatar, resolution: int) -> Source:
    if not isinstance(avatar.model, Imavatar) or not avatar.model.rigged:
        raise InputError(
            "This head has no single mesh with bones and expressions, so no rig can be made of it: it is a baseline "
            "that was fitted for comparison. Fit one that has: `avatars fit-video DATA --out bob.avatar`."
        )
    model, proxy = avatar.model, avatar.proxy(resolution)
    canonical_pose = rig_rotations(avatar, model.canonical_pose[None])[0]
    if model.options.ghost:
        canonical_pose[-1] = 0.0  # the ghost's transforms begin in canonical space itself
    basis, names, correctives = _blendshapes(avatar, proxy)
    weights = torch.cat([torch.zeros_like(proxy.weights[:, :1]), proxy.weights], 1)
    normals = Surface(proxy.vertices, proxy.faces).vertex_normals
    return Source(
        "head", head_skeleton(model), _head_joints(model), canonical_pose, proxy.vertices, proxy.faces,
        normals, weights, basis, names, correctives, _resting_colours(avatar), unlit=True,
    )  # fmt: skip


def head_skeleton(model: Imavatar) -> Skeleton:
    """A head's joints under one bone that carries it from place to place, beside the ghost, which never turns."""
    names, parents = model.skeleton.joint_names, model.skeleton.parents
    ghost = model.options.ghost
    return Skeleton(
        (PLACE, *names, *((GHOST,) if ghost else ())),
        (-1, *(parent + 1 for parent in parents), *((0,) if ghost else ())),
    )


def _head_joints(model: Imavatar) -> Float[Tensor, "bone 3"]:
    root = model.joints[:1]
    return torch.cat([root, model.joints, *((root,) if model.options.ghost else ())])


def _blendshapes(
    avatar: HeadAvatar, proxy: HeadProxy
) -> tuple[Float[Tensor, "morph vertex 3"], tuple[str, ...], Correctives | None]:
    """Expressions by name, then the pose correctives that move anything."""
    model, count = avatar.model, avatar.model.sizes.expressions
    names = avatar.expression_names or tuple(f"expression_{number:02d}" for number in range(count))
    if model.sizes.correctives == 0:
        return proxy.basis, names, None
    moving = (proxy.basis[count:].norm(dim=2).amax(1) > UNSEEN).nonzero()[:, 0]
    bones = len(head_skeleton(model))
    matrix = proxy.basis.new_zeros(9 * (bones - 1), len(moving))
    matrix[9 + moving, torch.arange(len(moving), device=moving.device)] = 1.0  # after those of the head's own root
    canonical = pose_feature(rotation_matrices(model.canonical_pose))[moving]
    names += tuple(f"corrective_{number:03d}" for number in range(len(moving)))
    basis = torch.cat([proxy.basis[:count], proxy.basis[count + moving]])
    return basis, names, Correctives(matrix, -canonical)


def _resting_colours(avatar: HeadAvatar) -> Colours:
    """What the points of a head look like at rest, turned as it mostly is."""
    rest = resting_head(avatar)
    with torch.no_grad():
        surface = avatar.model.posed(rest.rotation[None], rest.translation[None], rest.expression[None])

    @torch.no_grad()
    def colours(points: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"]:
        parts = points.split(POINTS_AT_ONCE)
        frames = [torch.zeros_like(some[:, 0], dtype=torch.long) for some in parts]
        coded = [surface.shade(some, frame).colours for some, frame in zip(parts, frames, strict=True)]
        return srgb_to_linear(torch.cat(coded)) if coded else points.new_zeros(0, 3)

    return colours
