"""Rigs of the free body and head, and clips for them, made in no time."""

from functools import cache

import numpy as np
import torch

from avatars.export.rig import Correctives, Rig, RigMotion
from body_models import Body, load_anny, load_body_model
from body_models.anny.rigs import RigName
from data_prep.surface import Surface


def rig_of(name: str, body: Body) -> Rig:
    """A body model as a rig, in its canonical pose."""
    canonical = body.canonical()
    weights, bones = body.skinning_weights.topk(4, dim=1)
    morphs = canonical[None][:0] if body.expression_basis is None else body.expression_basis
    return Rig(
        name=name,
        skeleton=body.skeleton,
        joints=body.joints,
        bind_pose=body.canonical_pose,
        vertices=canonical,
        normals=Surface(canonical, body.faces).vertex_normals,
        faces=body.faces,
        bones=bones.where(weights > 0, 0),
        weights=weights / weights.sum(1, keepdim=True),
        morphs=morphs,
        morph_names=tuple(body.expression_names),
    )


@cache
def body_rig(bones: RigName = "compact") -> Rig:
    return rig_of("person", load_anny(rig=bones).body())


@cache
def head_rig() -> Rig:
    """The free head with a bone that carries it, 52 actions and one corrective that follows the jaw."""
    rig = rig_of("head", load_body_model("anny-head").body())
    matrix = torch.zeros(9 * (len(rig.skeleton) - 1), 1)
    matrix[9 + 5] = 1.0
    moved = torch.zeros_like(rig.vertices)
    moved[:40, 1] = 0.01
    return Rig(
        **{**vars(rig), "morphs": torch.cat([rig.morphs, moved[None]])}
        | {"morph_names": (*rig.morph_names, "corrective_000"), "correctives": Correctives(matrix, torch.zeros(1))}
    )


def clip(rig: Rig, name: str = "moves", frames: int = 12) -> RigMotion:
    """Turns of any size; the last bone stands still."""
    numbers = torch.Generator().manual_seed(len(name))
    turns = torch.randn(frames, len(rig.skeleton), 3, generator=numbers).cumsum(0) * 0.2
    turns[:, -1] = torch.tensor([0.0, 0.2, 0.1])
    expression = torch.rand(frames, rig.expressions, generator=numbers) if rig.expressions else None
    weights = rig.morph_weights(turns, expression)
    return RigMotion(name, turns, torch.randn(frames, 3, generator=numbers) * 0.3, weights, 30.0)


def painted(rig: Rig) -> Rig:
    """The rig with texture coordinates and tangents."""
    sideways = torch.linalg.cross(rig.normals, torch.tensor([0.1, 0.9, 0.3]).expand_as(rig.normals))
    tangents = torch.cat([torch.nn.functional.normalize(sideways, dim=1), torch.ones(len(sideways), 1)], 1)
    return Rig(**{**vars(rig), "uv": rig.vertices[:, :2].sigmoid(), "tangents": tangents})


def picture(size: int = 64) -> np.ndarray:
    """Smooth colours with some noise."""
    ramp = np.linspace(0, 200, size)
    noise = np.random.default_rng(0).integers(0, 40, (size, size, 3))
    return (np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], 90.0), -1) + noise).astype(np.uint8)
