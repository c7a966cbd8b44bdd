"""Evaluate a glTF file into plain posed triangle meshes: node tree, skins, morph targets and animation clips."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pygltflib
import roma
import torch
from jaxtyping import Float, Int, Shaped

from body_models.errors import InputError

TRIANGLES, TRIANGLE_STRIP, TRIANGLE_FAN = 4, 5, 6
COMPONENT_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
TYPE_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
UNREADABLE_EXTENSIONS = {"KHR_draco_mesh_compression", "EXT_meshopt_compression"}
PATH_WIDTHS = {"translation": 3, "rotation": 4, "scale": 3}

NodePose = dict[str, Float[np.ndarray, " value"]]
"""Animated properties of one node by glTF path: translation, rotation (XYZW), scale, weights."""


@dataclass(frozen=True)
class Track:
    """One animated property of one node over time (seconds)."""

    node: int
    path: str
    interpolation: str
    times: Float[np.ndarray, " key"]
    values: Float[np.ndarray, "key slot width"]
    """One slot, or three for CUBICSPLINE: in-tangent, value, out-tangent."""


@dataclass(frozen=True)
class PosedMesh:
    """All triangles of a glTF scene at one moment, in the file's own world frame."""

    vertices: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]


def read_posed_meshes(path: Path, frames: int = 10) -> list[PosedMesh]:
    """Evaluate a glTF or GLB file: `frames` meshes evenly over its clips, or one when nothing deforms.

    Several clips count as one long clip. The end is left out: of a walking cycle it would repeat the start.
    Raises InputError for compressed files, remote buffers and node cycles (glTF 2.0 specification, 3.7 and 3.11).
    """
    document = _Document(path)
    clips = [_tracks(document, animation) for animation in document.gltf.animations]
    clips = [tracks for tracks in clips if tracks]
    if not clips or not _is_deforming(document, clips):
        return [_evaluate(document, {})]
    return [_evaluate(document, pose) for pose in _sample_clips(clips, frames)]


def sample_track(track: Track, time: float) -> Float[np.ndarray, " width"]:
    """Value of a track at a time (seconds), held constant before its first and after its last key."""
    values = track.values[:, -2] if track.values.shape[1] == 3 else track.values[:, 0]
    after = int(np.searchsorted(track.times, time, side="right"))
    if after == 0 or after == len(track.times):
        value = values[min(after, len(values) - 1)]
    else:
        value = _interpolate(track, values, after - 1, time)
    return value / max(float(np.linalg.norm(value)), 1e-12) if track.path == "rotation" else value


def _interpolate(
    track: Track, values: Float[np.ndarray, "key width"], key: int, time: float
) -> Float[np.ndarray, " width"]:
    span = float(track.times[key + 1] - track.times[key])
    u = (time - float(track.times[key])) / span
    if track.interpolation == "STEP":
        return values[key]
    if track.interpolation == "CUBICSPLINE":
        out_tangent, in_tangent = span * track.values[key, 2], span * track.values[key + 1, 0]
        start, end = 2 * u**3 - 3 * u**2 + 1, -2 * u**3 + 3 * u**2
        return (
            start * values[key]
            + (u**3 - 2 * u**2 + u) * out_tangent
            + end * values[key + 1]
            + (u**3 - u**2) * in_tangent
        )
    if track.path == "rotation":
        pair = torch.from_numpy(values[key : key + 2] / np.linalg.norm(values[key : key + 2], axis=1, keepdims=True))
        return roma.unitquat_slerp(pair[0], pair[1], torch.tensor([u]), shortest_arc=True)[0].numpy()
    return (1 - u) * values[key] + u * values[key + 1]


