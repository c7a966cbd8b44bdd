"""Numbers for PyTorch3D: its documented projection sees points where ours does; meshes with colours; refusals."""

import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest
import torch

from avatars.export.formats.pytorch3d import (
    camera_numbers,
    cameras_of_numbers,
    from_cameras,
    pixels_from_ndc,
    to_cameras,
    to_meshes,
)
from avatars.export.shapes import Shape
from avatars.meshing import TriangleMesh
from body_models import InputError
from data_prep.camera import Camera, look_at
from tests.avatars.small_avatar import small_avatar
from tests.avatars.small_head import small_head

UP = torch.tensor([0.0, 1.0, 0.0])
POINTS = torch.tensor([[0.0, 0.0, 0.0], [0.3, -0.2, 0.1], [-0.4, 0.5, -0.3]])


def cameras() -> list[Camera]:
    """A wide one off its centre, and a tall one."""
    wide = look_at(torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3), UP, 40.0, 640, 480)
    intrinsics = wide.intrinsics.clone()
    intrinsics[0, 0], intrinsics[0, 2], intrinsics[1, 2] = 700.0, 300.0, 250.0
    tall = look_at(torch.tensor([-2.0, 0.5, -1.0]), torch.ones(3) * 0.2, UP, 60.0, 100, 300)
    return [replace(wide, intrinsics=intrinsics), tall]


def screen_of_pixels(numbers, place: int, points: torch.Tensor) -> torch.Tensor:
    """PyTorch3D's `transform_points_screen` for `in_ndc=False`: x left and y up become x right and y down."""
    x, y, z = (points @ numbers.rotations[place] + numbers.translations[place]).unbind(-1)
    projected = torch.stack([x / z, y / z], -1)
    return numbers.principal_points[place] - numbers.focal_lengths[place] * projected


def screen_of_ndc(rotation, translation, focal, principal, size, points) -> torch.Tensor:
    """The same for cameras in NDC, in which the shorter side goes from -1 to 1."""
    x, y, z = (points @ rotation + translation).unbind(-1)
    ndc = focal * torch.stack([x / z, y / z], -1) + principal
    return size.flip(0) / 2 - ndc * size.min() / 2


@pytest.mark.parametrize("place", [0, 1])
def test_points_are_seen_in_the_same_pixels(place):
    camera = cameras()[place]
    numbers = camera_numbers(cameras())
    assert torch.allclose(screen_of_pixels(numbers, place, POINTS), camera.project(POINTS)[0], atol=1e-3)
    depth = (POINTS @ numbers.rotations[place] + numbers.translations[place])[:, 2]
    assert torch.allclose(depth, camera.project(POINTS)[1], atol=1e-5)
    assert numbers.image_sizes[place].tolist() == [camera.height, camera.width]


def test_rotations_are_proper():
    assert torch.allclose(torch.linalg.det(camera_numbers(cameras()).rotations), torch.ones(2), atol=1e-5)


def test_cameras_come_back():
    for camera, back in zip(cameras(), cameras_of_numbers(camera_numbers(cameras())), strict=True):
        assert torch.allclose(camera.camera_from_world, back.camera_from_world, atol=1e-6)
        assert torch.allclose(camera.intrinsics, back.intrinsics)
        assert (camera.width, camera.height) == (back.width, back.height)


def test_ndc_is_counted_in_halves_of_the_shorter_side():
    numbers = camera_numbers(cameras())
    half = numbers.image_sizes.amin(1, keepdim=True) / 2
    focal, principal = numbers.focal_lengths / half, (numbers.image_sizes.flip(1) / 2 - numbers.principal_points) / half
    for place, camera in enumerate(cameras()):
        parts = (numbers.rotations, numbers.translations, focal, principal, numbers.image_sizes)
        seen = screen_of_ndc(*(part[place] for part in parts), POINTS)
        assert torch.allclose(seen, camera.project(POINTS)[0], atol=1e-3)
    pixels = pixels_from_ndc(focal, principal, numbers.image_sizes)
    assert torch.allclose(pixels[0], numbers.focal_lengths, rtol=1e-5)
    assert torch.allclose(pixels[1], numbers.principal_points, rtol=1e-5)


def test_what_has_no_numbers():
    skewed = cameras()[0]
    skewed.intrinsics[0, 1] = 3.0
    with pytest.raises(InputError, match="skewed"):
        camera_numbers([skewed])
    with pytest.raises(InputError, match="no cameras"):
        camera_numbers([])
    with pytest.raises(InputError, match="no meshes"):
        to_meshes([])


