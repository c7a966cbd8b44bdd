"""The look of an avatar as a UsdPreviewSurface, with its textures beside it."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from avatars.export.look import Look

if TYPE_CHECKING:
    from pxr import Usd, UsdGeom, UsdShade

PLAIN_GREY = 0.5
"""Diffuse reflectance of avatars without a texture."""
ROUGHNESS = 0.8
Textures = dict[str, UInt8[np.ndarray, "height width 3"]]


def textures_of(stem: str, look: Look | None) -> Textures:
    """The pictures of a look by file name."""
    pictures = {} if look is None else {"colour": look.colour, "normal": look.normal}
    return {f"{stem}_{kind}.png": picture for kind, picture in pictures.items() if picture is not None}


def add_material(stage: "Usd.Stage", path: str, mesh: "UsdGeom.Mesh", look: Look | None, textures: Textures) -> None:
    """Define a material at a path of the stage and bind it to the mesh; colours of unlit looks are emitted."""
    from pxr import Gf, Sdf, UsdShade

    material = UsdShade.Material.Define(stage, path)
    surface = _shader(stage, f"{path}/Surface", "UsdPreviewSurface")
    unlit = look is not None and look.unlit
    surface.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(1.0 if unlit else ROUGHNESS)
    surface.CreateInput("metallic", Sdf.ValueTypeNames.Float).Set(0.0)
    surface.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f).Set(Gf.Vec3f(0.0 if unlit else PLAIN_GREY))
    material.CreateSurfaceOutput().ConnectToSource(surface.ConnectableAPI(), "surface")
    if textures:
        place = _shader(stage, f"{path}/Place", "UsdPrimvarReader_float2")
        place.CreateInput("varname", Sdf.ValueTypeNames.String).Set("st")
        place.CreateOutput("result", Sdf.ValueTypeNames.Float2)
    for name in textures:
        normal = name.endswith("_normal.png")
        target = "normal" if normal else "emissiveColor" if unlit else "diffuseColor"
        kind = Sdf.ValueTypeNames.Normal3f if normal else Sdf.ValueTypeNames.Color3f
        texture = _texture(stage, f"{path}/{'Normal' if normal else 'Colour'}", name, place, normal)
        surface.CreateInput(target, kind).ConnectToSource(texture.ConnectableAPI(), "rgb")
    UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(material)


def _texture(stage: "Usd.Stage", path: str, name: str, place: "UsdShade.Shader", normal: bool) -> "UsdShade.Shader":
    from pxr import Gf, Sdf

    texture = _shader(stage, path, "UsdUVTexture")
    texture.CreateInput("file", Sdf.ValueTypeNames.Asset).Set(Sdf.AssetPath(f"./{name}"))
    texture.CreateInput("sourceColorSpace", Sdf.ValueTypeNames.Token).Set("raw" if normal else "sRGB")
    texture.CreateInput("wrapS", Sdf.ValueTypeNames.Token).Set("clamp")
    texture.CreateInput("wrapT", Sdf.ValueTypeNames.Token).Set("clamp")
    texture.CreateInput("st", Sdf.ValueTypeNames.Float2).ConnectToSource(place.ConnectableAPI(), "result")
    if normal:  # bytes hold -1 to 1
        texture.CreateInput("scale", Sdf.ValueTypeNames.Float4).Set(Gf.Vec4f(2, 2, 2, 1))
        texture.CreateInput("bias", Sdf.ValueTypeNames.Float4).Set(Gf.Vec4f(-1, -1, -1, 0))
    texture.CreateOutput("rgb", Sdf.ValueTypeNames.Float3)
    return texture


def _shader(stage: "Usd.Stage", path: str, name: str) -> Any:
    from pxr import Sdf, UsdShade

    shader = UsdShade.Shader.Define(stage, path)
    shader.CreateIdAttr(name)
    if name == "UsdPreviewSurface":
        shader.CreateOutput("surface", Sdf.ValueTypeNames.Token)
    return shader
