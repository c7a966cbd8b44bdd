"""Avatars to files: rigged, as a mesh in one pose, or as a mesh for every frame of a motion."""

from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from avatars.export.coloured_meshes import check_mesh_path, write_coloured_mesh
from avatars.export.driving.motions import motion_on
from avatars.export.progress import counted
from avatars.export.rig.options import RigOptions
from avatars.export.rigged import RIGGED_SUFFIXES, export_rig
from avatars.export.shapes import CANONICAL, canonical_shape, pose_given, pose_of_clip, pose_of_motion, shape_of
from avatars.meshing.files import SUFFIXES
from avatars.models.avatar import Avatar
from avatars.models.head_avatar import HeadAvatar
from body_models import InputError, Motion
from data_prep.atomic import replacing


def export(
    avatar: Avatar | HeadAvatar,
    path: Path | str,
    pose: int | str | Float[Tensor, "bone 3"] | None = None,
    motion: Motion | Path | str | Sequence[Motion | Path | str] | None = None,
    frame: int | None = None,
    resolution: int | None = None,
    exact: bool = True,
    rig: str = "model",
    options: RigOptions | None = None,
) -> Path:
    """Write the avatar to a file (metres, Y up): rigged and animated, or as a mesh in one pose.

    A .glb, .vrm, .usdz or .fbx without a `pose` or `frame` is rigged, with a clip for each motion; `rig` and `options`
    are those of `export_rig`. Else a mesh is written as PLY, OBJ, GLB or STL: in a training pose (of a head: a frame of
    its video) by its number, in joint angles (radians), in a frame of a motion, the first if none is given, or in the
    "canonical" pose, which is also the one without any of them. `exact` finds a body's posed surface by root finding at
    `resolution` cells (256) along the longest side; otherwise, and for heads, the canonical mesh is skinned, which is
    faster. Raises InputError for another ending, a number or frame that does not exist, or a place that cannot be
    written.
    """
    clips = _several(motion)
    if Path(path).suffix.lower() in RIGGED_SUFFIXES and pose is None and frame is None:
        return export_rig(avatar, path, clips, options or RigOptions(resolution=resolution), rig)
    path, resolution = check_mesh_path(path), 256 if resolution is None else resolution
    check_resolution(resolution)
    if pose is not None and clips:
        raise InputError("Give either a pose or a motion, not both.")
    if len(clips) > 1:
        raise InputError("Several motions go into a rigged file (.glb, .usdz, .fbx); a mesh is one frame of one.")
    if not clips and (pose is None or (isinstance(pose, str) and pose == CANONICAL)):
        shape = canonical_shape(avatar, resolution)
    else:
        posed = pose_of_motion(avatar, clips[0], frame or 0) if pose is None else pose_given(avatar, pose)
        shape = shape_of(posed, resolution, exact)
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
    check_resolution(resolution)
    if folder.is_file() or (folder.is_dir() and not _holds_only_meshes(folder)):
        raise InputError(f"{folder} is a file or holds other files, which would be lost; name a new folder.")
    clip = motion_on(avatar, motion)
    with replacing(folder) as temporary:
        temporary.mkdir()
        for number in counted(range(len(clip)), len(clip), "Meshing", quiet):
            shape = shape_of(pose_of_clip(avatar, clip, number), resolution, exact)
            write_coloured_mesh(shape.mesh, shape.colours, temporary / f"frame_{number:05d}{suffix}")
    return folder


def _several(motion: Motion | Path | str | Sequence[Motion | Path | str] | None) -> list[Motion | Path | str]:
    if motion is None:
        return []
    return [motion] if isinstance(motion, Motion | Path | str) else list(motion)


def check_resolution(resolution: int) -> None:
    """Raise InputError for a resolution that no mesh is made at."""
    if not 16 <= resolution <= 1024:
        raise InputError(f"A resolution of {resolution} is not in 16 to 1024; 256 is usual.")


def _holds_only_meshes(folder: Path) -> bool:
    return all(file.name.startswith("frame_") and file.suffix.lower() in SUFFIXES for file in folder.iterdir())
