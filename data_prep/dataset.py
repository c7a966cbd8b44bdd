"""A registered sequence of scans of one person, in memory and as a folder on disk.

Schema, version 1 (metres, Y up, facing +Z at rest; rotations are axis-angle in radians, root first):

    dataset.json          written last: a folder without it is incomplete
        kind "scans", version, units "metres", up "y"
        body_model        family of the body, such as "anny"
        exact_poses       whether the poses were known rather than found
        skeleton          {"joint_names": [...], "parents": [...]}, -1 for the root
        scans             [{"name", "file", "residual_mm"}, ...]; file is relative to the folder; with "colours", the
                          file of its colours, for scans that have some
        skipped           [[file or scan name, reason], ...]
        notes             [...]
    body.safetensors      vertices (vertex 3), faces (face 3), skinning_weights (vertex bone), joints (bone 3),
                          canonical_pose (bone 3): the person at rest
    poses.safetensors     poses (scan bone 3), translations (scan 3)
    scans/NAME.safetensors  vertices (vertex 3) float32, faces (face 3) int32
    colours/NAME.safetensors  of scans with colours: points (sample 3) float32, coded (sample 3) uint8, sRGB
"""

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.body import Body
from body_models.errors import InputError
from body_models.skeleton import Skeleton
from data_prep.atomic import replacing
from data_prep.paint import PaintedPoints
from data_prep.scans import Scan
from data_prep.tensor_files import damaged, read_tensors, write_tensors

VERSION = 1
INDEX = "dataset.json"
FIXED = {"kind": "scans", "units": "metres", "up": "y"}
AGAIN = "delete the folder and run `avatars fit-scans` again"
MAX_FILE_NAME = 48
"""Characters kept of a scan's name; even at four bytes each the file name stays within every system's limit."""

BODY_SHAPES: dict[str, tuple[str | int, ...]] = {
    "vertices": ("vertex", 3),
    "faces": ("face", 3),
    "skinning_weights": ("vertex", "bone"),
    "joints": ("bone", 3),
    "canonical_pose": ("bone", 3),
}
POSE_SHAPES: dict[str, tuple[str | int, ...]] = {"poses": ("scan", "bone", 3), "translations": ("scan", 3)}
COLOUR_SHAPES: dict[str, tuple[str | int, ...]] = {"points": ("sample", 3), "coded": ("sample", 3)}
SCAN_SHAPES: dict[str, tuple[str | int, ...]] = {"vertices": ("vertex", 3), "faces": ("face", 3)}


@dataclass(frozen=True)
class ScanDataset:
    """Scans of one person with the person's body and the body's pose in each scan (metres, Y up)."""

    body: Body
    """The person at rest."""
    names: tuple[str, ...]
    poses: Float[Tensor, "scan bone 3"]
    """Axis-angle, radians, root first."""
    translations: Float[Tensor, "scan 3"]
    residuals_mm: Float[Tensor, "scan"]
    """Mean distance between posed body and scan, millimetres."""
    scans: list[Scan]
    body_model: str = "anny"
    skipped: tuple[tuple[str, str], ...] = ()
    """File or scan name, reason."""
    notes: tuple[str, ...] = ()
    exact_poses: bool = False
    """Whether the poses were known rather than found."""

    def __post_init__(self) -> None:
        if not self.scans:
            raise InputError("A dataset needs at least one scan.")
        if tuple(scan.name for scan in self.scans) != self.names:
            raise InputError("The names of a dataset must be those of its scans, in the same order.")
        counts = {len(self.names), len(self.poses), len(self.translations), len(self.residuals_mm)}
        if len(counts) > 1 or self.poses.shape[1] != len(self.body.skeleton):
            raise InputError(
                f"{len(self.names)} scans of a body of {len(self.body.skeleton)} bones do not go with poses of shape "
                f"{tuple(self.poses.shape)}, {len(self.translations)} translations and {len(self.residuals_mm)} "
                "residuals; give one of each for every scan."
            )


