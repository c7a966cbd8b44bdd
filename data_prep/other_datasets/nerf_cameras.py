"""Cameras as NeRF's `transforms.json` has them, in fields of an entry.

transform_matrix              world from camera; the camera looks along -z with x right and y up
fl_x, fl_y or camera_angle_x  focal lengths (pixels), or the horizontal field of view (radians)
cx, cy, w, h                  principal point and size (pixels); by default the middle, and the picture's own size
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.skeleton import invert_rigid
from data_prep.other_datasets.entries import number, numbers, opencv_from_opengl

RIGID = 1e-3
"""A rotation times its transpose may differ by this from the identity."""


def nerf_intrinsics(entry: Mapping[str, Any], size: tuple[int, int], where: str) -> Float[Tensor, "3 3"]:
    """Intrinsics (pixels) for pictures of that width and height, which may differ from what the entry was made for.

    Raises InputError that names `where` and the field.
    """
    width, height = (
        number(entry, key, where) if key in entry else float(side) for key, side in zip("wh", size, strict=True)
    )
    if width <= 0 or height <= 0:
        raise InputError(f"{where}: 'w' and 'h' are {width:g} and {height:g}; export the dataset again.")
    if "fl_x" in entry:
        focal_x = number(entry, "fl_x", where)
    else:
        angle = number(entry, "camera_angle_x", where)
        if not 0 < angle < math.pi:
            raise InputError(f"{where}: 'camera_angle_x' is {angle:g}; it is an angle in radians, such as 0.7.")
        focal_x = width / 2 / math.tan(angle / 2)
    focal_y = number(entry, "fl_y", where) if "fl_y" in entry else focal_x
    if not (focal_x > 0 and focal_y > 0):
        raise InputError(f"{where}: the focal lengths are {focal_x:g} and {focal_y:g}; they must be above 0.")
    x, y = size[0] / width, size[1] / height
    center_x = number(entry, "cx", where) if "cx" in entry else width / 2
    center_y = number(entry, "cy", where) if "cy" in entry else height / 2
    return torch.tensor(
        [[focal_x * x, 0, center_x * x], [0, focal_y * y, center_y * y], [0, 0, 1]], dtype=torch.float64
    )


def nerf_extrinsics(entry: Mapping[str, Any], where: str) -> Float[Tensor, "4 4"]:
    """Camera from world in OpenCV's axes; raises InputError for a matrix that is no rigid motion."""
    world_from_camera = numbers(entry, "transform_matrix", (4, 4), where)
    turn, last = world_from_camera[:3, :3], world_from_camera[3]
    bent = float((turn @ turn.T - torch.eye(3, dtype=turn.dtype)).abs().max()) > RIGID or float(torch.det(turn)) < 0
    if bent or last.tolist() != [0.0, 0.0, 0.0, 1.0]:
        raise InputError(f"{where}: 'transform_matrix' is no rotation with a shift; export it again, unscaled.")
    return opencv_from_opengl() @ invert_rigid(world_from_camera)


def nerf_transform(camera_from_world: Float[Tensor, "4 4"]) -> list[list[float]]:
    """The `transform_matrix` of a camera in OpenCV's axes."""
    matrix: list[list[float]] = invert_rigid(opencv_from_opengl() @ camera_from_world.double().cpu()).tolist()
    return matrix


def nerf_lens(intrinsics: Float[Tensor, "3 3"], width: int, height: int) -> dict[str, Any]:
    """The fields of intrinsics (pixels); raises InputError for skewed pixels, for which there is no field."""
    matrix = intrinsics.double()
    if float(matrix[0, 1]) != 0:
        raise InputError("This camera's pixels are skewed, which transforms.json has no field for.")
    focal_x, focal_y = float(matrix[0, 0]), float(matrix[1, 1])
    return {
        "cx": float(matrix[0, 2]),
        "cy": float(matrix[1, 2]),
        "fl_x": focal_x,
        "fl_y": focal_y,
        "h": height,
        "w": width,
        "camera_angle_x": 2 * math.atan(width / (2 * focal_x)),
        "camera_angle_y": 2 * math.atan(height / (2 * focal_y)),
    }
