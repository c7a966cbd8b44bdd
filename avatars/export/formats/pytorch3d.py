"""Meshes and cameras as PyTorch3D takes them, for who has it: `pip install .[pytorch3d]`.

PyTorch3D looks along +z with x to the left and y upwards and multiplies rows, `X_camera = X_world @ R + T`; its cameras
of pixels (`in_ndc=False`) have focal lengths and principal points as OpenCV's, from the picture's upper left corner.
Pixel centres lie at +0.5 in both. NDC cameras count in halves of the picture's shorter side from its middle, x to the
left and y upwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.export.shapes import Shape, shape_of
from avatars.meshing import TriangleMesh
from avatars.models.avatar import Avatar, PosedAvatar
from avatars.models.head_avatar import HeadAvatar, PosedHead
from body_models import InputError
from data_prep.camera import Camera
from data_prep.pictures.mesh import linear_to_srgb

if TYPE_CHECKING:
    from pytorch3d.renderer import PerspectiveCameras
    from pytorch3d.structures import Meshes

AXES = (-1.0, -1.0, 1.0)
"""OpenCV's x right and y down, turned into x left and y up, or back."""
MISSING = (
    "PyTorch3D is not installed. Type `pip install '.[pytorch3d]'`; where that finds no wheel for your Python and "
    "torch, build it with a compiler (and CUDA's, for its GPU rasteriser), which takes some minutes: `pip install "
    "--no-build-isolation git+https://github.com/facebookresearch/pytorch3d.git`. Nothing else here needs it: `avatars "
    "render` makes pictures without."
)

Meshable = TriangleMesh | Shape | PosedAvatar | PosedHead


@dataclass(frozen=True)
class CameraNumbers:
    """Cameras in PyTorch3D's convention, `in_ndc=False`."""

    rotations: Float[Tensor, "camera 3 3"]
    """R: multiplied from the right of rows."""
    translations: Float[Tensor, "camera 3"]
    """T (metres)."""
    focal_lengths: Float[Tensor, "camera 2"]
    """Pixels, x and y."""
    principal_points: Float[Tensor, "camera 2"]
    """Pixels, x and y."""
    image_sizes: Float[Tensor, "camera 2"]
    """Pixels, height first."""


def to_meshes(shapes: Meshable | Sequence[Meshable], resolution: int = 192, exact: bool = False) -> "Meshes":
    """A batch of meshes (metres, Y up), with sRGB-coded colours at the vertices where all have colours.

    Posed avatars are meshed at `resolution`, by skinning or, for bodies, `exact`. Raises InputError where PyTorch3D is
    not installed, or for no meshes.
    """
    if isinstance(shapes, Avatar | HeadAvatar):
        raise InputError("An avatar has a mesh in a pose only: to_meshes(avatar.pose(...)), or several of these.")
    several = [shapes] if isinstance(shapes, TriangleMesh | Shape | PosedAvatar | PosedHead) else list(shapes)
    if not several:
        raise InputError("There are no meshes to convert; give one or more.")
    structures, renderer = _import("structures"), _import("renderer")
    ready = [_shape(shape, resolution, exact) for shape in several]
    colours = [linear_to_srgb(shape.colours.clamp(0, 1)) for shape in ready if shape.colours is not None]
    textures = renderer.TexturesVertex(verts_features=colours) if len(colours) == len(ready) else None
    meshes: Meshes = structures.Meshes(
        verts=[shape.mesh.vertices.float() for shape in ready],
        faces=[shape.mesh.faces.long() for shape in ready],
        textures=textures,
    )
    return meshes


def to_cameras(cameras: Camera | Sequence[Camera]) -> "PerspectiveCameras":
    """A batch of cameras of pixels (`in_ndc=False`).

    Raises InputError where PyTorch3D is not installed, for no cameras, and for skewed pixels.
    """
    several = [cameras] if isinstance(cameras, Camera) else list(cameras)
    numbers = camera_numbers(several)
    made: PerspectiveCameras = _import("renderer").PerspectiveCameras(
        R=numbers.rotations,
        T=numbers.translations,
        focal_length=numbers.focal_lengths,
        principal_point=numbers.principal_points,
        image_size=numbers.image_sizes,
        in_ndc=False,
        device=numbers.rotations.device,
    )
    return made


