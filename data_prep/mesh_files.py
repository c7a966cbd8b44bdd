"""Read mesh files of every supported format into plain triangle meshes, whatever state they are in."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float, Int

from body_models.errors import InputError
from data_prep.gltf_skin import read_posed_meshes

GLTF_SUFFIXES = (".glb", ".gltf")
MESH_SUFFIXES = (".obj", ".ply", ".stl", ".off", *GLTF_SUFFIXES)
FOREIGN_SUFFIXES = (".fbx", ".dae", ".usd", ".usda", ".usdc", ".usdz", ".3ds", ".blend", ".abc", ".vrm", ".wrl", ".x3d")
"""Mesh formats that are known but not read: worth a word to the user instead of silence."""
SUPPORTED = "OBJ, PLY, STL, OFF, GLB or glTF"
MAX_BYTES = 2 * 1024**3
MAX_FACES = 20_000_000


@dataclass(frozen=True)
class RawMesh:
    """Triangles as a file holds them: any unit, any up axis, perhaps damaged."""

    name: str
    vertices: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]


def read_meshes(path: Path | str, frames: int = 10) -> list[RawMesh]:
    """Read one mesh file; an animated skinned GLB gives `frames` meshes, every other file one.

    All geometry of a file is merged, scene transforms applied, skins evaluated. Units and axes stay the file's.
    Raises InputError, naming the file, for anything that cannot be read.
    """
    path = Path(path)
    _check_readable(path, frames)
    try:
        if path.suffix.lower() in GLTF_SUFFIXES:
            posed = [(mesh.vertices, mesh.faces) for mesh in read_posed_meshes(path, frames)]
        else:
            posed = [_read_by_trimesh(path)]
    except InputError:
        raise
    except Exception as error:  # foreign parsers fail in any way on damaged bytes; a user needs the file's name
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{path.name}: damaged, cut short or not a {path.suffix} file ({reason})") from error
    names = [path.stem] if len(posed) == 1 else [f"{path.stem}_frame_{index:02d}" for index in range(len(posed))]
    return [_checked(path, name, vertices, faces) for name, (vertices, faces) in zip(names, posed, strict=True)]


def _check_readable(path: Path, frames: int) -> None:
    if frames < 1:
        raise InputError(f"frames must be 1 or more, not {frames}")
    if not path.is_file():
        raise InputError(f"no file at {path}; check the path")
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise InputError(f"{path.name}: format {path.suffix or 'unknown'} is not read; export it as {SUPPORTED}")
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path.name}: the file is empty")
    if size > MAX_BYTES:
        raise InputError(f"{path.name}: {size / 1024**3:.1f} GiB; decimate the scan below 2 GiB first")


def _read_by_trimesh(path: Path) -> tuple[Float[np.ndarray, "vertex 3"], Int[np.ndarray, "face 3"]]:
    """Geometry only: materials are skipped, so a missing texture beside the mesh does no harm."""
    scene = trimesh.load_scene(path, process=False, skip_materials=True)
    surfaces = [surface for surface in scene.dump() if isinstance(surface, trimesh.Trimesh)]
    offsets = np.cumsum([0, *(len(surface.vertices) for surface in surfaces)])
    vertices = [np.zeros((0, 3)), *(np.asarray(surface.vertices, np.float64) for surface in surfaces)]
    faces = [np.asarray(surface.faces, np.int64) + offset for surface, offset in zip(surfaces, offsets, strict=False)]
    return np.concatenate(vertices), np.concatenate([np.zeros((0, 3), np.int64), *faces])


def _checked(
    path: Path, name: str, vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> RawMesh:
    if len(faces) == 0:
        raise InputError(
            f"{path.name}: no triangles: cut short, a point cloud or no mesh at all; export the surface again"
        )
    if len(faces) > MAX_FACES:
        raise InputError(f"{path.name}: {len(faces):,} triangles; decimate the scan below {MAX_FACES:,} first")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"{path.name}: damaged or cut short: its faces name vertices that are not there")
    if _is_cut_short(path, vertex_count=len(vertices), face_count=len(faces)):
        raise InputError(f"{path.name}: cut short: it holds less than its header promises; copy or export it again")
    return RawMesh(name=name, vertices=vertices, faces=faces)


def _is_cut_short(path: Path, *, vertex_count: int, face_count: int) -> bool:
    """Whether a file ends before its own counts say so, where its parser went on with what was there."""
    suffix, head = path.suffix.lower(), path.open("rb").read(65536)
    if suffix == ".glb":
        return path.stat().st_size < int.from_bytes(head[8:12], "little")
    if suffix == ".ply":
        promised = re.search(rb"element face (\d+)", head)
        return promised is not None and face_count < int(promised[1])
    if suffix == ".off":
        promised = re.match(rb"[A-Z]*OFF(?:\s*#.*\n|\s)*\d+\s+(\d+)", head)
        return promised is not None and face_count < int(promised[1])
    if suffix == ".obj":  # no counts: broken off in the middle of a line, with many points in no face
        text = path.read_bytes()
        return not text.endswith((b"\n", b"\r")) and vertex_count < 0.9 * text.count(b"\nv ")
    return False
