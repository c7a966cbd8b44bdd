"""A rig that moves by itself as a small GLB: vertex colours, bones, morph targets and one clip, played in a loop."""

import numpy as np
import roma
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor

from avatars.export.rig import Rig
from avatars.viewer.glb import ARRAY, STEPS, Parts, add_mesh, material, quantized
from avatars.viewer.shown import Rolled
from avatars.viewer.state import SIGHT
from body_models.skeleton import invert_rigid, rigid

AWAY = {"translation": [0.0, -2 * SIGHT, 0.0], "scale": [2.0**-20] * 3}
"""Where the node of the mesh is: a speck beyond what cameras see (metres).

What has a skin is drawn where its bones are, but viser draws the outline of what the pointer is on without bones, where
the node is, and breaks down where it has morph targets, unless it is not seen.
"""
ROOM = 0.5
"""Around the bind pose and its way, of its size, where bodies are looked for by the pointer and on leaving the view."""
STILL = 1e-5
"""Turns that differ by no more in a whole clip are not told again and again."""
_FINEST, _SHARE = 127, 255


def moving_glb(shown: Rolled) -> bytes:
    """A GLB of a rig with its motion (metres, seconds)."""
    parts, bones = Parts(), len(shown.rig.skeleton)
    used, reach = _morphs(shown)
    mesh, skin, unit = _add_surface(parts, shown, used, reach)
    clip = _Clip(parts, shown.times)
    nodes = _nodes(clip, shown)
    if len(used):
        weights = shown.motion.morph_weights.numpy()[:, used] * (reach / unit)
        clip.add(bones + 1, "weights", weights.astype(np.float32).reshape(-1, 1))
    document = {
        "scenes": [{"nodes": [0, bones, bones + 1]}],
        "nodes": [*nodes, {"name": "room"}, {"name": "surface", "mesh": 0, "skin": 0} | AWAY],
        "meshes": [mesh],
        "materials": [material(shown.unlit)],
        "skins": [skin],
        "animations": [{"samplers": clip.samplers, "channels": clip.channels}],
    }
    return parts.packed(document, unlit=shown.unlit)


def _add_surface(
    parts: Parts, shown: Rolled, used: Int[np.ndarray, " used"], reach: Float[np.ndarray, " used"]
) -> tuple[dict, dict, float]:
    """The mesh, its skin, and how large a step of its places is (metres)."""
    rig = shown.rig
    places, middle, scale = quantized(rig.vertices.numpy())
    corners, room = _room(shown)
    places = np.concatenate([places, corners])
    colours = np.concatenate([shown.colours.numpy(), np.ones((2, 3), np.float32)])
    primitive = add_mesh(parts, places, rig.faces.numpy(), colours, normalized=False)
    primitive["attributes"] |= _influences(parts, rig)
    mesh: dict = {"primitives": [primitive]}
    if len(used):
        steps = zip(used.tolist(), reach.tolist(), strict=True)
        targets = [_target(parts, rig.morphs[morph].numpy(), step, len(places)) for morph, step in steps]
        primitive["targets"] = [{"POSITION": target} for target in targets]
        mesh["weights"] = [0.0] * len(used)
    binds = np.concatenate([_binds(rig, middle, scale / STEPS), room[None]])
    skin = {"joints": list(range(len(binds))), "inverseBindMatrices": parts.add(_columns(binds))}
    return mesh, skin, scale / STEPS


class _Clip:
    """Tracks that share their times."""

    def __init__(self, parts: Parts, times: Float[Tensor, "key"]) -> None:
        self._parts = parts
        self._input = parts.add(times.float().numpy()[:, None], bounds=True)
        self.samplers: list[dict] = []
        self.channels: list[dict] = []

    def add(self, node: int, path: str, values: Shaped[np.ndarray, "key width"], *, normalized: bool = False) -> None:
        """Move a property of a node."""
        self.channels.append({"sampler": len(self.samplers), "target": {"node": node, "path": path}})
        self.samplers.append({"input": self._input, "output": self._parts.add(values, normalized=normalized)})


