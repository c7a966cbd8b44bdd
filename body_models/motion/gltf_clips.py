"""Animation clips of glTF and GLB files: the motion of a skin's joints and of the face's morph targets."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pygltflib
import roma
import torch
from jaxtyping import Float

from body_models.errors import InputError
from body_models.gltf import Document, NodePose, Track, clip_tracks, sample_track_at, world_transforms
from body_models.motion.frames import upright_frame
from body_models.motion.motion import Motion
from body_models.parameters import unknown_name
from body_models.skeleton import Skeleton

_log = logging.getLogger(__name__)

UNTURNED_REST = "restIsUnturned"
"""In the `extras` of a skin whose rest is not the pose it is bound in, but the one in which no joint is turned.

True where its joints' nodes are not turned there either, else their world turns (quaternions XYZW).
"""
_USUAL_RATE, _FASTEST_RATE = 30.0, 240.0
_EVEN = 0.02
"""Keys farther from a steady rate than this part of a step make the clip sampled at the usual rate."""
_STRETCH = 1e-3
"""Bones that change their length by more than this (metres) are told of: ours keep their length."""
_CENTIMETRES = (50.0, 300.0)
"""glTF is in metres; a skeleton of this size was exported in centimetres."""


def load_gltf_clip(path: str | Path, clip: str | int | None = None, frame_rate: float | None = None) -> Motion:
    """Read a clip of the largest skin by name or number (metres, Y up, facing +Z at rest); by default the first.

    Rest rotations are those of the bind pose, or none where the skin says so (`UNTURNED_REST`, as in our own files);
    bone lengths are the clip's own; nodes between joints are folded in. Steady keys give the frame rate, uneven ones
    are sampled at 30 frames a second. Animated morph targets become the expression. Raises InputError for an unknown
    clip, a file without clips or skin, and damaged files.
    """
    path = Path(path)
    document = Document(path)
    number = _choose(path, document, clip)
    tracks = clip_tracks(document, document.gltf.animations[number])
    if not tracks:
        raise InputError(f"{path}: clip '{clip_names(document)[number]}' has no keys. Choose another, or export again.")
    times, rate = _moments(tracks, frame_rate)
    pose: dict[int, NodePose] = {}
    for track in tracks:
        pose.setdefault(track.node, {})[track.path] = sample_track_at(track, times)
    skin = max(document.gltf.skins, key=lambda one: len(one.joints), default=None)
    if skin is None:
        raise InputError(f"{path}: has no skin, so its clips move no skeleton. Export the rigged model, with its skin.")
    joints, skeleton = _skeleton(document, skin)
    world = np.broadcast_to(world_transforms(document, pose), (len(times), len(document.gltf.nodes), 4, 4))
    turned, places = _rotations(path, world[:, joints]), world[:, joints][..., :3, 3]
    at_rest, root = _rest(path, document, skin, joints)
    rest = _rest_joints(path, skeleton, turned, places, at_rest, root)
    expression, names = _expression(document, pose, len(times))
    motion = _motion(path, skeleton, rest, turned @ at_rest.transpose(0, 2, 1), places, rate)
    if expression is None:
        return motion
    return replace(motion, expression=torch.from_numpy(expression).float(), expression_names=names)


def clip_names(document: Document) -> list[str]:
    """The clips' names; those without one are called by their number."""
    return [one.name or f"clip {number}" for number, one in enumerate(document.gltf.animations)]


def _choose(path: Path, document: Document, clip: str | int | None) -> int:
    names = clip_names(document)
    if not names:
        raise InputError(f"{path}: holds no animation clip. Export the model again together with its animation.")
    if isinstance(clip, str):
        if clip not in names:
            raise InputError(unknown_name(f"{path} has no clip", clip, names))
        return names.index(clip)
    if clip is None and len(names) > 1:
        _log.warning("%s: clip '%s' taken; there are also %s", path, names[0], ", ".join(names[1:]))
    number = clip or 0
    if not 0 <= number < len(names):
        raise InputError(f"{path}: no clip number {number}; it has {len(names)}, counted from 0: {', '.join(names)}.")
    return number


