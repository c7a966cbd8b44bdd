"""Read mesh files of every supported format into plain triangle meshes, whatever state they are in."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float, Int

from body_models.errors import InputError
from body_models.gltf import Document
from data_prep.gltf_paint import GltfPaints
from data_prep.gltf_skin import posed_meshes
from data_prep.mesh_paint import painted_surfaces
from data_prep.paint import PaintedPart, PaintedPoints, draw_paint, most_samples

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
    colours: PaintedPoints | None = None
    """Drawn on the surface, in the same frame; None without colours, or where they were not asked for."""
    notes: tuple[str, ...] = ()
    """What is missing of the colours."""


@dataclass(frozen=True)
class _Read:
    """One mesh of a file, and what colours it."""

    vertices: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    parts: list[PaintedPart]


def read_meshes(path: Path | str, frames: int = 10, colours: int = 0) -> list[RawMesh]:
    """Read one mesh file; an animated skinned GLB gives `frames` meshes, every other file one.

    All geometry of a file is merged, scene transforms applied, skins evaluated. Units and axes stay the file's.
    `colours` is how many points to draw with the colours of vertices, faces or textures, over all meshes of the file;
    what cannot be had of them is noted.
    Raises InputError, naming the file, for anything that cannot be read.
    """
    path = Path(path)
    _check_readable(path, frames)
    notes: list[str] = []
    try:
        gltf = path.suffix.lower() in GLTF_SUFFIXES
        read = _read_gltf(path, frames, colours > 0, notes) if gltf else [_read_by_trimesh(path, colours > 0, notes)]
    except InputError:
        raise
    except Exception as error:  # foreign parsers fail in any way on damaged bytes; a user needs the file's name
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{path.name}: damaged, cut short or not a {path.suffix} file ({reason})") from error
    names = [path.stem] if len(read) == 1 else [f"{path.stem}_frame_{index:02d}" for index in range(len(read))]
    meshes = []
    for number, (name, one) in enumerate(zip(names, read, strict=True)):
        mesh = _checked(path, name, one.vertices, one.faces)
        count = min(-(-colours // len(read)), most_samples(one.parts))
        drawn = draw_paint(one.parts, count, np.random.default_rng(number)) if one.parts else None
        meshes.append(replace(mesh, colours=drawn, notes=tuple(dict.fromkeys(notes))))
    return meshes


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


def _read_gltf(path: Path, frames: int, colours: bool, notes: list[str]) -> list[_Read]:
    document = Document(path)
    meshes = posed_meshes(document, frames)
    if not colours:
        return [_Read(mesh.vertices, mesh.faces, []) for mesh in meshes]
    paints = GltfPaints(document, path)
    read = [_Read(mesh.vertices, mesh.faces, paints.parts(mesh)) for mesh in meshes]
    notes.extend(paints.notes)
    return read


def _read_by_trimesh(path: Path, colours: bool, notes: list[str]) -> _Read:
    """Geometry without materials, so that a missing texture does it no harm; then, if asked for, the colours."""
    scene = trimesh.load_scene(path, process=False, skip_materials=True)
    surfaces = [surface for surface in scene.dump() if isinstance(surface, trimesh.Trimesh)]
    offsets = np.cumsum([0, *(len(surface.vertices) for surface in surfaces)])
    vertices = [np.zeros((0, 3)), *(np.asarray(surface.vertices, np.float64) for surface in surfaces)]
    faces = [np.asarray(surface.faces, np.int64) + offset for surface, offset in zip(surfaces, offsets, strict=False)]
    joined = np.concatenate(vertices), np.concatenate([np.zeros((0, 3), np.int64), *faces])
    return _Read(*joined, _colours_by_trimesh(path, surfaces, notes) if colours else [])


def _colours_by_trimesh(path: Path, surfaces: list[trimesh.Trimesh], notes: list[str]) -> list[PaintedPart]:
    try:
        return painted_surfaces(path, surfaces, notes)
    except Exception as error:  # foreign parsers again; a scan without its colours is still a scan
        notes.append(f"its colours cannot be read ({' '.join(str(error).split())[:80] or type(error).__name__})")
        return []


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
