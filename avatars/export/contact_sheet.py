"""A contact sheet of people: each in some poses and seen from some sides, all of a row in one scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from avatars.export.progress import counted
from body_models import Body, InputError, Motion
from data_prep._actions import KeyPose, Limbs, joint_rotations
from data_prep.pictures import frame_camera, render_surface, tile
from data_prep.surface import Surface

Picture = UInt8[np.ndarray, "_ _ 3"]

COLUMNS = 8
"""People in a row of the sheet; more go below."""
MOST_SHOWN = 24
"""People on a sheet."""
ELEVATION = math.radians(6)
_OUT = Limbs((0.6, -1.0, 0.05), 12.0, (0.1, -1.0, 0.0), 4.0)
_STRIDE = KeyPose(
    Limbs((0.3, -1.0, -0.3), 20.0, (0.1, -1.0, 0.35), 8.0), Limbs((0.3, -1.0, 0.35), 35.0, (0.1, -1.0, -0.25), 25.0)
)
_REACH = KeyPose(
    Limbs((0.6, 0.9, 0.15), 25.0, (0.2, -1.0, 0.1), 8.0), Limbs((0.8, -0.5, 0.2), 60.0, (0.3, -1.0, -0.05), 6.0),
    (0.0, 15.0, 6.0),
)  # fmt: skip
_SHOWN = ((KeyPose(_OUT, _OUT), 0.0, "shaded"), (_STRIDE, 40.0, "shaded"), (_REACH, 155.0, "shaded"))
_DETAILS = (KeyPose(_OUT, _OUT), 0.0, "normal")


@dataclass(frozen=True)
class SheetPose:
    """One row of the sheet: a pose and the side from which it is seen."""

    rotations: Float[Tensor, "bone 3"]
    azimuth: float = 0.0
    """0 sees the front, 90 the left side (degrees)."""
    style: str = "shaded"
    """"shaded", or "normal": surface normals as colours, in which wrinkles show best."""


@dataclass(frozen=True)
class SheetPerson:
    """A person as a sheet shows them: standing on y = 0 above the origin in each pose (metres)."""

    posed: Float[Tensor, "pose vertex 3"]
    faces: Int[Tensor, "face 3"]
    label: str = ""


def sheet_poses(body: Body, motion: Motion | None = None) -> tuple[SheetPose, ...]:
    """Three poses for a sheet of people like this one, and the first again as normals.

    The poses are three frames of a motion on the body's skeleton, or standing, striding and reaching. Raises
    InputError for a motion of another skeleton.
    """
    if motion is not None:
        if motion.skeleton != body.skeleton:
            raise InputError(f"Motion '{motion.name}' is of another skeleton; bring it over by body_models.retarget.")
        frames = np.linspace(0, len(motion) - 1, 5).round().astype(int)[1:4]
        shown = [SheetPose(motion.rotations[frame]) for frame in frames.tolist()]
        return (*shown, SheetPose(shown[0].rotations, style="normal"))
    return tuple(SheetPose(_rotations(pose, body), azimuth, style) for pose, azimuth, style in (*_SHOWN, _DETAILS))


def sheet_person(body: Body, poses: Sequence[SheetPose], label: str = "") -> SheetPerson:
    """A person in the poses of a sheet."""
    posed = [_on_floor(body, pose.rotations.to(body.vertices)) for pose in poses]
    return SheetPerson(torch.stack(posed).cpu(), body.faces.cpu(), label)


def people_sheet(
    people: Sequence[SheetPerson], poses: Sequence[SheetPose], size: int = 320, quiet: bool = True
) -> Picture:
    """Pictures of people in columns, a row a pose, each with its label below the last one; `size` pixels high.

    All people of a row stand on one floor before one camera, so that their heights compare. Raises InputError without
    people or poses.
    """
    if not people or not poses:
        raise InputError(f"A sheet of {len(people)} people in {len(poses)} poses is empty; give one or more of each.")
    width, columns = round(size * 0.7), min(COLUMNS, len(people))
    blank = np.full((size, width, 3), 255, np.uint8)
    rows: list[Picture] = []
    steps = [(start, number) for start in range(0, len(people), columns) for number in range(len(poses))]
    for start, number in counted(steps, len(steps), "Drawing", quiet):
        some = people[start : start + columns]
        missing = columns - len(some)
        pictures = [*people_row(some, poses, number, width, size), *[blank] * missing]
        labels = [*(person.label for person in some), *[""] * missing]
        rows.append(tile(pictures, columns, labels if number == len(poses) - 1 else None))
    return np.concatenate(rows)


def people_row(
    people: Sequence[SheetPerson], poses: Sequence[SheetPose], number: int, width: int, height: int
) -> list[Picture]:
    """A picture of each person in one of the poses, before the same camera."""
    pose, posed = poses[number], [person.posed[number] for person in people]
    corners = torch.cat([torch.stack([vertices.amin(0), vertices.amax(0)]) for vertices in posed])
    lower, upper = corners.amin(0), corners.amax(0)
    camera = frame_camera(lower, upper, math.radians(pose.azimuth), ELEVATION, width, height, margin=1.03)
    ground, pictures = pose.style == "shaded", []
    for vertices, person in zip(posed, people, strict=True):
        surface = Surface(vertices, person.faces)
        picture = render_surface(surface, camera, style=pose.style, supersampling=2, ground=ground)
        pictures.append(picture.to_uint8())
    return pictures


def _rotations(pose: KeyPose, body: Body) -> Float[Tensor, "bone 3"]:
    return joint_rotations(torch.from_numpy(pose.numbers()).float(), body.to("cpu")).to(body.joints)


def _on_floor(body: Body, rotations: Float[Tensor, "bone 3"]) -> Float[Tensor, "vertex 3"]:
    """The posed surface with its lowest point at y = 0 and the pelvis above the origin."""
    vertices = body.pose_vertices(rotations, rotations.new_zeros(3))
    pelvis = body.joints[0]  # the root joint stays where it is at rest
    return vertices - torch.stack([pelvis[0], vertices[:, 1].amin(), pelvis[2]])