def from_cameras(cameras: "PerspectiveCameras", image_size: tuple[int, int] | None = None) -> list[Camera]:
    """Ours of perspective cameras, of pixels or NDC; `image_size` is height and width where they have none themselves.

    Raises InputError for cameras of another kind, and where no size is told.
    """
    for name in ("R", "T", "focal_length", "principal_point", "in_ndc"):
        if not hasattr(cameras, name):
            raise InputError(
                f"{type(cameras).__name__} has no {name}: only PerspectiveCameras can be converted. Make these of it."
            )
    count = len(cameras.R)
    sizes = _sizes(getattr(cameras, "image_size", None), image_size, count).to(cameras.R)
    focal, principal = (_pairs(value, count).to(cameras.R) for value in (cameras.focal_length, cameras.principal_point))
    if cameras.in_ndc():
        focal, principal = pixels_from_ndc(focal, principal, sizes)
    return cameras_of_numbers(CameraNumbers(cameras.R, cameras.T, focal, principal, sizes))


def camera_numbers(cameras: Sequence[Camera]) -> CameraNumbers:
    """What PyTorch3D is told of cameras; raises InputError for none, or skewed pixels, which it has no number for."""
    if not cameras:
        raise InputError("There are no cameras to convert; give one or more.")
    intrinsics = torch.stack([camera.intrinsics.float() for camera in cameras])
    camera_from_world = torch.stack([camera.camera_from_world.float() for camera in cameras])
    if float(intrinsics[:, 0, 1].abs().max()) > 0:
        raise InputError("A camera's pixels are skewed, which PyTorch3D has no number for; give one that is not.")
    axes = camera_from_world.new_tensor(AXES)
    return CameraNumbers(
        (axes[:, None] * camera_from_world[:, :3, :3]).mT.contiguous(),
        axes * camera_from_world[:, :3, 3],
        intrinsics[:, [0, 1], [0, 1]],
        intrinsics[:, :2, 2],
        intrinsics.new_tensor([[camera.height, camera.width] for camera in cameras]),
    )


def cameras_of_numbers(numbers: CameraNumbers) -> list[Camera]:
    """The cameras of which these are the numbers."""
    axes = numbers.rotations.new_tensor(AXES)
    cameras = []
    for place in range(len(numbers.rotations)):
        camera_from_world = torch.eye(4).to(numbers.rotations)
        camera_from_world[:3, :3] = axes[:, None] * numbers.rotations[place].T
        camera_from_world[:3, 3] = axes * numbers.translations[place]
        intrinsics = torch.eye(3).to(numbers.rotations)
        intrinsics[[0, 1], [0, 1]] = numbers.focal_lengths[place]
        intrinsics[:2, 2] = numbers.principal_points[place]
        height, width = (int(side) for side in numbers.image_sizes[place].tolist())
        cameras.append(Camera(intrinsics, camera_from_world, width, height))
    return cameras


def pixels_from_ndc(
    focal: Float[Tensor, "camera 2"], principal: Float[Tensor, "camera 2"], sizes: Float[Tensor, "camera 2"]
) -> tuple[Float[Tensor, "camera 2"], Float[Tensor, "camera 2"]]:
    """Focal lengths and principal points in pixels of those in NDC; sizes have the height first."""
    half = sizes.amin(1, keepdim=True) / 2
    return focal * half, sizes.flip(1) / 2 - principal * half


def _import(module: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"pytorch3d.{module}")
    except ImportError as error:
        raise InputError(MISSING) from error


def _shape(shape: Meshable, resolution: int, exact: bool) -> Shape:
    if isinstance(shape, Shape):
        return shape
    return Shape(shape, None) if isinstance(shape, TriangleMesh) else shape_of(shape, resolution, exact)


def _sizes(own: Any, given: tuple[int, int] | None, count: int) -> Tensor:
    if given is not None:
        return torch.tensor([given] * count, dtype=torch.float32)
    if own is None:
        raise InputError("These cameras tell no image_size; give one: from_cameras(cameras, (height, width)).")
    return torch.as_tensor(own, dtype=torch.float32).expand(count, 2)


def _pairs(value: Any, count: int) -> Tensor:
    """Numbers for x and y of each camera, of one or two for each or for all."""
    tensor = torch.as_tensor(value, dtype=torch.float32)
    if tensor.ndim < 2:
        tensor = tensor.reshape(-1, 1)
    return tensor.expand(count, 2)