def _nodes(clip: _Clip, shown: Rolled) -> list[dict]:
    """The bones as they stand first, and their tracks in the clip: turns, and the place of the first one."""
    rig, motion = shown.rig, shown.motion
    joints, parents = rig.joints.numpy(), rig.skeleton.parents
    turns = roma.rotvec_to_unitquat(motion.rotations).numpy()
    ways = joints[0] + motion.translations.numpy()
    clip.add(0, "translation", ways.astype(np.float32))
    nodes: list[dict] = []
    for bone, parent in enumerate(parents):
        place = ways[0] if parent < 0 else joints[bone] - joints[parent]
        nodes.append({"name": f"bone_{bone}", "translation": place.tolist(), "rotation": turns[0, bone].tolist()})
        if parent >= 0:
            nodes[parent].setdefault("children", []).append(bone)
        if np.abs(turns[:, bone] - turns[0, bone]).max() > STILL:
            clip.add(bone, "rotation", np.round(turns[:, bone] * STEPS).astype(np.int16), normalized=True)
    return nodes


def _binds(rig: Rig, middle: Float[np.ndarray, "3"], unit: float) -> Float[np.ndarray, "bone 4 4"]:
    """From places in steps to those in the bones' axes: nodes of meshes with a skin cannot say how large a step is."""
    still = rigid(rig.joints.new_tensor(np.eye(3)).expand(len(rig.joints), 3, 3).double(), rig.joints.double())
    bone_from_world = invert_rigid(rig.bind_from_rest().double() @ still).numpy()
    metres = np.diag([unit, unit, unit, 1.0])
    metres[:3, 3] = middle
    return bone_from_world @ metres


def _room(shown: Rolled) -> tuple[Int[np.ndarray, "2 3"], Float[np.ndarray, "4 4"]]:
    """Two corners that belong to no triangle, and a bone that puts them around all of the way.

    Browsers find out once where a skinned mesh is, as it stands first, and would lose one that walks away from there.
    """
    vertices, way = shown.rig.vertices.numpy(), shown.motion.translations.numpy()
    low, high = vertices.min(0) + way.min(0), vertices.max(0) + way.max(0)
    half = (high - low) / 2 + ROOM * float(np.linalg.norm(vertices.max(0) - vertices.min(0)))
    bind = np.diag([*(half / STEPS), 1.0])
    bind[:3, 3] = (low + high) / 2
    return np.array([[-STEPS] * 3, [STEPS] * 3], np.int16), bind


def _influences(parts: Parts, rig: Rig) -> dict[str, int]:
    """Four bones a vertex and their shares, as bytes; the two corners of the room go with the bone after the last."""
    count = len(rig.skeleton)
    bones = np.zeros((len(rig.bones) + 2, 4), np.uint8 if count < _SHARE else np.uint16)
    shares = np.zeros((len(rig.bones) + 2, 4), np.uint8)
    shares[:-2, : rig.bones.shape[1]] = byte_shares(rig.weights.numpy())
    bones[:-2, : rig.bones.shape[1]] = np.where(shares[:-2, : rig.bones.shape[1]] > 0, rig.bones.numpy(), 0)
    bones[-2:, 0], shares[-2:, 0] = count, _SHARE
    return {"JOINTS_0": parts.add(bones, ARRAY), "WEIGHTS_0": parts.add(shares, ARRAY, normalized=True)}


def byte_shares(weights: Float[np.ndarray, "vertex influence"]) -> UInt8[np.ndarray, "vertex influence"]:
    """Weights as bytes whose sum is 255; what rounding leaves goes to the largest."""
    shares = np.round(weights / weights.sum(1, keepdims=True) * _SHARE).astype(np.int64)
    rows = np.arange(len(shares))
    shares[rows, shares.argmax(1)] += _SHARE - shares.sum(1)
    return shares.astype(np.uint8)


def _morphs(shown: Rolled) -> tuple[Int[np.ndarray, " used"], Float[np.ndarray, " used"]]:
    """The morph targets that the motion uses, and the step of each one's displacements (metres)."""
    used = np.flatnonzero(np.abs(shown.motion.morph_weights.numpy()).max(0, initial=0.0) > 1e-4)
    reach = shown.rig.morphs[used].abs().amax((1, 2)).numpy() if len(used) else np.zeros(0, np.float32)
    return used, np.maximum(reach, 1e-6) / _FINEST


def _target(parts: Parts, morph: Float[np.ndarray, "vertex 3"], step: float, count: int) -> int:
    """Displacements in steps, those that are none left out; weights in the clip tell how large a step is."""
    steps = np.zeros((count, 3), np.int8)
    steps[: len(morph)] = np.round(morph / step)
    rows = np.flatnonzero(steps.any(1))
    return parts.add_sparse(steps, rows if len(rows) else np.zeros(1, np.int64))


def _columns(matrices: Float[np.ndarray, "bone 4 4"]) -> Float[np.ndarray, "bone 16"]:
    return matrices.swapaxes(1, 2).reshape(len(matrices), 16).astype(np.float32)