class _Document:
    """A parsed file with its buffers, and the parts of the node tree that stay the same in every frame."""

    def __init__(self, path: Path):
        loaded = pygltflib.GLTF2().load(str(path))
        if loaded is None:
            raise InputError(f"{path.name}: not a readable glTF file")
        unreadable = UNREADABLE_EXTENSIONS & set(loaded.extensionsRequired or [])
        if unreadable:
            raise InputError(f"{path.name}: compressed by {', '.join(unreadable)}; export it again without compression")
        self.gltf: pygltflib.GLTF2 = loaded
        self.buffers = [self._buffer(path, buffer) for buffer in loaded.buffers]
        self.parents = {child: index for index, node in enumerate(loaded.nodes) for child in node.children or []}
        self.order = self._visit(index for index in range(len(loaded.nodes)) if index not in self.parents)
        if len(self.order) != len(loaded.nodes):
            raise InputError(f"{path.name}: its node tree has a cycle or a node with two parents; export it again")
        scenes = loaded.scenes
        self.visible = set(self._visit(scenes[loaded.scene or 0].nodes or [])) if scenes else set(self.order)

    def _buffer(self, path: Path, buffer: pygltflib.Buffer) -> bytes:
        if buffer.uri is None:
            return self.gltf.binary_blob() or b""
        if buffer.uri.startswith("data:"):
            return base64.b64decode(buffer.uri.split(",", 1)[1])
        if "://" in buffer.uri:
            raise InputError(f"{path.name}: its data lie at {buffer.uri}; download it and save the model as .glb")
        beside = path.parent / unquote(buffer.uri)
        if not beside.is_file():
            raise InputError(f"{path.name}: needs '{buffer.uri}' beside it, which is not there; or save it as .glb")
        return beside.read_bytes()

    def _visit(self, roots: Iterable[int]) -> list[int]:
        order: list[int] = []
        stack, limit = list(roots), len(self.gltf.nodes)
        while stack and len(order) <= limit:
            order.append(stack.pop())
            stack.extend(self.gltf.nodes[order[-1]].children or [])
        return order

    def accessor(self, index: int) -> Shaped[np.ndarray, "item width"]:
        """Elements of an accessor: normalised integers and floats as float64, plain integers as int64."""
        accessor = self.gltf.accessors[index]
        dtype, width = np.dtype(COMPONENT_DTYPES[accessor.componentType]), TYPE_WIDTHS[accessor.type]
        if accessor.bufferView is None:
            raw = np.zeros((accessor.count, width), dtype)
        else:
            raw = self._view(accessor.bufferView, accessor.byteOffset or 0, dtype, (accessor.count, width)).copy()
        if accessor.sparse is not None:
            sparse = accessor.sparse
            index_dtype = np.dtype(COMPONENT_DTYPES[sparse.indices.componentType])
            shape = (sparse.count, 1)
            rows = self._view(sparse.indices.bufferView, sparse.indices.byteOffset or 0, index_dtype, shape)[:, 0]
            shape = (sparse.count, width)
            raw[rows] = self._view(sparse.values.bufferView, sparse.values.byteOffset or 0, dtype, shape)
        if accessor.normalized and dtype.kind in "iu":
            return np.maximum(raw / np.iinfo(dtype).max, -1.0)
        return raw.astype(np.float64 if dtype.kind == "f" else np.int64)

    def _view(
        self, view_index: int, offset: int, dtype: np.dtype, shape: tuple[int, int]
    ) -> Shaped[np.ndarray, "item width"]:
        view = self.gltf.bufferViews[view_index]
        strides = (view.byteStride or dtype.itemsize * shape[1], dtype.itemsize)
        start = (view.byteOffset or 0) + offset
        return np.ndarray(shape, dtype, buffer=self.buffers[view.buffer], offset=start, strides=strides)


def _tracks(document: _Document, animation: pygltflib.Animation) -> list[Track]:
    tracks = []
    for channel in animation.channels:
        node, path = channel.target.node, channel.target.path
        if node is None or path not in (*PATH_WIDTHS, "weights"):
            continue
        sampler = animation.samplers[channel.sampler]
        times = document.accessor(sampler.input)[:, 0].astype(np.float64)
        interpolation = sampler.interpolation or "LINEAR"
        slots = 3 if interpolation == "CUBICSPLINE" else 1
        values = document.accessor(sampler.output).astype(np.float64).reshape(len(times), slots, -1)
        tracks.append(Track(node=node, path=path, interpolation=interpolation, times=times, values=values))
    return [track for track in tracks if len(track.times)]


def _is_deforming(document: _Document, clips: list[list[Track]]) -> bool:
    """Whether the clips bend the surface; a turntable that only turns a rigid scan yields nothing new."""
    skinned = any(document.gltf.nodes[index].skin is not None for index in document.visible)
    return skinned or any(track.path == "weights" for tracks in clips for track in tracks)


def _sample_clips(clips: list[list[Track]], frames: int) -> list[dict[int, NodePose]]:
    spans = [_clip_span(tracks) for tracks in clips]
    ends = np.cumsum([end - start for start, end in spans])
    poses = []
    for moment in np.linspace(0.0, ends[-1], frames if ends[-1] > 0 else 1, endpoint=False):
        clip = min(int(np.searchsorted(ends, moment, side="right")), len(clips) - 1)
        time = spans[clip][1] - (ends[clip] - moment)
        pose: dict[int, NodePose] = {}
        for track in clips[clip]:
            pose.setdefault(track.node, {})[track.path] = sample_track(track, time)
        poses.append(pose)
    return poses


def _clip_span(tracks: list[Track]) -> tuple[float, float]:
    """Start and end of a clip in seconds: from 0, unless it was cut out of the middle of a longer timeline."""
    first, last = min(float(track.times[0]) for track in tracks), max(float(track.times[-1]) for track in tracks)
    return (0.0 if first < 0.1 * last else first), last


