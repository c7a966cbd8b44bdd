"""Small GLB files for the page, made in milliseconds: a mesh with vertex colours, and what other meshes are built of.

The writer of exported files (`avatars.export.gltf`) keeps full precision, pictures and metadata, and writes to disk;
here arrays are short integers (KHR_mesh_quantization) that go to a browser at once.
"""

import json
import struct

import numpy as np
from jaxtyping import Float, Int, Shaped

QUANTIZED, UNLIT = "KHR_mesh_quantization", "KHR_materials_unlit"
STEPS = 32767
"""Of a place along each half of a mesh's longest side."""
ARRAY, INDICES = 34962, 34963
_COMPONENTS = {np.dtype(np.int8): 5120, np.dtype(np.uint8): 5121, np.dtype(np.int16): 5122, np.dtype(np.uint16): 5123,
               np.dtype(np.uint32): 5125, np.dtype(np.float32): 5126}  # fmt: skip
_TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


class Parts:
    """Arrays of a GLB in the making, and the accessors by which the document names them."""

    def __init__(self) -> None:
        self._blob = bytearray()
        self._views: list[dict] = []
        self._accessors: list[dict] = []

    def add(
        self,
        values: Shaped[np.ndarray, "item width"],
        target: int | None = None,
        *,
        normalized: bool = False,
        bounds: bool = False,
    ) -> int:
        """Index of a new accessor; vertices get rows of whole words, as the standard asks for."""
        stride = -(-values.itemsize * values.shape[1] // 4) * 4 if target == ARRAY else None
        stored = values
        if stride is not None and stride != values.itemsize * values.shape[1]:
            stored = np.zeros((len(values), stride // values.itemsize), values.dtype)
            stored[:, : values.shape[1]] = values
        view = self._view(stored.tobytes(), byteStride=stride, target=target)
        limits = {"min": values.min(0).tolist(), "max": values.max(0).tolist()} if bounds else {}
        return self._accessor(values, bufferView=view, normalized=normalized or None, **limits)

    def add_zeros(self, count: int) -> int:
        """Index of a new accessor of float triples that are zero and take no room."""
        return self._accessor(np.zeros((count, 3), np.float32))

    def add_sparse(self, values: Int[np.ndarray, "item 3"], rows: Int[np.ndarray, " row"]) -> int:
        """Index of a new accessor that stores some rows only; all others are zero."""
        kind = np.uint16 if len(values) <= 65536 else np.uint32
        indices = {"bufferView": self._view(rows.astype(kind).tobytes()), "componentType": _COMPONENTS[np.dtype(kind)]}
        sparse = {"count": len(rows), "indices": indices, "values": {"bufferView": self._view(values[rows].tobytes())}}
        limits = {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        return self._accessor(values, sparse=sparse, **limits)

    def packed(self, document: dict, *, unlit: bool) -> bytes:
        """The binary container of glTF 2.0 (section 4)."""
        extensions = {"extensionsUsed": [QUANTIZED, *([UNLIT] if unlit else [])], "extensionsRequired": [QUANTIZED]}
        whole = {"asset": {"version": "2.0"}, "scene": 0} | document | extensions
        whole |= {"buffers": [{"byteLength": len(self._blob)}], "bufferViews": self._views}
        text = json.dumps(whole | {"accessors": self._accessors}, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(self._blob), b"BIN\0")
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks) + len(self._blob)) + chunks + self._blob

    def _view(self, data: bytes, **more: int | None) -> int:
        place = {"buffer": 0, "byteOffset": len(self._blob), "byteLength": len(data)}
        self._views.append(place | {name: value for name, value in more.items() if value is not None})
        self._blob += data + bytes(-len(data) % 4)
        return len(self._views) - 1

    def _accessor(self, values: Shaped[np.ndarray, "item width"], **more: object) -> int:
        kind = {"componentType": _COMPONENTS[values.dtype], "count": len(values), "type": _TYPES[values.shape[1]]}
        self._accessors.append(kind | {name: value for name, value in more.items() if value is not None})
        return len(self._accessors) - 1


def coloured_glb(
    vertices: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
    colours: Float[np.ndarray, "vertex 3"],
    unlit: bool = False,
) -> bytes:
    """A GLB of a mesh (metres) with linear colours; places are rounded to a 65,000th of the mesh's size.

    `unlit` shows the colours as they are.
    """
    parts = Parts()
    places, middle, scale = quantized(vertices)
    mesh = add_mesh(parts, places, faces, colours)
    node = {"mesh": 0, "translation": middle.tolist(), "scale": [scale] * 3}
    document = {"scenes": [{"nodes": [0]}], "nodes": [node], "meshes": [{"primitives": [mesh]}]}
    return parts.packed(document | {"materials": [material(unlit)]}, unlit=unlit)


def quantized(
    vertices: Float[np.ndarray, "vertex 3"],
) -> tuple[Int[np.ndarray, "vertex 3"], Float[np.ndarray, "3"], float]:
    """Places as short integers, the middle, and how far from it STEPS of them reach (metres)."""
    middle = (vertices.min(0) + vertices.max(0)) / 2
    scale = max(float(np.abs(vertices - middle).max()), 1e-6)
    return np.round((vertices - middle) * (STEPS / scale)).astype(np.int16), middle, scale


def add_mesh(
    parts: Parts,
    places: Int[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
    colours: Float[np.ndarray, "vertex 3"],
    *,
    normalized: bool = True,
) -> dict:
    """A primitive of the first material.

    Normals are there but zero, which takes no room: viser computes them, yet shows facets of meshes without any.
    """
    linear = np.full((len(places), 4), 65535, np.uint16)
    linear[:, :3] = np.round(colours.clip(0, 1) * 65535)
    corners = faces.astype(np.uint16 if len(places) <= 65535 else np.uint32).reshape(-1, 1)
    attributes = {
        "POSITION": parts.add(places, ARRAY, normalized=normalized, bounds=True),
        "COLOR_0": parts.add(linear, ARRAY, normalized=True),
        "NORMAL": parts.add_zeros(len(places)),
    }
    return {"attributes": attributes, "indices": parts.add(corners, INDICES), "material": 0}


def material(unlit: bool) -> dict:
    """A dull surface in the colours of its vertices, or these as they are."""
    dull: dict = {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9}}
    return dull | ({"extensions": {UNLIT: {}}} if unlit else {})