def is_complete(folder: Path | str) -> bool:
    """Whether the folder holds a dataset that was written to its end."""
    return (Path(folder) / INDEX).is_file()


def write_dataset(dataset: ScanDataset, folder: Path | str) -> None:
    """Write a dataset, in place of an older one in the same folder; incomplete until the last file is there.

    Raises InputError when the place cannot be written or a number of the dataset is not finite.
    """
    folder = Path(folder)
    _check_finite(dataset)
    files = [f"scans/{name}.safetensors" for name in _file_names(dataset.names)]
    _withdraw(folder)
    write_tensors(folder / "body.safetensors", {name: getattr(dataset.body, name) for name in BODY_SHAPES})
    write_tensors(folder / "poses.safetensors", {name: getattr(dataset, name) for name in POSE_SHAPES})
    for file, scan in zip(files, dataset.scans, strict=True):
        vertices, faces = np.asarray(scan.vertices, np.float32), np.asarray(scan.faces, np.int32)
        write_tensors(folder / file, {"vertices": torch.from_numpy(vertices), "faces": torch.from_numpy(faces)})
        if scan.colours is not None:
            points = torch.from_numpy(np.asarray(scan.colours.points, np.float32))
            write_tensors(
                folder / _colour_file(file), {"points": points, "coded": torch.from_numpy(scan.colours.coded)}
            )
    with replacing(folder / INDEX) as temporary:
        temporary.write_text(json.dumps(_index(dataset, files), indent=1, allow_nan=False), encoding="utf-8")