def _moments(tracks: list[Track], frame_rate: float | None) -> tuple[Float[np.ndarray, " frame"], float]:
    """Times of the frames (seconds) and their rate."""
    start, end = min(float(t.times[0]) for t in tracks), max(float(t.times[-1]) for t in tracks)
    rate = frame_rate or _key_rate(tracks, start)
    if not 0 < rate < float("inf"):
        raise InputError(f"A frame rate of {rate} is not possible; give frames per second, for example 30.")
    return start + np.arange(int((end - start) * rate + 1e-3) + 1) / rate, rate


def _key_rate(tracks: list[Track], start: float) -> float:
    keys = np.unique(np.round(np.concatenate([track.times for track in tracks]) - start, 5))
    if len(keys) < 3:
        return _USUAL_RATE
    step = float(np.median(np.diff(keys)))
    step = float(keys[-1]) / max(round(float(keys[-1]) / step), 1)
    uneven = np.abs(keys / step - np.round(keys / step)).max() > _EVEN
    if uneven or not 1 / _FASTEST_RATE <= step <= 1 / 10:
        return _USUAL_RATE
    whole = round(1 / step)
    return float(whole) if abs(whole * step - 1) < 1e-3 else 1 / step


def _skeleton(document: Document, skin: pygltflib.Skin) -> tuple[list[int], Skeleton]:
    """The joints' nodes, parents first, and their tree; what joins several roots becomes the root joint."""
    joints = set(skin.joints)
    roots = [node for node in joints if _above(document, node, joints) is None]
    if len(roots) > 1:
        joints.add(_common_ancestor(document, roots))
    order = [node for node in document.order if node in joints]
    index = {node: number for number, node in enumerate(order)}
    above = [_above(document, node, joints) for node in order]
    names = [document.gltf.nodes[node].name or f"node {node}" for node in order]
    unique = [name if names.count(name) == 1 else f"{name} {node}" for name, node in zip(names, order, strict=True)]
    return order, Skeleton(tuple(unique), tuple(-1 if node is None else index[node] for node in above))


def _above(document: Document, node: int, joints: set[int]) -> int | None:
    """The nearest ancestor that is a joint."""
    parent = document.parents.get(node)
    while parent is not None and parent not in joints:
        parent = document.parents.get(parent)
    return parent


def _common_ancestor(document: Document, nodes: list[int]) -> int:
    lines = []
    for node in nodes:
        line = [node]
        while line[-1] in document.parents:
            line.append(document.parents[line[-1]])
        lines.append(line)
    shared = [node for node in lines[0] if all(node in line for line in lines[1:])]
    if not shared:
        names = ", ".join(document.gltf.nodes[node].name or f"node {node}" for node in nodes)
        raise InputError(f"The skin has several roots without a common parent: {names}. Join them under one node.")
    return shared[0]


def _rotations(path: Path, transforms: Float[np.ndarray, "*frame bone 4 4"]) -> Float[np.ndarray, "*frame bone 3 3"]:
    """The rotation part of transforms that may scale as well."""
    linear = transforms[..., :3, :3]
    lengths = np.linalg.norm(linear, axis=-2, keepdims=True)
    if (lengths < 1e-9).any() or (np.linalg.det(linear / lengths) < 0).any():
        raise InputError(f"{path}: a joint is scaled to nothing or mirrored; apply the scales and export it again.")
    return roma.special_procrustes(torch.from_numpy(linear / lengths)).numpy()


def _rest(
    path: Path, document: Document, skin: pygltflib.Skin, joints: list[int]
) -> tuple[Float[np.ndarray, "bone 3 3"], Float[np.ndarray, "3"]]:
    """World rotation of each joint at rest, and the root's place in the nodes' own pose."""
    still = world_transforms(document, {})
    rest = still[joints]
    axes = _unturned_axes(skin)
    if axes is not None:
        above = document.parents.get(joints[0])
        rest[:] = np.eye(4) if above is None else still[above]
        places = [joints.index(node) for node in skin.joints]
        rest[places, :3, :3] = rest[places, :3, :3] @ axes
    elif skin.inverseBindMatrices is not None:
        carriers = [i for i, node in enumerate(document.gltf.nodes) if node.skin is not None]
        same = [i for i in carriers if document.gltf.skins[document.gltf.nodes[i].skin] is skin]
        binds = document.accessor(skin.inverseBindMatrices)[: len(skin.joints)].reshape(-1, 4, 4).transpose(0, 2, 1)
        for node, bind in zip(skin.joints, binds, strict=True):
            rest[joints.index(node)] = (still[same[0]] if same else np.eye(4)) @ np.linalg.inv(bind)
    return _rotations(path, rest), still[joints[0], :3, 3]


