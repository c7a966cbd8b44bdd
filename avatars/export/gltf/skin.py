"""Bones and influences of a rig as nodes and skin of a GLB file."""

from collections.abc import Sequence

import numpy as np
import pygltflib
from jaxtyping import Float, UInt16
from torch import Tensor

from avatars.export.gltf.binding import Binding
from avatars.export.gltf.glb import Glb
from avatars.export.rig import Rig
from body_models.motion.gltf_clips import UNTURNED_REST
from body_models.skeleton import invert_rigid

INFLUENCES = 4
"""Bones that move a vertex, as all engines can."""
_WHOLE = np.iinfo(np.uint16).max
_BYTE = np.iinfo(np.uint8).max


def add_bones(glb: Glb, binding: Binding, names: Sequence[str], pose: Float[Tensor, "bone 3"]) -> list[int]:
    """Indices of new nodes for all bones, standing in a pose (axis-angle); the first is at the top of the scene."""
    nodes: list[int] = []
    places, turns = binding.offsets(), binding.local_turns(pose[None])[0]
    for bone, (name, parent) in enumerate(zip(names, binding.rig.skeleton.parents, strict=True)):
        turned = bool(turns[bone, :3].abs().max() > 0)
        rotation = turns[bone].float().tolist() if turned else None
        node = pygltflib.Node(name=name, translation=places[bone].float().tolist(), rotation=rotation)
        nodes.append(glb.node(node, None if parent < 0 else nodes[parent]))
    return nodes


def add_skin(glb: Glb, binding: Binding, nodes: list[int]) -> int:
    """Index of a new skin of the bones' nodes, with the inverses of their transforms in the bind pose.

    Its extras tell readers of motions about the rest at which no joint is turned: true where the bones' axes are then
    parallel to the world's, else their turns in the world (quaternions XYZW), in the order of the bones.
    """
    columns = invert_rigid(binding.world_from_bone()).mT.flatten(1).float().numpy()
    binds = glb.accessor(columns)
    skin = pygltflib.Skin(name=binding.rig.name, joints=nodes, skeleton=nodes[0], inverseBindMatrices=binds)
    skin.extras = {UNTURNED_REST: True if binding.plain else binding.axes.tolist()}
    glb.gltf.skins.append(skin)
    return len(glb.gltf.skins) - 1


def add_influences(glb: Glb, rig: Rig) -> dict[str, int]:
    """Accessors of the vertex attributes JOINTS_0 and WEIGHTS_0."""
    bones, shares = rig.bones.cpu().numpy(), sixteen_bit_shares(rig.weights.double().cpu().numpy())
    room = np.zeros((len(bones), INFLUENCES - bones.shape[1]), np.uint16)
    shares = np.concatenate([shares, room], axis=1)
    bones = np.where(shares > 0, np.concatenate([bones, room], axis=1), 0)
    kind = np.uint8 if len(rig.skeleton) <= _BYTE + 1 else np.uint16
    return {
        "JOINTS_0": glb.accessor(bones.astype(kind), pygltflib.ARRAY_BUFFER),
        "WEIGHTS_0": glb.accessor(shares, pygltflib.ARRAY_BUFFER, normalized=True),
    }


def sixteen_bit_shares(weights: Float[np.ndarray, "vertex influence"]) -> UInt16[np.ndarray, "vertex influence"]:
    """Weights as 16-bit shares whose sum is exactly one; what rounding leaves goes to the largest."""
    shares = np.round(weights / weights.sum(1, keepdims=True) * _WHOLE).astype(np.int64)
    largest = shares.argmax(1)[:, None]
    left = _WHOLE - shares.sum(1, keepdims=True)
    np.put_along_axis(shares, largest, np.take_along_axis(shares, largest, 1) + left, 1)
    return shares.astype(np.uint16)
