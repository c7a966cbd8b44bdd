"""A GLB file in the making: one binary buffer and the accessors, images and nodes that lie in it (glTF 2.0)."""

from pathlib import Path

import numpy as np
import pygltflib
from jaxtyping import Float, Int, Shaped

import avatars

GENERATOR = "animatable-avatars"
SYNTHETIC = (
    "Synthetic media: a computer-made avatar, no recording. Whoever made it is taken to have the consent of the person "
    "it shows; use it only as that person agreed."
)
_COMPONENTS = {
    np.dtype(np.uint8): pygltflib.UNSIGNED_BYTE,
    np.dtype(np.uint16): pygltflib.UNSIGNED_SHORT,
    np.dtype(np.uint32): pygltflib.UNSIGNED_INT,
    np.dtype(np.float32): pygltflib.FLOAT,
}
_TYPES = {1: pygltflib.SCALAR, 2: pygltflib.VEC2, 3: pygltflib.VEC3, 4: pygltflib.VEC4, 16: pygltflib.MAT4}
_ALIGNMENT = 4


class Glb:
    """Collects arrays and pictures in one buffer beside the JSON document that describes them.

    `gltf` is that document, open to all that this class has no words for.
    """

    def __init__(self, notes: tuple[str, ...] = ()) -> None:
        said = {"syntheticMedia": True, "statement": SYNTHETIC, "generatorVersion": avatars.__version__}
        self.gltf = pygltflib.GLTF2(
            asset=pygltflib.Asset(
                version="2.0",
                generator=f"{GENERATOR} {avatars.__version__}",
                copyright=SYNTHETIC,
                extras=said | ({"notes": list(notes)} if notes else {}),
            ),
            scene=0,
            scenes=[pygltflib.Scene(nodes=[])],
        )
        self._blob = bytearray()

    def view(self, data: bytes, target: int | None = None) -> int:
        """Index of a new part of the buffer, aligned as all kinds of numbers need it."""
        self._blob += bytes(-len(self._blob) % _ALIGNMENT)
        place = pygltflib.BufferView(buffer=0, byteOffset=len(self._blob), byteLength=len(data), target=target)
        self._blob += data
        self.gltf.bufferViews.append(place)
        return len(self.gltf.bufferViews) - 1

    def accessor(
        self,
        values: Shaped[np.ndarray, "item width"],
        target: int | None = None,
        *,
        bounds: bool = False,
        normalized: bool = False,
    ) -> int:
        """Index of a new accessor of an array of bytes, shorts, integers or float32, perhaps with its bounds."""
        view = self.view(np.ascontiguousarray(values).tobytes(), target)
        return self._described(values, view, None, bounds=bounds, normalized=normalized)

    def sparse_accessor(self, values: Float[np.ndarray, "item 3"], rows: Int[np.ndarray, " row"]) -> int:
        """Index of a new accessor that stores some rows of an array, in rising order; all others are zero."""
        shown = np.zeros_like(values)
        shown[rows] = values[rows]
        kind = np.uint16 if len(values) <= np.iinfo(np.uint16).max + 1 else np.uint32
        sparse = pygltflib.Sparse(
            count=len(rows),
            indices=pygltflib.AccessorSparseIndices(
                bufferView=self.view(rows.astype(kind).tobytes()), componentType=_COMPONENTS[np.dtype(kind)]
            ),
            values=pygltflib.AccessorSparseValues(bufferView=self.view(values[rows].tobytes())),
        )
        return self._described(shown, None, sparse, bounds=True, normalized=False)

    def _described(
        self,
        values: Shaped[np.ndarray, "item width"],
        view: int | None,
        sparse: pygltflib.Sparse | None,
        *,
        bounds: bool,
        normalized: bool,
    ) -> int:
        accessor = pygltflib.Accessor(
            bufferView=view,
            byteOffset=None if view is None else 0,
            componentType=_COMPONENTS[values.dtype],
            normalized=normalized or None,
            count=len(values),
            type=_TYPES[values.shape[1]],
            sparse=sparse,
            min=values.min(0).tolist() if bounds else None,
            max=values.max(0).tolist() if bounds else None,
        )
        self.gltf.accessors.append(accessor)
        return len(self.gltf.accessors) - 1

    def image(self, data: bytes, mime: str, name: str) -> int:
        """Index of a new texture that shows an encoded picture, smoothly and in all distances."""
        if not self.gltf.samplers:
            smooth = pygltflib.Sampler(magFilter=pygltflib.LINEAR, minFilter=pygltflib.LINEAR_MIPMAP_LINEAR)
            self.gltf.samplers.append(smooth)
        self.gltf.images.append(pygltflib.Image(bufferView=self.view(data), mimeType=mime, name=name))
        self.gltf.textures.append(pygltflib.Texture(sampler=0, source=len(self.gltf.images) - 1, name=name))
        return len(self.gltf.textures) - 1

    def node(self, node: pygltflib.Node, parent: int | None = None) -> int:
        """Index of a new node below another one, or at the top of the scene."""
        self.gltf.nodes.append(node)
        index = len(self.gltf.nodes) - 1
        above = self.gltf.scenes[0].nodes if parent is None else self.gltf.nodes[parent].children
        above.append(index)
        return index

    def extend(self, extension: str) -> None:
        """Name an extension that the document uses."""
        if extension not in self.gltf.extensionsUsed:
            self.gltf.extensionsUsed.append(extension)

    def write(self, path: Path) -> None:
        """Write the file; raises OSError where that is not possible."""
        self._blob += bytes(-len(self._blob) % _ALIGNMENT)
        self.gltf.buffers = [pygltflib.Buffer(byteLength=len(self._blob))]
        self.gltf.set_binary_blob(bytes(self._blob))
        self.gltf.save_binary(str(path))