def _unturned_axes(skin: pygltflib.Skin) -> Float[np.ndarray, "joint 3 3"] | None:
    """How a skin's joints lie, by its own word, where none is turned; None where it says nothing of use."""
    told = skin.extras.get(UNTURNED_REST) if isinstance(skin.extras, dict) else None
    if told is True:
        return np.broadcast_to(np.eye(3), (len(skin.joints), 3, 3))
    try:
        turns = np.array(told, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if turns.shape != (len(skin.joints), 4) or not (np.abs(np.linalg.norm(turns, axis=1) - 1) < 1e-3).all():
        return None
    return roma.unitquat_to_rotmat(torch.from_numpy(turns)).numpy()


def _rest_joints(
    path: Path,
    skeleton: Skeleton,
    turned: Float[np.ndarray, "frame bone 3 3"],
    places: Float[np.ndarray, "frame bone 3"],
    at_rest: Float[np.ndarray, "bone 3 3"],
    root: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "bone 3"]:
    """Joints of the rest pose with the clip's bone lengths; a bone that stretches has its mean."""
    rest, stretched = [root], []
    for bone, parent in list(enumerate(skeleton.parents))[1:]:
        offsets = np.einsum("tji,tj->ti", turned[:, parent], places[:, bone] - places[:, parent])
        if np.ptp(offsets, axis=0).max() > _STRETCH:
            stretched.append(skeleton.joint_names[bone])
        rest.append(rest[parent] + at_rest[parent] @ offsets.mean(0))
    if stretched:
        _log.warning("%s: %d bones change their length (%s ...); they keep it here", path, len(stretched), stretched[0])
    return np.stack(rest)


def _motion(
    path: Path,
    skeleton: Skeleton,
    rest: Float[np.ndarray, "bone 3"],
    turns: Float[np.ndarray, "frame bone 3 3"],
    places: Float[np.ndarray, "frame bone 3"],
    rate: float,
) -> Motion:
    """The motion in our frame, from world rotations relative to the rest pose."""
    size = float(np.ptp(rest, axis=0).max())
    scale = 0.01 if _CENTIMETRES[0] <= size <= _CENTIMETRES[1] else 1.0
    if scale != 1.0:
        _log.info("%s: unit taken as centimetres (rest pose measures %.2f m)", path, scale * size)
    at_rest, world = torch.from_numpy(scale * rest), torch.from_numpy(turns)
    frame = upright_frame(path, skeleton, at_rest)
    local = [world[:, b] if p < 0 else world[:, p].mT @ world[:, b] for b, p in enumerate(skeleton.parents)]
    return Motion(
        name=path.stem,
        skeleton=skeleton,
        rest_joints=(at_rest @ frame.T).float(),
        rotations=(roma.rotmat_to_rotvec(torch.stack(local, dim=1)) @ frame.T).float(),
        translations=((torch.from_numpy(scale * places[:, 0]) - at_rest[0]) @ frame.T).float(),
        frame_rate=rate,
    )


def _expression(
    document: Document, pose: dict[int, NodePose], frames: int
) -> tuple[Float[np.ndarray, "frame expression"] | None, tuple[str, ...]]:
    """Weights of the animated morph targets; of targets of one name on several meshes the first counts."""
    columns: dict[str, Float[np.ndarray, " frame"]] = {}
    for node, parts in sorted(pose.items()):
        mesh = document.gltf.nodes[node].mesh
        if mesh is None or "weights" not in parts:
            continue
        names = (document.gltf.meshes[mesh].extras or {}).get("targetNames", [])
        for target in range(parts["weights"].shape[1]):
            name = str(names[target]) if target < len(names) else f"target {target}"
            columns.setdefault(name, np.broadcast_to(parts["weights"][:, target], frames))
    return (np.stack(list(columns.values()), axis=1), tuple(columns)) if columns else (None, ())
