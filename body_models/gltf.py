"""Read glTF files: buffers and accessors, the node tree, and the tracks of animation clips (glTF 2.0 specification)."""

import base64
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pygltflib
import roma
import torch
from jaxtyping import Float, Int, Shaped

from body_models.errors import InputError

_COMPONENT_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_TYPE_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_UNREADABLE_EXTENSIONS = {"KHR_draco_mesh_compression", "EXT_meshopt_compression"}
_PATH_WIDTHS = {"translation": 3, "rotation": 4, "scale": 3}
_DAMAGED = (ValueError, KeyError, TypeError, AttributeError, IndexError, struct.error, EOFError)

NodePose = dict[str, Float[np.ndarray, "... value"]]
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


def sample_track(track: Track, time: float) -> Float[np.ndarray, " width"]:
    """Value of a track at a time (seconds), held constant before its first and after its last key."""
    return sample_track_at(track, np.array([time]))[0]


def sample_track_at(track: Track, times: Float[np.ndarray, " time"]) -> Float[np.ndarray, "time width"]:
    """Values of a track at many times (seconds), held constant before its first and after its last key."""
    values = track.values[:, -2] if track.values.shape[1] == 3 else track.values[:, 0]
    after = np.searchsorted(track.times, times, side="right")
    held = (after == 0) | (after == len(track.times))
    sampled = values[np.minimum(after, len(values) - 1)]
    if not held.all():
        sampled[~held] = _interpolate(track, values, after[~held] - 1, times[~held])
    if track.path == "rotation":
        return sampled / np.maximum(np.linalg.norm(sampled, axis=1, keepdims=True), 1e-12)
    return sampled


def _interpolate(
    track: Track,
    values: Float[np.ndarray, "key width"],
    key: Int[np.ndarray, " time"],
    times: Float[np.ndarray, " time"],
) -> Float[np.ndarray, "time width"]:
    span = (track.times[key + 1] - track.times[key])[:, None]
    u = (times[:, None] - track.times[key][:, None]) / span
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
        first, last = (
            torch.from_numpy(v / np.linalg.norm(v, axis=1, keepdims=True)) for v in (values[key], values[key + 1])
        )
        steps = torch.from_numpy(u[:, 0])
        return _slerp(first, last, steps).numpy()
    return (1 - u) * values[key] + u * values[key + 1]


def _slerp(
    first: Float[torch.Tensor, "time 4"], last: Float[torch.Tensor, "time 4"], share: Float[torch.Tensor, "time"]
) -> Float[torch.Tensor, "time 4"]:
    """Each pair at its own share, the short way round."""
    turn = roma.unitquat_to_rotvec(roma.quat_product(roma.quat_conjugation(first), last), shortest_arc=True)
    return roma.quat_product(first, roma.rotvec_to_unitquat(share[:, None] * turn))


class Document:
    """A parsed file with its buffers, and the parts of the node tree that stay the same in every frame."""

    def __init__(self, path: Path):
        self.name = str(path)
        loaded = _parse(path)
        unreadable = _UNREADABLE_EXTENSIONS & set(loaded.extensionsRequired or [])
        if unreadable:
            raise InputError(f"{path}: compressed by {', '.join(unreadable)}; export it again without compression")
        self.gltf: pygltflib.GLTF2 = loaded
        self.buffers = [self._buffer(path, buffer) for buffer in loaded.buffers]
        self.parents = {child: index for index, node in enumerate(loaded.nodes) for child in node.children or []}
        self.order = self._visit(index for index in range(len(loaded.nodes)) if index not in self.parents)
        if len(self.order) != len(loaded.nodes):
            raise InputError(f"{path}: its node tree has a cycle or a node with two parents; export it again")
        scenes = loaded.scenes
        self.visible = set(self._visit(scenes[loaded.scene or 0].nodes or [])) if scenes else set(self.order)

    def _buffer(self, path: Path, buffer: pygltflib.Buffer) -> bytes:
        if buffer.uri is None:
            return self.gltf.binary_blob() or b""
        if buffer.uri.startswith("data:"):
            return base64.b64decode(buffer.uri.split(",", 1)[1])
        if "://" in buffer.uri:
            raise InputError(f"{path}: its data lie at {buffer.uri}; download it and save the model as .glb")
        beside = path.parent / unquote(buffer.uri)
        if not beside.is_file():
            raise InputError(f"{path}: needs '{buffer.uri}' beside it, which is not there; or save it as .glb")
        return beside.read_bytes()

    def _visit(self, roots: Iterable[int]) -> list[int]:
        order: list[int] = []
        stack, limit = list(roots)[::-1], len(self.gltf.nodes)
        while stack and len(order) <= limit:
            order.append(stack.pop())
            stack.extend((self.gltf.nodes[order[-1]].children or [])[::-1])
        return order

    def accessor(self, index: int) -> Shaped[np.ndarray, "item width"]:
        """Elements of an accessor: normalised integers and floats as float64, plain integers as int64."""
        accessor = self.gltf.accessors[index]
        dtype, width = np.dtype(_COMPONENT_DTYPES[accessor.componentType]), _TYPE_WIDTHS[accessor.type]
        if accessor.bufferView is None:
            raw = np.zeros((accessor.count, width), dtype)
        else:
            raw = self._view(accessor.bufferView, accessor.byteOffset or 0, dtype, (accessor.count, width)).copy()
        if accessor.sparse is not None:
            sparse = accessor.sparse
            index_dtype = np.dtype(_COMPONENT_DTYPES[sparse.indices.componentType])
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
        try:
            return np.ndarray(shape, dtype, buffer=self.buffers[view.buffer], offset=start, strides=strides)
        except (TypeError, ValueError) as error:  # numpy's words for a buffer that is too small
            raise InputError(
                f"{self.name}: its data end before they should; it looks truncated. Download or export it again."
            ) from error


