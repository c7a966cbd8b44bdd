"""USD files, opened with Pixar's own library: they move as the rig does, and its validators find nothing."""

import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from avatars.export.formats.usd import write_usd
from avatars.export.gltf.binding import bound_for
from avatars.export.look import Look
from avatars.export.rig import RigMotion
from body_models import InputError
from tests.avatars.export.gltf.small_rigs import body_rig, clip
from tests.avatars.export.outside.rigs import checkered, tiny_clip, tiny_rig

pxr = pytest.importorskip("pxr", reason="needs usd-core: pip install '.[usd]'")
from pxr import Usd, UsdGeom, UsdShade, UsdSkel, UsdValidation  # noqa: E402

MILLIMETRE = 1e-3


def opened(path) -> Usd.Stage:
    stage = Usd.Stage.Open(str(path))
    assert stage
    return stage


def the(stage: Usd.Stage, kind):
    return next(kind(prim) for prim in stage.Traverse() if prim.IsA(kind))


def posed(stage: Usd.Stage, frame: int) -> np.ndarray:
    """What UsdSkel itself makes of the mesh at a time code: blend shapes, then linear blend skinning."""
    cache, root = UsdSkel.Cache(), the(stage, UsdSkel.Root)
    cache.Populate(root, Usd.PrimDefaultPredicate)
    mesh = the(stage, UsdGeom.Mesh)
    skinning = cache.GetSkinningQuery(mesh.GetPrim())
    skeleton = cache.GetSkelQuery(the(stage, UsdSkel.Skeleton))
    points = mesh.GetPointsAttr().Get()
    if skinning.HasBlendShapes():
        shapes = UsdSkel.BlendShapeQuery(UsdSkel.BindingAPI(mesh.GetPrim()))
        weights = skinning.GetBlendShapeMapper().Remap(skeleton.GetAnimQuery().ComputeBlendShapeWeights(frame))
        parts = shapes.ComputeSubShapeWeights(weights)
        assert shapes.ComputeDeformedPoints(
            *parts, shapes.ComputeBlendShapePointIndices(), shapes.ComputeSubShapePointOffsets(), points
        )
    transforms, order = skeleton.ComputeSkinningTransforms(frame), skinning.GetJointMapper()
    assert skinning.ComputeSkinnedPoints(order.Remap(transforms) if order else transforms, points, frame)
    return np.array(points)


@pytest.mark.parametrize("suffix", ["usda", "usdc", "usdz"])
def test_it_moves_as_the_rig_does(tmp_path, suffix):
    rig = tiny_rig()
    clip = tiny_clip(rig)
    stage = opened(write_usd(tmp_path / f"tiny.{suffix}", rig, clip))
    expected = rig.pose(clip).numpy()
    for frame in range(len(clip)):
        assert np.abs(posed(stage, frame) - expected[frame]).max() < MILLIMETRE / 100


@pytest.mark.parametrize("names", ["mixamo", "vrm"])
def test_a_body_is_bound_as_its_standard_has_it(tmp_path, names):
    rig = body_rig()
    moves = clip(rig, frames=3)
    stage = opened(write_usd(tmp_path / "a.usdc", rig, moves, names=names))
    binding, (moved,) = bound_for(rig, [moves], names)
    for frame, expected in enumerate(binding.rig.pose(moved).numpy()):
        assert np.abs(posed(stage, frame) - expected).max() < MILLIMETRE / 10
    bind = np.array(the(stage, UsdSkel.Skeleton).GetBindTransformsAttr().Get()).transpose(0, 2, 1)
    np.testing.assert_allclose(bind, binding.world_from_bone().numpy(), atol=1e-6)


def test_without_a_clip_it_stands_in_its_bind_pose(tmp_path):
    rig = tiny_rig()
    stage = opened(write_usd(tmp_path / "tiny.usdc", rig))
    points = np.array(the(stage, UsdGeom.Mesh).GetPointsAttr().Get())
    np.testing.assert_allclose(points, rig.vertices.numpy(), atol=1e-7)
    skeleton = the(stage, UsdSkel.Skeleton)
    cache = UsdSkel.Cache()
    cache.Populate(the(stage, UsdSkel.Root), Usd.PrimDefaultPredicate)
    transforms = np.array(cache.GetSkelQuery(skeleton).ComputeSkinningTransforms(Usd.TimeCode.Default()))
    np.testing.assert_allclose(transforms, np.broadcast_to(np.eye(4), transforms.shape), atol=1e-6)


