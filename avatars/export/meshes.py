"""Posed meshes of an avatar to files: one pose, or every frame of a motion."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.export.coloured_meshes import check_mesh_path, write_coloured_mesh
from avatars.export.motions import motion_on
from avatars.export.progress import counted
from avatars.export.shapes import Shape, canonical_shape, pose_of_clip, pose_of_motion, shape_of, training_pose
from avatars.meshing.files import SUFFIXES
from avatars.models.avatar import Avatar
from avatars.models.head_avatar import HeadAvatar
from body_models import InputError, Motion
from data_prep.atomic import replacing


def export(
    avatar: Avatar | HeadAvatar,
    path: Path | str,
    pose: int | Float[Tensor, "bone 3"] | None = None,
    motion: Motion | Path | str | None = None,
    frame: int = 0,
    resolution: int = 256,
    exact: bool = True,
) -> Path:
    """Write the avatar in one pose as PLY, OBJ, GLB or STL, by the name's ending (metres, Y up).

    The pose is a training pose (of a head: a frame of its video) by its number, joint angles (radians), or a frame of a
    motion; without any of them it is the canonical pose. `exact` finds a body's posed surface by root finding at
    `resolution` cells along the longest side; otherwise, and for heads, the canonical mesh is skinned, which is faster.
    Heads have colours. Raises InputError for another ending, a number or frame that does not exist, or a place that
    cannot be written.
    """
    path = check_mesh_path(path)
    _check_resolution(resolution)
    if pose is not None and motion is not None:
        raise InputError("Give either a pose or a motion, not both.")
    shape = _shape(avatar, pose, motion, frame, resolution, exact)
    return write_coloured_mesh(shape.mesh, shape.colours, path)


def export_frames(
    avatar: Avatar | HeadAvatar,
    folder: Path | str,
    motion: Motion | Path | str,
    suffix: str = ".ply",
    resolution: int = 160,
    exact: bool = False,
    quiet: bool = False,
) -> Path:
    """Write a mesh for every frame of a motion to a folder, as frame_00000.ply and so on (metres, Y up).

    Skinned meshes have the same triangles in all frames; those of heads have colours. An older folder of such meshes is
    replaced as a whole. Raises InputError for a motion that cannot be used, an unknown ending, a folder with other
    files in it, or a place that cannot be written.
    """
    folder = Path(folder)
    check_mesh_path(f"frame{suffix}")
    _check_resolution(resolution)
    if folder.is_file() or (folder.is_dir() and not _holds_only_meshes(folder)):
        raise InputError(f"{folder} is a file or holds other files, which would be lost; name a new folder.")
    clip = motion_on(avatar, motion)
    with replacing(folder) as temporary:
        temporary.mkdir()
        for number in counted(range(len(clip)), len(clip), "Meshing", quiet):
            shape = shape_of(pose_of_clip(avatar, clip, number), resolution, exact)
            write_coloured_mesh(shape.mesh, shape.colours, temporary / f"frame_{number:05d}{suffix}")
    return folder


def _shape(
    avatar: Avatar | HeadAvatar,
    pose: int | Float[Tensor, "bone 3"] | None,
    motion: Motion | Path | str | None,
    frame: int,
    resolution: int,
    exact: bool,
) -> Shape:
    if motion is not None:
        return shape_of(pose_of_motion(avatar, motion, frame), resolution, exact)
    if pose is None:
        return canonical_shape(avatar, resolution)
    if isinstance(pose, int):
        return shape_of(training_pose(avatar, pose), resolution, exact)
    return shape_of(avatar.pose(pose=torch.as_tensor(pose)), resolution, exact)


def _check_resolution(resolution: int) -> None:
    if not 16 <= resolution <= 1024:
        raise InputError(f"A resolution of {resolution} is not in 16 to 1024; 256 is usual.")


def _holds_only_meshes(folder: Path) -> bool:
    return all(file.name.startswith("frame_") and file.suffix.lower() in SUFFIXES for file in folder.iterdir())
