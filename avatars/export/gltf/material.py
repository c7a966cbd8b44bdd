"""How a rig's surface looks in a GLB file: a physically based material and its pictures."""

from io import BytesIO

import numpy as np
import pygltflib
from jaxtyping import UInt8
from PIL import Image

from avatars.export.gltf.glb import Glb
from avatars.export.look import Look

UNLIT = "KHR_materials_unlit"
ROUGHNESS = 0.8
PLAIN_COLOUR = (0.55, 0.47, 0.42, 1.0)
"""Of avatars without colours: linear, between clay and skin."""
_QUALITY = 92


def add_material(glb: Glb, look: Look | None) -> int:
    """Index of a new material: a look's pictures, or plain clay without."""
    look = look or Look(None, None, False)
    surface = pygltflib.PbrMetallicRoughness(metallicFactor=0.0, roughnessFactor=ROUGHNESS)
    if look.colour is None:
        surface.baseColorFactor = list(PLAIN_COLOUR)
    else:
        picture = glb.image(*encoded_colour(look.colour), "colour")
        surface.baseColorTexture = pygltflib.TextureInfo(index=picture)
    material = pygltflib.Material(name="surface", pbrMetallicRoughness=surface, doubleSided=True)
    if look.normal is not None:
        picture = glb.image(_encoded(look.normal, "PNG"), "image/png", "normal")
        material.normalTexture = pygltflib.NormalMaterialTexture(index=picture)
    if look.unlit:
        shown_as_is(glb, material)
    glb.gltf.materials.append(material)
    return len(glb.gltf.materials) - 1


def shown_as_is(glb: Glb, material: pygltflib.Material) -> None:
    """Have a material shown without light, for colours that hold it already."""
    material.extensions = {UNLIT: {}}
    glb.extend(UNLIT)


def encoded_colour(picture: UInt8[np.ndarray, "height width 3"]) -> tuple[bytes, str]:
    """A picture as the smaller of PNG and JPEG of high quality, and its media type."""
    kinds = {"image/jpeg": _encoded(picture, "JPEG"), "image/png": _encoded(picture, "PNG")}
    smaller = min(kinds, key=lambda kind: len(kinds[kind]))
    return kinds[smaller], smaller


def _encoded(picture: UInt8[np.ndarray, "height width 3"], kind: str) -> bytes:
    stream = BytesIO()
    options = {"quality": _QUALITY, "subsampling": 0} if kind == "JPEG" else {"compress_level": 6}
    Image.fromarray(np.ascontiguousarray(picture)).save(stream, kind, **options)
    return stream.getvalue()
