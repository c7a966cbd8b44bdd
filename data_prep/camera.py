"""Pinhole camera in the OpenCV convention: x right, y down, z forward, pixel centres at +0.5."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError


@dataclass(frozen=True)
class Camera:
    """Where a picture was or will be taken: intrinsics in pixels, extrinsics in metres."""

    intrinsics: Float[Tensor, "3 3"]
    camera_from_world: Float[Tensor, "4 4"]
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise InputError(f"A picture of {self.width} x {self.height} pixels is empty; give both sides 1 or more.")
        for name, matrix in (("intrinsics", self.intrinsics), ("camera_from_world", self.camera_from_world)):
            if not bool(matrix.isfinite().all()) or float(torch.linalg.det(matrix.double()).abs()) < 1e-12:
                raise InputError(f"Camera {name} cannot be inverted: {matrix.tolist()}; check the calibration.")

    @property
    def center(self) -> Float[Tensor, "3"]:
        """The pinhole in world space (metres)."""
        rotation, translation = self.camera_from_world[:3, :3], self.camera_from_world[:3, 3]
        return -(rotation.T @ translation)

    def rays(self) -> tuple[Float[Tensor, "height width 3"], Float[Tensor, "height width 3"]]:
        """World-space origin and unit direction of the ray through the centre of each pixel."""
        device, dtype = self.intrinsics.device, self.intrinsics.dtype
        rows = torch.arange(self.height, device=device, dtype=dtype) + 0.5
        columns = torch.arange(self.width, device=device, dtype=dtype) + 0.5
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        pixels = torch.stack([x, y, torch.ones_like(x)], dim=-1)
        world_from_pixel = self.camera_from_world[:3, :3].T @ torch.linalg.inv(self.intrinsics)
        directions = torch.nn.functional.normalize(pixels @ world_from_pixel.T, dim=-1)
        return self.center.expand_as(directions), directions

    def project(self, points: Float[Tensor, "*batch 3"]) -> tuple[Float[Tensor, "*batch 2"], Float[Tensor, "*batch"]]:
        """Pixel coordinates and depth along z (metres) of world points; a depth <= 0 lies behind the camera."""
        in_camera = points @ self.camera_from_world[:3, :3].T + self.camera_from_world[:3, 3]
        homogeneous = in_camera @ self.intrinsics.T
        return homogeneous[..., :2] / homogeneous[..., 2:], in_camera[..., 2]

    def resized(self, width: int, height: int) -> "Camera":
        """The same view with another number of pixels."""
        scale = torch.tensor([[width / self.width], [height / self.height], [1.0]]).to(self.intrinsics)
        return Camera(self.intrinsics * scale, self.camera_from_world, width, height)

    def to(self, device: torch.device | str) -> "Camera":
        """The same camera with its matrices on another device."""
        return Camera(self.intrinsics.to(device), self.camera_from_world.to(device), self.width, self.height)


def look_at(
    eye: Float[Tensor, "3"],
    target: Float[Tensor, "3"],
    up: Float[Tensor, "3"],
    fov_y_degrees: float,
    width: int,
    height: int,
) -> Camera:
    """Camera at `eye` with `target` in the middle of the picture and `up` towards its top (world space, metres).

    Raises InputError when the eye is on the target, the view runs along `up`, or the angle is not in (0, 180).
    """
    if not 0 < fov_y_degrees < 180:
        raise InputError(f"A vertical field of view of {fov_y_degrees} degrees is impossible; use 10 to 90.")
    forward, right = target - eye, torch.linalg.cross(target - eye, up)
    if float(right.norm()) <= 1e-6 * float(forward.norm() * up.norm()):
        raise InputError(
            f"Cannot look from {eye.tolist()} at {target.tolist()} with up {up.tolist()}: "
            "choose different points, and an up that is not along the view."
        )
    forward, right = forward / forward.norm(), right / right.norm()
    rotation = torch.stack([right, torch.linalg.cross(forward, right), forward])
    camera_from_world = torch.eye(4).to(rotation)
    camera_from_world[:3, :3], camera_from_world[:3, 3] = rotation, -rotation @ eye
    focal = height / (2 * math.tan(math.radians(fov_y_degrees) / 2))
    intrinsics = torch.tensor([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]]).to(rotation)
    return Camera(intrinsics, camera_from_world, width, height)