def test_units_axes_clock_and_names(tmp_path):
    rig = tiny_rig()
    stage = opened(write_usd(tmp_path / "tiny.usda", rig, tiny_clip(rig), notes=("made for tests",)))
    assert UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.y
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode(), stage.GetTimeCodesPerSecond()) == (0, 4, 20)
    assert stage.GetDefaultPrim().IsA(UsdSkel.Root)
    assert "made for tests" in stage.GetRootLayer().comment
    assert list(the(stage, UsdSkel.Skeleton).GetJointsAttr().Get()) == [
        "hip", "hip/knee_L", "hip/knee_L/ankle_L", "hip/elbow",
    ]  # fmt: skip
    mesh = UsdSkel.BindingAPI(the(stage, UsdGeom.Mesh).GetPrim())
    assert tuple(mesh.GetBlendShapesAttr().Get()) == rig.morph_names


def test_the_picture_is_worn_the_right_way_up(tmp_path):
    """Corner (0, 0) of glTF is the upper left one, where red and green are dark; USD counts v upwards."""
    rig = tiny_rig()
    stage = opened(write_usd(tmp_path / "tiny.usdc", rig, look=Look(checkered(), checkered(), unlit=False)))
    st = np.array(UsdGeom.PrimvarsAPI(the(stage, UsdGeom.Mesh)).GetPrimvar("st").Get())
    np.testing.assert_allclose(st[:, 0], rig.uv[:, 0], atol=1e-6)
    np.testing.assert_allclose(st[:, 1], 1 - rig.uv[:, 1], atol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.usdc", "tiny_colour.png", "tiny_normal.png"]


@pytest.mark.parametrize(("unlit", "wearing"), [(False, "diffuseColor"), (True, "emissiveColor")])
def test_a_package_holds_its_pictures(tmp_path, unlit, wearing):
    path = write_usd(tmp_path / "tiny.usdz", tiny_rig(), look=Look(checkered(), None, unlit=unlit))
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.usdz"]
    assert zipfile.ZipFile(path).namelist() == ["tiny.usdc", "tiny_colour.png"]
    stage = opened(path)
    material, _ = UsdShade.MaterialBindingAPI(the(stage, UsdGeom.Mesh)).ComputeBoundMaterial()
    surface = material.ComputeSurfaceSource()[0]
    texture = UsdShade.Shader(surface.GetInput(wearing).GetConnectedSources()[0][0].source)
    assert texture.GetInput("file").Get().path == "./tiny_colour.png"


@pytest.mark.parametrize("suffix", ["usda", "usdc", "usdz"])
def test_the_validators_find_nothing(tmp_path, suffix):
    rig = tiny_rig()
    look = Look(checkered(), checkered(), unlit=False)
    stage = opened(write_usd(tmp_path / f"tiny.{suffix}", rig, tiny_clip(rig), look))
    context = UsdValidation.ValidationContext(UsdValidation.ValidationRegistry().GetOrLoadAllValidators())
    assert [f"{found.GetName()}: {found.GetMessage()}" for found in context.Validate(stage)] == []


def test_writing_again_replaces_and_leaves_nothing_else(tmp_path):
    rig = tiny_rig()
    first = write_usd(tmp_path / "tiny.usdz", rig).read_bytes()
    assert write_usd(tmp_path / "tiny.usdz", rig, tiny_clip(rig)).read_bytes() != first
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.usdz"]


def test_bad_input_is_refused_in_words(tmp_path):
    rig = tiny_rig()
    clip = tiny_clip(rig)
    with pytest.raises(InputError, match=r"end the name in \.usda, \.usdc, \.usdz"):
        write_usd(tmp_path / "tiny.glb", rig)
    with pytest.raises(InputError, match="mixamo"):
        write_usd(tmp_path / "tiny.usdc", rig, names="maximo")
    with pytest.raises(InputError, match="moves 3 bones"):
        write_usd(tmp_path / "tiny.usdc", rig, replace(clip, rotations=clip.rotations[:, :3]))
    nothing = RigMotion("x", torch.zeros(0, 4, 3), torch.zeros(0, 3), torch.zeros(0, 3), 20.0)
    with pytest.raises(InputError, match=r"\[0\] frames"):
        write_usd(tmp_path / "tiny.usdc", rig, nothing)
    with pytest.raises(InputError, match="texture coordinates"):
        write_usd(tmp_path / "tiny.usdc", replace(rig, uv=None), look=Look(checkered(), None, unlit=False))
    (tmp_path / "file").write_text("")
    for suffix in ("usdc", "usdz"):
        with pytest.raises(InputError, match="Cannot write"):
            write_usd(tmp_path / "file" / f"tiny.{suffix}", rig)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pxr", None)
    with pytest.raises(InputError, match=r"pip install 'animatable-avatars\[usd\]'"):
        write_usd(tmp_path / "tiny.usdc", tiny_rig())
