"""The colours of a glTF file: base colour factor and texture of its materials, and colours at vertices (linear)."""

import base64
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pygltflib
from jaxtyping import Float, Int

from body_models.errors import InputError
from body_models.gltf import Document
from data_prep.gltf_skin import PosedMesh
from data_prep.paint import OPAQUE, Paint, PaintedPart
from data_prep.textures import CLAMP, MIRROR, REPEAT, Texture, read_texture

DAMAGED = (InputError, ValueError, KeyError, TypeError, AttributeError, IndexError)
_WRAPS = {33071: CLAMP, 33648: MIRROR, 10497: REPEAT}
_GLOSSY = "KHR_materials_pbrSpecularGlossiness"
_PLACED = "KHR_texture_transform"


@dataclass(frozen=True)
class _Base:
    """Base colour of a material."""

    factor: Float[np.ndarray, "4"]
    texture: dict[str, Any] | None
    """Its texture info as plain JSON: index, texCoord, extensions."""
    cutoff: float


class GltfPaints:
    """The paints of a file's primitives; textures are read once, and what cannot be read is told in `notes`."""

    def __init__(self, document: Document, path: Path) -> None:
        self.document, self.path = document, path
        self.notes: list[str] = []
        self._textures: dict[int, Texture | None] = {}

    def parts(self, mesh: PosedMesh) -> list[PaintedPart]:
        """A posed mesh with its colours, a part a primitive; parts whose colours cannot be had come without paint."""
        parts = []
        for piece in mesh.pieces:
            faces = mesh.faces[piece.faces] - piece.vertices.start
            try:
                paint = self.of(piece.primitive, faces)
            except DAMAGED as error:
                self.notes.append(f"the colours of a part cannot be read ({error})")
                paint = None
            parts.append(PaintedPart(mesh.vertices[piece.vertices], faces, paint))
        return parts

    def of(self, primitive: pygltflib.Primitive, corners: Int[np.ndarray, "face 3"]) -> Paint | None:
        """The paint of a primitive whose faces have these corners; None where its texture cannot be had."""
        base = self._base(primitive.material)
        attributes = vars(primitive.attributes)
        colours = _vertex_colours(self.document, attributes.get("COLOR_0"))
        if base.texture is None:
            return Paint(corners, base.factor, colours, cutoff=base.cutoff)
        texture = self._texture(int(base.texture["index"]))
        placed = (base.texture.get("extensions") or {}).get(_PLACED) or {}
        number = placed.get("texCoord", base.texture.get("texCoord") or 0)
        accessor = attributes.get(f"TEXCOORD_{number}")
        if texture is None or accessor is None:
            return None
        uv = _placed(self.document.accessor(accessor).astype(np.float64), placed)
        return Paint(corners, base.factor, colours, uv, texture, base.cutoff)

    def _base(self, index: int | None) -> _Base:
        if index is None:
            return _Base(np.ones(4), None, 0.0)
        material = self.document.gltf.materials[index]
        cutoff = 0.0
        if material.alphaMode == "MASK":
            cutoff = OPAQUE if material.alphaCutoff is None else float(material.alphaCutoff)
        elif material.alphaMode == "BLEND":
            cutoff = OPAQUE
        glossy = (material.extensions or {}).get(_GLOSSY)
        if glossy:
            return _Base(_four(glossy.get("diffuseFactor")), glossy.get("diffuseTexture"), cutoff)
        plain = material.pbrMetallicRoughness
        if plain is None:
            return _Base(np.ones(4), None, cutoff)
        info = plain.baseColorTexture
        texture = None if info is None else info if isinstance(info, dict) else vars(info)
        return _Base(_four(plain.baseColorFactor), texture, cutoff)

    def _texture(self, index: int) -> Texture | None:
        if index not in self._textures:
            try:
                self._textures[index] = self._read(index)
            except InputError as error:
                self.notes.append(f"{error}; those parts have no colours")
                self._textures[index] = None
        return self._textures[index]

    def _read(self, index: int) -> Texture:
        gltf = self.document.gltf
        texture = gltf.textures[index]
        wrap = (REPEAT, REPEAT)
        if texture.sampler is not None:
            sampler = gltf.samplers[texture.sampler]
            wrap = (_WRAPS.get(sampler.wrapS or 10497, REPEAT), _WRAPS.get(sampler.wrapT or 10497, REPEAT))
        source = texture.source
        for name, extension in (texture.extensions or {}).items():
            if name == "EXT_texture_webp" or source is None:
                source = extension.get("source", source)
        if source is None:
            raise InputError(f"texture {index} names no picture")
        image = gltf.images[source]
        name = image.name or image.uri or f"image {source}"
        return read_texture(self._bytes(image), name if len(name) < 60 else f"image {source}", wrap)

    def _bytes(self, image: pygltflib.Image) -> bytes:
        if image.bufferView is not None:
            view = self.document.gltf.bufferViews[image.bufferView]
            start = view.byteOffset or 0
            return self.document.buffers[view.buffer][start : start + view.byteLength]
        uri = image.uri or ""
        if uri.startswith("data:"):
            return base64.b64decode(uri.split(",", 1)[1])
        beside = self.path.parent / unquote(uri)
        if "://" in uri or not uri or not beside.is_file():
            raise InputError(f"its texture '{uri}' is not beside it")
        return bytes(beside.read_bytes())


def _vertex_colours(document: Document, accessor: int | None) -> Float[np.ndarray, "row 4"] | None:
    if accessor is None:
        return None
    colours = document.accessor(accessor).astype(np.float64)
    component = document.gltf.accessors[accessor].componentType
    if component in (5121, 5123) and not document.gltf.accessors[accessor].normalized:
        colours = colours / (255.0 if component == 5121 else 65535.0)  # some writers forget to say so
    return colours if colours.shape[1] == 4 else np.concatenate([colours, np.ones((len(colours), 1))], axis=1)


def _placed(uv: Float[np.ndarray, "row 2"], placed: dict[str, Any]) -> Float[np.ndarray, "row 2"]:
    """Texture coordinates scaled, turned, then shifted (KHR_texture_transform)."""
    if not placed:
        return uv
    scale, offset = np.asarray(placed.get("scale", (1, 1)), float), np.asarray(placed.get("offset", (0, 0)), float)
    angle = float(placed.get("rotation", 0.0))
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return (uv * scale) @ turn.T + offset


def _four(factor: Any) -> Float[np.ndarray, "4"]:
    return np.ones(4) if factor is None else np.asarray(factor, np.float64)
