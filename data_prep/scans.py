"""The door for raw body scans: a folder, a file or a pattern in; clean meshes in metres, Y up, out."""

import glob
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from body_models.errors import InputError
from data_prep.cleaning import clean
from data_prep.mesh_files import FOREIGN_SUFFIXES, GLTF_SUFFIXES, MESH_SUFFIXES, SUPPORTED, RawMesh, read_meshes
from data_prep.paint import PaintedPoints
from data_prep.units import Frame, apply_frame, detect_frame

FEWEST_COLOURS = 20_000
"""Coloured points drawn on one scan, however many scans share them."""


@dataclass(frozen=True)
class Scan:
    """One person in one pose: a clean triangle mesh in metres, Y up, facing anywhere."""

    name: str
    vertices: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    colours: PaintedPoints | None = None
    """Points on its surface with their colours, where it has them."""


@dataclass(frozen=True)
class ScanFolder:
    """All scans that could be used, what was done to them, and what was left out with the reason."""

    scans: list[Scan]
    notes: list[str]
    skipped: list[tuple[str, str]]
    """File or scan name, reason."""


def load_scans(
    source: Path | str, unit: str = "auto", up: str = "auto", frames: int = 10, colours: int = 0
) -> ScanFolder:
    """Read the scans of one person from a folder, one file, or a pattern such as `scans/pose_*.ply`.

    Broken files are skipped and named. Unit and up axis are found once for all scans (see `detect_frame`); glTF
    files beside other formats have a frame of their own, Y up, and `unit` and `up` then speak of the others only.
    An animated GLB gives `frames` poses. `colours` is how many points to draw on all scans together with the colours of
    vertices and textures, where there are any.
    Raises InputError when nothing is left.
    """
    if not str(source).strip():
        raise InputError("No scans named: the path is empty. Give a folder, a file or a pattern of meshes.")
    files, skipped = _find_files(source)
    share = max(colours // max(len(files), 1), FEWEST_COLOURS) if colours > 0 else 0
    meshes: list[tuple[bool, RawMesh]] = []
    changed: dict[str, list[str]] = {}
    for path in files:
        is_gltf = path.suffix.lower() in GLTF_SUFFIXES
        for mesh, changes in _read_clean(path, frames, share, skipped):
            meshes.append((is_gltf, mesh))
            for change in changes:
                changed.setdefault(change, []).append(mesh.name)
    if not meshes:
        raise InputError(_nothing_left(source, skipped))
    notes = [f"{_names(names)}: {change}" for change, names in changed.items()]
    formats = Counter(path.suffix.lower().lstrip(".").upper() for path in files)
    if len(formats) > 1:
        notes.insert(0, "mixed formats: " + ", ".join(f"{count} {name}" for name, count in formats.items()))
    placed, frame_notes = _place(meshes, unit, up)
    return ScanFolder(scans=placed, notes=frame_notes + notes + colour_notes(placed), skipped=skipped)


def colour_notes(scans: list[Scan]) -> list[str]:
    """Which scans have colours, when not all do."""
    plain = [scan.name for scan in scans if scan.colours is None]
    if not plain or len(plain) == len(scans):
        return []
    return [f"{len(scans) - len(plain)} of {len(scans)} scans have colours; {_names(plain)}: shape only"]


def _find_files(source: Path | str) -> tuple[list[Path], list[tuple[str, str]]]:
    """Mesh files in natural order (2 before 10), and files in mesh formats that cannot be read."""
    path = Path(source).expanduser()
    if path.is_file():
        return [path], []
    if path.is_dir():
        found = [entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith(".")]
    elif glob.has_magic(str(path)):
        found = [Path(entry) for entry in glob.glob(str(path)) if Path(entry).is_file()]
    else:
        raise InputError(f"no file or folder at {path}; check the path, or give a pattern like 'scans/*.ply'")
    found.sort(key=lambda entry: _natural_key(entry.name))
    foreign = [entry.name for entry in found if entry.suffix.lower() in FOREIGN_SUFFIXES]
    skipped = [(name, f"this format is not read; export it as {SUPPORTED}") for name in foreign]
    return [entry for entry in found if entry.suffix.lower() in MESH_SUFFIXES], skipped


def _natural_key(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name.lower())]


def _read_clean(
    path: Path, frames: int, colours: int, skipped: list[tuple[str, str]]
) -> list[tuple[RawMesh, list[str]]]:
    try:
        raw = read_meshes(path, frames, colours)
    except InputError as error:
        skipped.append((path.name, _without_name(error, path.name)))
        return []
    kept = []
    for mesh in raw:
        try:
            cleaned, changes = clean(mesh)
            kept.append((cleaned, [*changes, *mesh.notes]))
        except InputError as error:
            skipped.append((path.name if len(raw) == 1 else mesh.name, _without_name(error, mesh.name)))
    return kept


def _without_name(error: InputError, name: str) -> str:
    """A reason that can stand behind the name of what was skipped."""
    return str(error).removeprefix(f"{name}: ")


def _names(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _place(meshes: list[tuple[bool, RawMesh]], unit: str, up: str) -> tuple[list[Scan], list[str]]:
    """Bring all to metres, Y up: one frame for the glTF files, whose up axis is set, and one for all others."""
    kinds = sorted({is_gltf for is_gltf, _ in meshes})
    frames: dict[bool, Frame] = {}
    notes: list[str] = []
    for kind in kinds:
        group = [mesh for is_gltf, mesh in meshes if is_gltf == kind]
        if kind and len(kinds) == 2:
            frames[kind] = detect_frame(group, unit="auto", up="y")
        else:
            frames[kind] = detect_frame(group, unit, "y" if kind and up == "auto" else up)
        label = "" if len(kinds) == 1 else ("glTF files: " if kind else "other files: ")
        notes.extend(label + note for note in frames[kind].notes)
    repeated = Counter(mesh.name for _, mesh in meshes)
    scans = []
    for index, (kind, mesh) in enumerate(meshes):
        name = mesh.name if repeated[mesh.name] == 1 else f"{mesh.name}_{index:03d}"
        vertices = apply_frame(frames[kind], mesh.vertices)
        scans.append(Scan(name, vertices, mesh.faces, _placed_colours(mesh.colours, frames[kind])))
    return scans, notes


def _placed_colours(colours: PaintedPoints | None, frame: Frame) -> PaintedPoints | None:
    if colours is None:
        return None
    return replace(colours, points=apply_frame(frame, colours.points).astype(np.float32))


def _nothing_left(source: Path | str, skipped: list[tuple[str, str]]) -> str:
    reasons = "".join(f"\n  {name}: {reason}" for name, reason in skipped[:10])
    more = f"\n  and {len(skipped) - 10} more" if len(skipped) > 10 else ""
    if not skipped:
        return f"no scans in {source}; put {SUPPORTED} files of one person there, one pose a file"
    return f"no usable scan in {source}; it needs {SUPPORTED} files of one person:{reasons}{more}"