def read_dataset(folder: Path | str) -> ScanDataset:
    """Read a dataset as `write_dataset` left it; scans come back with float32 vertices and int32 faces.

    Raises InputError when the folder is missing, incomplete, damaged, or of a newer version.
    """
    folder = Path(folder)
    index = _read_index(folder)
    try:
        joints = index["skeleton"]
        skeleton = Skeleton(tuple(map(str, joints["joint_names"])), tuple(map(int, joints["parents"])))
        entries = [(str(entry["name"]), str(entry["file"]), float(entry["residual_mm"])) for entry in index["scans"]]
        colours = [None if entry.get("colours") is None else str(entry["colours"]) for entry in index["scans"]]
        skipped = tuple((str(name), str(reason)) for name, reason in index["skipped"])
        notes = tuple(str(note) for note in index["notes"])
        body_model, exact_poses = str(index["body_model"]), bool(index["exact_poses"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _damaged(folder / INDEX, f"it lacks or garbles {error}") from error
    residuals = torch.tensor([residual for _, _, residual in entries], dtype=torch.float32)
    if not entries or not residuals.isfinite().all():
        raise _damaged(folder / INDEX, "it names no scans, or residuals that are not numbers")
    sizes = {"bone": len(skeleton), "scan": len(entries)}
    body = read_tensors(folder / "body.safetensors", BODY_SHAPES, sizes, AGAIN)
    posed = read_tensors(folder / "poses.safetensors", POSE_SHAPES, sizes, AGAIN)
    return ScanDataset(
        body=Body(skeleton=skeleton, **body),
        names=tuple(name for name, _, _ in entries),
        poses=posed["poses"],
        translations=posed["translations"],
        residuals_mm=residuals,
        scans=[_read_scan(folder, name, file, own) for (name, file, _), own in zip(entries, colours, strict=True)],
        body_model=body_model,
        skipped=skipped,
        notes=notes,
        exact_poses=exact_poses,
    )


def _index(dataset: ScanDataset, files: Sequence[str]) -> dict[str, Any]:
    skeleton = dataset.body.skeleton
    entries = []
    for scan, file, residual in zip(dataset.scans, files, dataset.residuals_mm.tolist(), strict=True):
        colours = {} if scan.colours is None else {"colours": _colour_file(file)}
        entries.append({"name": scan.name, "file": file, "residual_mm": residual} | colours)
    return FIXED | {
        "version": VERSION,
        "body_model": dataset.body_model,
        "exact_poses": dataset.exact_poses,
        "skeleton": {"joint_names": skeleton.joint_names, "parents": skeleton.parents},
        "scans": entries,
        "skipped": dataset.skipped,
        "notes": dataset.notes,
    }


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    if not folder.is_dir():
        raise InputError(f"No dataset folder at {folder}; make one with `avatars fit-scans`.")
    if not path.is_file() and (folder / "body.safetensors").exists():
        raise InputError(f"The dataset in {folder} was not written to its end (no {INDEX}); {AGAIN}.")
    if not path.is_file():
        raise InputError(f"{folder} holds no dataset (no {INDEX}); give a folder that `avatars fit-scans` wrote.")
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    version = index.get("version") if isinstance(index, dict) else None
    if not isinstance(version, int) or version < 1:
        raise _damaged(path, "it names no version")
    if version > VERSION:
        raise InputError(
            f"{path} is of version {version}, newer than this program's {VERSION}; "
            f"run `pip install --upgrade animatable-avatars`, or {AGAIN}."
        )
    for key, value in FIXED.items():
        if index.get(key) != value:
            raise _damaged(path, f"its {key} is {index.get(key)!r} instead of {value!r}")
    return index


def _read_scan(folder: Path, name: str, file: str, colours: str | None) -> Scan:
    if not (_is_scan_file(file) and (colours is None or _is_scan_file(colours))):
        raise _damaged(folder / INDEX, f"scan '{name}' is said to be in {file!r}, outside the folder's scans")
    tensors = read_tensors(folder / file, SCAN_SHAPES, {}, AGAIN)
    painted = None
    if colours is not None:
        read = read_tensors(folder / colours, COLOUR_SHAPES, {}, AGAIN)
        painted = PaintedPoints(read["points"].numpy(), read["coded"].numpy())
    return Scan(name, tensors["vertices"].numpy(), tensors["faces"].numpy(), painted)


def _colour_file(file: str) -> str:
    """Where the colours of a scan in a file are."""
    return f"colours/{Path(file).name}"


def _is_scan_file(file: str) -> bool:
    return re.fullmatch(r"(scans|colours)/[^/\\:\0]+\.safetensors", file) is not None


def _withdraw(folder: Path) -> None:
    """Make an older dataset in the folder incomplete, then delete its scans."""
    path = folder / INDEX
    if not path.is_file():
        return
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        path.unlink()
        for file in _scan_files(text):
            (folder / file).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"Cannot replace {path}: {error.strerror}. Choose another folder.") from error


def _scan_files(text: str) -> list[str]:
    """The scan files that the text of an index names; none when it is damaged."""
    try:
        entries = json.loads(text)["scans"]
        files = [str(entry[key]) for entry in entries for key in ("file", "colours") if key in entry]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    return [file for file in files if _is_scan_file(file)]


def _file_names(names: Sequence[str]) -> list[str]:
    """A file name for each scan, unique also where upper and lower case are the same."""
    taken: set[str] = set()
    files = []
    for name in names:
        stem = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name))[:MAX_FILE_NAME].strip("._- ") or "scan"
        if re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", stem):
            stem = f"scan_{stem}"  # Windows keeps these names for devices
        file, number = stem, 2
        while file.casefold() in taken:
            file, number = f"{stem}_{number}", number + 1
        taken.add(file.casefold())
        files.append(file)
    return files


def _check_finite(dataset: ScanDataset) -> None:
    for name in ("poses", "translations", "residuals_mm"):
        finite = getattr(dataset, name).reshape(len(dataset.names), -1).isfinite().all(dim=1)
        if not finite.all():
            broken = dataset.names[int((~finite).nonzero()[0])]
            raise InputError(f"The {name} of scan '{broken}' are not finite; leave that scan out.")


def _damaged(path: Path, reason: str) -> InputError:
    return damaged(path, reason, AGAIN)