def _local_transform(node: pygltflib.Node, pose: NodePose) -> Float[np.ndarray, "4 4"]:
    if node.matrix is not None and not pose.keys() & PATH_WIDTHS.keys():
        return np.asarray(node.matrix, np.float64).reshape(4, 4).T
    rotation = np.asarray(pose.get("rotation", node.rotation or (0, 0, 0, 1)), np.float64)
    scale = np.asarray(pose.get("scale", node.scale or (1, 1, 1)), np.float64)
    transform = np.eye(4)
    transform[:3, :3] = roma.unitquat_to_rotmat(torch.from_numpy(rotation)).numpy() * scale
    transform[:3, 3] = np.asarray(pose.get("translation", node.translation or (0, 0, 0)), np.float64)
    return transform


def _world_transforms(document: _Document, pose: dict[int, NodePose]) -> Float[np.ndarray, "node 4 4"]:
    world = np.zeros((len(document.gltf.nodes), 4, 4))
    for index in document.order:
        local = _local_transform(document.gltf.nodes[index], pose.get(index, {}))
        parent = document.parents.get(index)
        world[index] = local if parent is None else world[parent] @ local
    return world


def _evaluate(document: _Document, pose: dict[int, NodePose]) -> PosedMesh:
    world = _world_transforms(document, pose)
    vertices, faces, count = [np.zeros((0, 3))], [np.zeros((0, 3), np.int64)], 0
    for index in sorted(document.visible):
        node = document.gltf.nodes[index]
        if node.mesh is None:
            continue
        mesh = document.gltf.meshes[node.mesh]
        morphs = pose.get(index, {}).get("weights", np.asarray(mesh.weights or [], np.float64))
        for primitive in mesh.primitives:
            triangles = _triangles(document, primitive)
            if len(triangles) == 0:
                continue
            points = _morphed(document, primitive, morphs)
            world_from_mesh = world[index] if node.skin is None else _blended(document, primitive, node.skin, world)
            flips = node.skin is None and np.linalg.det(world[index][:3, :3]) < 0
            faces.append((triangles[:, ::-1] if flips else triangles) + count)
            vertices.append(_apply(world_from_mesh, points))
            count += len(points)
    return PosedMesh(np.concatenate(vertices), np.concatenate(faces))


def _apply(
    transform: Float[np.ndarray, "*vertex 4 4"], points: Float[np.ndarray, "vertex 3"]
) -> Float[np.ndarray, "vertex 3"]:
    return np.einsum("...ij,...j->...i", transform[..., :3, :3], points) + transform[..., :3, 3]


def _morphed(
    document: _Document, primitive: pygltflib.Primitive, weights: Float[np.ndarray, " target"]
) -> Float[np.ndarray, "vertex 3"]:
    points = document.accessor(primitive.attributes.POSITION).astype(np.float64)
    for target, weight in zip(primitive.targets or [], weights, strict=False):
        position = target.get("POSITION") if isinstance(target, dict) else target.POSITION
        if weight and position is not None:
            points = points + weight * document.accessor(position)
    return points


def _blended(
    document: _Document, primitive: pygltflib.Primitive, skin_index: int, world: Float[np.ndarray, "node 4 4"]
) -> Float[np.ndarray, "vertex 4 4"]:
    """Skinning transform of each vertex; the node that carries a skinned mesh does not move it (glTF 2.0, 3.7.3.3)."""
    skin = document.gltf.skins[skin_index]
    matrices = world[np.asarray(skin.joints)]
    if skin.inverseBindMatrices is not None:
        binds = document.accessor(skin.inverseBindMatrices)[: len(matrices)]
        matrices = matrices @ binds.reshape(-1, 4, 4).transpose(0, 2, 1)
    attributes = vars(primitive.attributes)
    total: np.ndarray | float = 0.0
    blended: np.ndarray | float = 0.0
    for number in range(len(attributes)):
        joints, weights = attributes.get(f"JOINTS_{number}"), attributes.get(f"WEIGHTS_{number}")
        if joints is None or weights is None:
            break
        share = document.accessor(weights).astype(np.float64)
        blended = blended + np.einsum("vk,vkij->vij", share, matrices[document.accessor(joints).astype(np.int64)])
        total = total + share.sum(1)
    if isinstance(total, float):
        raise InputError("a skinned mesh without joint weights; export the model again with its skin")
    return blended / np.maximum(total, 1e-12)[:, None, None]


def _triangles(document: _Document, primitive: pygltflib.Primitive) -> Int[np.ndarray, "face 3"]:
    if primitive.indices is None:
        corners = np.arange(document.gltf.accessors[primitive.attributes.POSITION].count)
    else:
        corners = document.accessor(primitive.indices)[:, 0]
    mode = TRIANGLES if primitive.mode is None else primitive.mode
    if mode == TRIANGLES:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    if mode == TRIANGLE_STRIP and len(corners) > 2:
        strip = np.stack([corners[:-2], corners[1:-1], corners[2:]], axis=1)
        strip[1::2] = strip[1::2, ::-1]
        return strip
    if mode == TRIANGLE_FAN and len(corners) > 2:
        return np.stack([np.full(len(corners) - 2, corners[0]), corners[1:-1], corners[2:]], axis=1)
    return np.zeros((0, 3), np.int64)