def _parse(path: Path) -> pygltflib.GLTF2:
    try:
        binary = path.suffix.lower() in (".glb", ".vrm")
        loaded = pygltflib.GLTF2().load_binary(str(path)) if binary else pygltflib.GLTF2().load(str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}). Check the path.") from error
    except _DAMAGED as error:
        raise InputError(f"{path}: damaged or no glTF file ({error}). Download or export it again.") from error
    if loaded is None:
        raise InputError(f"{path}: not a readable glTF file")
    return loaded


def clip_tracks(document: Document, animation: pygltflib.Animation) -> list[Track]:
    """The tracks of a clip that have keys."""
    tracks = []
    for channel in animation.channels:
        node, path = channel.target.node, channel.target.path
        if node is None or path not in (*_PATH_WIDTHS, "weights"):
            continue
        sampler = animation.samplers[channel.sampler]
        times = document.accessor(sampler.input)[:, 0].astype(np.float64)
        interpolation = sampler.interpolation or "LINEAR"
        slots = 3 if interpolation == "CUBICSPLINE" else 1
        values = document.accessor(sampler.output).astype(np.float64).reshape(len(times), slots, -1)
        tracks.append(Track(node=node, path=path, interpolation=interpolation, times=times, values=values))
    return [track for track in tracks if len(track.times)]


def clip_span(tracks: list[Track]) -> tuple[float, float]:
    """Start and end of a clip in seconds: from 0, unless it was cut out of the middle of a longer timeline."""
    first, last = min(float(track.times[0]) for track in tracks), max(float(track.times[-1]) for track in tracks)
    return (0.0 if first < 0.1 * last else first), last


def world_transforms(document: Document, pose: Mapping[int, NodePose]) -> Float[np.ndarray, "... node 4 4"]:
    """Transform of each node into the file's world, at one moment or at all the moments of the pose's values."""
    world: list[Float[np.ndarray, "... 4 4"]] = [np.eye(4)] * len(document.gltf.nodes)
    for index in document.order:
        local = _local_transform(document.gltf.nodes[index], pose.get(index, {}))
        parent = document.parents.get(index)
        world[index] = local if parent is None else world[parent] @ local
    return np.stack(np.broadcast_arrays(*world), axis=-3) if world else np.zeros((0, 4, 4))


def _local_transform(node: pygltflib.Node, pose: NodePose) -> Float[np.ndarray, "... 4 4"]:
    if node.matrix is not None and not pose.keys() & _PATH_WIDTHS.keys():
        return np.asarray(node.matrix, np.float64).reshape(4, 4).T
    rotation = np.asarray(pose.get("rotation", node.rotation or (0, 0, 0, 1)), np.float64)
    scale = np.asarray(pose.get("scale", node.scale or (1, 1, 1)), np.float64)
    place = np.asarray(pose.get("translation", node.translation or (0, 0, 0)), np.float64)
    turned = roma.unitquat_to_rotmat(torch.from_numpy(rotation)).numpy() * scale[..., None, :]
    transform = np.zeros((*np.broadcast_shapes(turned.shape[:-2], place.shape[:-1]), 4, 4))
    transform[..., :3, :3], transform[..., :3, 3], transform[..., 3, 3] = turned, place, 1.0
    return transform