class Recorder:
    """Stands in for a class of PyTorch3D: keeps what it is given."""

    def __init__(self, **given: object) -> None:
        self.given = given
        vars(self).update({name: value for name, value in given.items() if name != "in_ndc"})

    def in_ndc(self) -> bool:
        return bool(self.given["in_ndc"])


@pytest.fixture
def stand_in(monkeypatch) -> None:
    for name, members in {
        "pytorch3d": (),
        "pytorch3d.structures": ("Meshes",),
        "pytorch3d.renderer": ("PerspectiveCameras", "TexturesVertex"),
    }.items():
        module = ModuleType(name)
        for member in members:
            setattr(module, member, type(member, (Recorder,), {}))
        monkeypatch.setitem(sys.modules, name, module)


def test_cameras_are_handed_over_and_back(stand_in):
    made = to_cameras(cameras())
    assert made.given["in_ndc"] is False
    assert set(made.given) == {"R", "T", "focal_length", "principal_point", "image_size", "in_ndc", "device"}
    back = from_cameras(made)
    assert all(torch.allclose(a.intrinsics, b.intrinsics) for a, b in zip(cameras(), back, strict=True))
    assert to_cameras(cameras()[0]).R.shape == (1, 3, 3)


def test_cameras_in_ndc_come_over_with_a_size():
    numbers = camera_numbers(cameras()[1:])
    half = numbers.image_sizes.amin(1, keepdim=True) / 2
    principal = (numbers.image_sizes.flip(1) / 2 - numbers.principal_points) / half
    theirs = SimpleNamespace(
        R=numbers.rotations,
        T=numbers.translations,
        focal_length=(numbers.focal_lengths / half)[:, 0],
        principal_point=principal,
        in_ndc=lambda: True,
    )
    with pytest.raises(InputError, match="image_size"):
        from_cameras(theirs)
    (back,) = from_cameras(theirs, (300, 100))
    assert torch.allclose(back.intrinsics, cameras()[1].intrinsics, rtol=1e-5)
    with pytest.raises(InputError, match="PerspectiveCameras"):
        from_cameras(SimpleNamespace(R=numbers.rotations, T=numbers.translations))


def test_meshes_have_coded_colours_where_all_have_some(stand_in):
    mesh = TriangleMesh(POINTS, torch.tensor([[0, 1, 2]]))
    coloured = Shape(mesh, torch.tensor([[0.0, 0.5, 1.0]] * 3))
    made = to_meshes([coloured, coloured])
    assert torch.allclose(made.textures.verts_features[0][0], torch.tensor([0.0, 0.7354, 1.0]), atol=1e-3)
    assert len(made.verts) == len(made.faces) == 2
    assert made.faces[0].dtype == torch.int64
    assert to_meshes([coloured, mesh]).textures is None
    assert to_meshes(mesh).textures is None


def test_posed_avatars_are_meshed(stand_in):
    body = small_avatar().training_pose(1)
    made = to_meshes(body, resolution=48)
    assert torch.equal(made.verts[0], body.mesh(48, exact=False).vertices)
    head = to_meshes(small_head().frame(0), resolution=48)
    assert head.textures.verts_features[0].shape == head.verts[0].shape


def test_without_pytorch3d_it_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch3d", None)
    mesh = TriangleMesh(POINTS, torch.tensor([[0, 1, 2]]))
    for convert in (lambda: to_meshes(mesh), lambda: to_cameras(cameras())):
        with pytest.raises(InputError, match=r"pip install .*\.\[pytorch3d\]"):
            convert()


def test_the_real_thing():
    renderer = pytest.importorskip("pytorch3d.renderer", reason="PyTorch3D is not installed: no wheel on PyPI")
    theirs = to_cameras(cameras())
    for place, camera in enumerate(cameras()):
        seen = theirs[place].transform_points_screen(POINTS)[..., :2].reshape(-1, 2)
        assert torch.allclose(seen, camera.project(POINTS)[0], atol=1e-2)
    mesh = to_meshes(Shape(TriangleMesh(POINTS, torch.tensor([[0, 1, 2]])), torch.ones(3, 3)))
    assert isinstance(mesh.textures, renderer.TexturesVertex)
    back = from_cameras(theirs)
    assert all(torch.allclose(a.camera_from_world, b.camera_from_world) for a, b in zip(cameras(), back, strict=True))
