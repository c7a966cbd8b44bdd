"""One posed mesh of an avatar to a file."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.export.motions import motion_for
from avatars.meshing import TriangleMesh, write_mesh
from avatars.meshing.files import SUFFIXES
from avatars.models.avatar import Avatar, PosedAvatar
from body_models import InputError, Motion
from data_prep.surface import Surface


def export(
    avatar: Avatar,
    path: Path | str,
    pose: int | Float[Tensor, "bone 3"] | None = None,
    motion: Motion | Path | str | None = None,
    frame: int = 0,
    resolution: int = 256,
    exact: bool = True,
) -> Path:
    """Write the avatar in one pose as PLY, OBJ, GLB or STL, by the name's ending (metres, Y up).

    The pose is a training pose by its number, joint angles (radians), or a frame of a motion; without any of them it is
    the canonical pose. `exact` finds the posed surface by root finding at `resolution` cells along the longest side;
    otherwise the canonical mesh is skinned, which is faster. Raises InputError for another ending, a number or frame
    that does not exist, or a place that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"Cannot write a mesh as '{path.name}'; end the name in {', '.join(SUFFIXES)}.")
    if not 16 <= resolution <= 1024:
        raise InputError(f"A resolution of {resolution} is not in 16 to 1024; 256 is usual.")
    if pose is not None and motion is not None:
        raise InputError("Give either a pose or a motion, not both.")
    mesh = _mesh(avatar, pose, motion, frame, resolution, exact)
    normals = None if path.suffix.lower() == ".stl" else Surface(mesh.vertices, mesh.faces).vertex_normals
    return write_mesh(mesh, path, normals)


def _mesh(
    avatar: Avatar,
    pose: int | Float[Tensor, "bone 3"] | None,
    motion: Motion | Path | str | None,
    frame: int,
    resolution: int,
    exact: bool,
) -> TriangleMesh:
    if motion is not None:
        return _frame(avatar, motion, frame).mesh(resolution, exact)
    if pose is None:
        body = avatar.body(resolution)
        return TriangleMesh(body.canonical(), body.faces)
    posed = avatar.training_pose(pose) if isinstance(pose, int) else avatar.pose(torch.as_tensor(pose))
    return posed.mesh(resolution, exact)


def _frame(avatar: Avatar, motion: Motion | Path | str, frame: int) -> PosedAvatar:
    clip = motion_for(avatar, motion)
    if not 0 <= frame < len(clip):
        raise InputError(f"No frame {frame}: motion '{clip.name}' has {len(clip)}, counted from 0.")
    return avatar.pose(clip.rotations[frame], clip.translations[frame])
