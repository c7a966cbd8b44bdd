"""Rigged avatars as USD: UsdSkel bones, blend shapes, one clip on the stage's clock, and UsdPreviewSurface."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imageio.v3 as imageio
import numpy as np
import roma
import torch
from jaxtyping import Shaped
from torch import Tensor

from avatars.export.formats.usd_material import Textures, add_material, textures_of
from avatars.export.gltf import bone_names
from avatars.export.gltf.binding import Binding, bound_for
from avatars.export.gltf.clips import continuous_quaternions
from avatars.export.gltf.writer import check_motion, check_rig
from avatars.export.look import Look
from avatars.export.rig import Rig, RigMotion
from body_models import InputError
from body_models.skeleton import rigid
from data_prep.atomic import replacing

if TYPE_CHECKING:
    from pxr import Usd, UsdGeom

USD_SUFFIXES = (".usda", ".usdc", ".usdz")
UNMOVED = 1e-7
"""Blend shapes leave out the points that they move less than this (metres)."""
BOUND_FRAMES = 24


def write_usd(
    path: Path | str,
    rig: Rig,
    motion: RigMotion | None = None,
    look: Look | None = None,
    names: str = "model",
    notes: Sequence[str] = (),
) -> Path:
    """Write a rigged avatar as .usda, .usdc or .usdz (metres, Y up), whole or not at all.

    `names` is the standard of its bones, as for `write_glb`. Textures lie inside a .usdz and beside the others, as
    NAME_colour.png. Heads whose colours hold the light of their video shine by themselves. Raises InputError for
    another ending, a motion of another rig, where the package usd-core is missing, and for a place that cannot be
    written.
    """
    path = Path(path)
    if path.suffix.lower() not in USD_SUFFIXES:
        raise InputError(f"Cannot write USD as '{path.name}'; end the name in {', '.join(USD_SUFFIXES)}.")
    _check(rig, motion, look)
    textures = textures_of(path.stem, look)
    called = bone_names(rig.skeleton, names)
    binding, played = bound_for(rig, [] if motion is None else [motion], names)
    stage = _stage(binding, played[0] if played else None, look, textures, called, notes)
    if path.suffix.lower() == ".usdz":
        _package(stage, textures, path)
        return path
    for name, picture in textures.items():
        with replacing(path.with_name(name)) as temporary:
            imageio.imwrite(temporary, picture)
    with replacing(path) as temporary:
        _export(stage, temporary)
    return path


def check_usd() -> None:
    """Raise InputError where the package that writes USD is missing."""
    try:
        import pxr  # noqa: F401
    except ImportError as error:
        raise InputError(
            "USD files need the package usd-core. Type: pip install 'animatable-avatars[usd]'. Or write a .glb."
        ) from error


def _check(rig: Rig, motion: RigMotion | None, look: Look | None) -> None:
    check_usd()
    check_rig(rig, look)
    if motion is not None:
        check_motion(rig, motion)


def _export(stage: "Usd.Stage", path: Path) -> None:
    if not stage.GetRootLayer().Export(str(path)):
        raise OSError("USD could not write there")


def _package(stage: "Usd.Stage", textures: Textures, path: Path) -> None:
    """One .usdz with the stage and its textures."""
    from pxr import Sdf, UsdUtils

    with tempfile.TemporaryDirectory() as folder, replacing(path) as temporary:
        for name, picture in textures.items():
            imageio.imwrite(Path(folder) / name, picture)
        inner = Path(folder) / f"{path.stem}.usdc"
        _export(stage, inner)
        temporary.touch()  # an unwritable place must fail in Python, where the reason is told
        if not UsdUtils.CreateNewUsdzPackage(Sdf.AssetPath(str(inner)), str(temporary)):
            raise OSError("USD could not write the package there")


def _stage(
    binding: Binding,
    motion: RigMotion | None,
    look: Look | None,
    textures: Textures,
    bones: Sequence[str],
    notes: Sequence[str],
) -> "Usd.Stage":
    from pxr import Kind, Tf, Usd, UsdGeom, UsdSkel

    stage, rig = Usd.Stage.CreateInMemory(), binding.rig
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    root = UsdSkel.Root.Define(stage, "/" + Tf.MakeValidIdentifier(rig.name))
    stage.SetDefaultPrim(root.GetPrim())
    Usd.ModelAPI(root).SetKind(Kind.Tokens.component)
    stage.GetRootLayer().comment = "\n".join(("Written by animatable-avatars.", *notes))
    joints = _joint_paths(bones, rig.skeleton.parents)
    mesh = _mesh(stage, f"{root.GetPath()}/Mesh", rig)
    shapes = _blend_shapes(stage, mesh, rig)
    _skeleton(stage, f"{root.GetPath()}/Skeleton", binding, joints)
    UsdSkel.BindingAPI.Apply(mesh.GetPrim()).CreateSkeletonRel().SetTargets([f"{root.GetPath()}/Skeleton"])
    if motion is not None:
        _animation(stage, f"{root.GetPath()}/Animation", binding, motion, joints, shapes)
        moved = UsdSkel.BindingAPI.Apply(stage.GetPrimAtPath(f"{root.GetPath()}/Skeleton"))
        moved.CreateAnimationSourceRel().SetTargets([f"{root.GetPath()}/Animation"])
    _bounds(root, mesh, rig, motion)
    add_material(stage, f"{root.GetPath()}/Material", mesh, look, textures)
    return stage


def _joint_paths(bones: Sequence[str], parents: Sequence[int]) -> list[str]:
    """Each joint as a path from the root, which is how UsdSkel tells the tree."""
    from pxr import Tf

    paths: list[str] = []
    for bone, parent in zip(bones, parents, strict=True):
        path = ("" if parent < 0 else paths[parent] + "/") + Tf.MakeValidIdentifier(bone)
        while path in paths:
            path += "_"
        paths.append(path)
    return paths


def _mesh(stage: "Usd.Stage", path: str, rig: Rig) -> "UsdGeom.Mesh":
    from pxr import Sdf, UsdGeom, UsdSkel, Vt

    mesh = UsdGeom.Mesh.Define(stage, path)
    mesh.CreateSubdivisionSchemeAttr("none")
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(_array(rig.vertices)))
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(_array(rig.normals)))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(rig.faces), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(_array(rig.faces, np.int32).ravel()))
    binding, influences = UsdSkel.BindingAPI.Apply(mesh.GetPrim()), rig.bones.shape[1]
    binding.CreateJointIndicesPrimvar(False, influences).Set(Vt.IntArray.FromNumpy(_array(rig.bones, np.int32).ravel()))
    binding.CreateJointWeightsPrimvar(False, influences).Set(Vt.FloatArray.FromNumpy(_array(rig.weights).ravel()))
    if rig.uv is not None:
        upwards = _array(torch.stack([rig.uv[:, 0], 1 - rig.uv[:, 1]], 1))  # USD counts from the lower left corner
        primvars = UsdGeom.PrimvarsAPI(mesh)
        primvars.CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.vertex).Set(
            Vt.Vec2fArray.FromNumpy(upwards)
        )
    return mesh


def _blend_shapes(stage: "Usd.Stage", mesh: "UsdGeom.Mesh", rig: Rig) -> list[str]:
    """One BlendShape prim per morph, of the points that it moves; gives their names."""
    from pxr import Tf, UsdSkel, Vt

    names: list[str] = []
    for name, morph in zip(rig.morph_names, rig.morphs, strict=True):
        name = Tf.MakeValidIdentifier(name)
        while name in names:
            name += "_"
        names.append(name)
        moved = (morph.norm(dim=1) > UNMOVED).nonzero()[:, 0]
        shape = UsdSkel.BlendShape.Define(stage, mesh.GetPath().AppendChild(name))
        shape.CreateOffsetsAttr(Vt.Vec3fArray.FromNumpy(_array(morph[moved])))
        shape.CreatePointIndicesAttr(Vt.IntArray.FromNumpy(_array(moved, np.int32)))
    if names:
        binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
        binding.CreateBlendShapesAttr(names)
        binding.CreateBlendShapeTargetsRel().SetTargets([mesh.GetPath().AppendChild(name) for name in names])
    return names


def _skeleton(stage: "Usd.Stage", path: str, binding: Binding, joints: list[str]) -> None:
    from pxr import UsdSkel, Vt

    skeleton = UsdSkel.Skeleton.Define(stage, path)
    skeleton.CreateJointsAttr(joints)
    bind = binding.world_from_bone()
    local = rigid(roma.unitquat_to_rotmat(binding.local_turns(binding.rig.bind_pose[None])[0]), binding.offsets())
    skeleton.CreateBindTransformsAttr(Vt.Matrix4dArray.FromNumpy(_array(bind.mT, np.float64)))  # USD: rows times matrix
    skeleton.CreateRestTransformsAttr(Vt.Matrix4dArray.FromNumpy(_array(local.mT, np.float64)))


def _animation(
    stage: "Usd.Stage", path: str, binding: Binding, motion: RigMotion, joints: list[str], shapes: list[str]
) -> None:
    """The clip, a frame a time code from 0 on."""
    from pxr import UsdSkel, Vt

    stage.SetTimeCodesPerSecond(motion.frame_rate)
    stage.SetFramesPerSecond(motion.frame_rate)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(len(motion) - 1)
    animation = UsdSkel.Animation.Define(stage, path)
    animation.CreateJointsAttr(joints)
    animation.CreateScalesAttr(Vt.Vec3hArray.FromNumpy(np.ones((len(joints), 3), np.float16)))
    translations, rotations = animation.CreateTranslationsAttr(), animation.CreateRotationsAttr()
    places = binding.offsets().repeat(len(motion), 1, 1)
    places[:, 0] += motion.translations.to(places)
    turns = continuous_quaternions(binding.local_turns(motion.rotations))
    for frame, (place, turn) in enumerate(zip(_array(places), turns, strict=True)):
        translations.Set(Vt.Vec3fArray.FromNumpy(place), frame)
        rotations.Set(Vt.QuatfArray.FromNumpy(turn), frame)
    if shapes:
        animation.CreateBlendShapesAttr(shapes)
        weights = animation.CreateBlendShapeWeightsAttr()
        for frame, row in enumerate(_array(motion.morph_weights)):
            weights.Set(Vt.FloatArray.FromNumpy(row), frame)


def _bounds(root: Any, mesh: "UsdGeom.Mesh", rig: Rig, motion: RigMotion | None) -> None:
    """Boxes around the mesh at rest and, for the whole, around frames from all over the clip."""
    from pxr import Vt

    still = torch.stack([rig.vertices.amin(0), rig.vertices.amax(0)])
    mesh.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(_array(still)))
    chosen = [] if motion is None else np.unique(np.linspace(0, len(motion) - 1, BOUND_FRAMES).round().astype(int))
    frames = [] if motion is None else [rig.pose(motion.frame(int(index)))[0] for index in chosen]
    boxes = torch.stack([still, *(torch.stack([frame.amin(0), frame.amax(0)]) for frame in frames)])
    whole = torch.stack([boxes[:, 0].amin(0), boxes[:, 1].amax(0)])
    root.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(_array(whole)))


def _array(values: Tensor, kind: type = np.float32) -> Shaped[np.ndarray, "..."]:
    return np.ascontiguousarray(values.detach().cpu().numpy(), kind)
