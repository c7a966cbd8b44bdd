"""A mesh with vertex colours as a small GLB, made in a millisecond: what a page can show in colour."""

import json
import struct

import numpy as np
from jaxtyping import Float, Int

QUANTIZED, UNLIT = "KHR_mesh_quantization", "KHR_materials_unlit"
_SHORT, _UNSIGNED_SHORT, _UNSIGNED_INT, _FLOAT = 5122, 5123, 5125, 5126
_ARRAY, _INDICES = 34962, 34963
_STEPS = 32767


def coloured_glb(
    vertices: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
    colours: Float[np.ndarray, "vertex 3"],
    unlit: bool = False,
) -> bytes:
    """A GLB of a mesh (metres) with linear colours; places are rounded to a 65,000th of the mesh's size.

    Normals are there but zero, which takes no room: viser computes them, yet shows facets of meshes without any.
    `unlit` shows the colours as they are.
    """
    middle = (vertices.min(0) + vertices.max(0)) / 2
    scale = max(float(np.abs(vertices - middle).max()), 1e-6)
    places, linear = np.zeros((len(vertices), 4), np.int16), np.full((len(vertices), 4), 65535, np.uint16)
    places[:, :3] = np.round((vertices - middle) * (_STEPS / scale))
    linear[:, :3] = np.round(colours.clip(0, 1) * 65535)
    short = len(vertices) <= 65535
    indices = faces.astype(np.uint16 if short else np.uint32).tobytes()
    blocks = (places.tobytes(), linear.tobytes(), indices + b"\0" * (-len(indices) % 4))
    document = _document(len(vertices), faces.size, [len(block) for block in blocks], short, unlit)
    document["nodes"][0] |= {"translation": [float(value) for value in middle], "scale": [scale] * 3}
    document["accessors"][0] |= {"min": places[:, :3].min(0).tolist(), "max": places[:, :3].max(0).tolist()}
    return _packed(document, b"".join(blocks))


def _document(vertices: int, corners: int, sizes: list[int], short: bool, unlit: bool) -> dict:
    starts = [0, sizes[0], sizes[0] + sizes[1]]
    material: dict = {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9}}
    attributes = {"POSITION": 0, "COLOR_0": 1, "NORMAL": 3}
    return {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": 2, "material": 0}]}],
        "materials": [material | ({"extensions": {UNLIT: {}}} if unlit else {})],
        "extensionsUsed": [QUANTIZED, *([UNLIT] if unlit else [])],
        "extensionsRequired": [QUANTIZED],
        "buffers": [{"byteLength": sum(sizes)}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": starts[0], "byteLength": sizes[0], "byteStride": 8, "target": _ARRAY},
            {"buffer": 0, "byteOffset": starts[1], "byteLength": sizes[1], "byteStride": 8, "target": _ARRAY},
            {"buffer": 0, "byteOffset": starts[2], "byteLength": sizes[2], "target": _INDICES},
        ],
        "accessors": [
            {"bufferView": 0, "componentType": _SHORT, "normalized": True, "count": vertices, "type": "VEC3"},
            {"bufferView": 1, "componentType": _UNSIGNED_SHORT, "normalized": True, "count": vertices, "type": "VEC4"},
            {"bufferView": 2, "componentType": _UNSIGNED_SHORT if short else _UNSIGNED_INT, "count": corners,
             "type": "SCALAR"},
            {"componentType": _FLOAT, "count": vertices, "type": "VEC3"},
        ],
    }  # fmt: skip


def _packed(document: dict, blob: bytes) -> bytes:
    """The binary container of glTF 2.0 (section 4)."""
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(blob), b"BIN\0") + blob
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
