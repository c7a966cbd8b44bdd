"""Tell which official models a download holds: the family by its content, the gender by its name."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from body_models.errors import InputError
from body_models.licensed.assemble import check_layout
from body_models.licensed.downloads import OfficialFile, is_embedding, model_paths, official_files

GENDERS = ("neutral", "female", "male")
_HAND_VERTICES = 778
_MODEL_KEYS = frozenset(("v_template", "shapedirs", "posedirs", "weights", "J_regressor", "kintree_table"))
_ICT_KEYS = frozenset(("neutral", "faces", "expr_delta", "id_delta"))
_ICT_MESH, _ICT_IDENTITY = "generic_neutral_mesh.obj", "identity000.obj"
_LANDMARK_NAMES = {
    "lmk_face_idx": "lmk_faces_idx",
    "lmk_b_coords": "lmk_bary_coords",
    "static_lmk_faces_idx": "lmk_faces_idx",
    "static_lmk_bary_coords": "lmk_bary_coords",
    "dynamic_lmk_faces_idx": "dynamic_lmk_faces_idx",
    "dynamic_lmk_bary_coords": "dynamic_lmk_bary_coords",
}
"""Keys of FLAME's embedding files, and those under which SMPL-X files bring the same."""


@dataclass(frozen=True)
class Found:
    """One model in a download."""

    family: str
    """smpl, smplh, smplx, flame or ict."""
    gender: str
    path: Path
    """What was given or found in a folder: a file, an archive, or ICT-FaceKit's folder of meshes."""
    file: OfficialFile
    """The content; for ICT-FaceKit, only where it came from."""


@dataclass(frozen=True)
class Skipped:
    """A file in a download that is no model of ours, and why."""

    source: str
    reason: str


def recognise(path: Path, gender: str | None = None) -> Iterator[Found | Skipped]:
    """Every model at a path, one after the other: a file, an archive, or a folder with such anywhere in it.

    Raises InputError for damaged or malicious files, unfitting layouts, and a gender that is unknown or contradicted;
    in a folder such a file is skipped.
    """
    for folder in _ict_folders(path):
        yield Found("ict", "neutral", folder, OfficialFile({}, str(folder)))
    paths = model_paths(path)
    landmarks: dict[str, np.ndarray] = {}
    for place in paths if path.is_dir() else [*paths, *_beside(path)]:
        try:
            for file in official_files(place, embeddings=True):
                landmarks |= _landmarks(file)
        except InputError as error:
            if place == path:
                raise
            yield Skipped(str(place), str(error))
    for place in paths:
        try:
            for file in official_files(place):
                yield _recognised(file, place, path, gender, landmarks)
        except InputError as error:
            if place == path:
                raise
            yield Skipped(str(place), str(error))


def gender_of(file: OfficialFile, given: str | None = None) -> str:
    """The gender that the file's name, its `gender` entry or its folders tell, or the one that is given.

    Raises InputError when two of them differ, or when there is none.
    """
    parts = PurePosixPath(file.source.replace("\\", "/").replace("!", "/")).parts
    entry = file.texts.get("gender", "").lower()
    named = _gender_in(PurePosixPath(parts[-1]).stem)
    told = {"its name": named, "its 'gender' entry": entry if entry in GENDERS else None}
    if not any(told.values()):
        told["its folder"] = next((word.lower() for word in reversed(parts[-4:-1]) if word.lower() in GENDERS), None)
    told |= {"--gender": given}
    known = {source: value for source, value in told.items() if value}
    if not known:
        raise InputError(
            f"{file.source}: neither name nor content tells whether this model is female, male or neutral. "
            f"Say it: `avatars models add {shlex.quote(file.source.split('!')[0])} --gender female` (or male, neutral)."
        )
    if len(set(known.values())) > 1:
        says = ", ".join(f"{source} says {value}" for source, value in known.items())
        raise InputError(f"{file.source}: wrong gender: {says}. Give the file of that gender, or drop --gender.")
    return next(iter(known.values()))


def _gender_in(stem: str) -> str | None:
    """The gender in a file name such as basicModel_f_lbs_10_207_0_v1.0.0, SMPLX_NEUTRAL or flame2023."""
    words = re.split(r"[^a-z]+", stem.lower())
    short = re.match(r"basicmodel_([fmn])_", stem.lower())
    if short:
        return {"f": "female", "m": "male", "n": "neutral"}[short[1]]
    for gender in GENDERS:
        if gender in words:
            return gender
    return "neutral" if "generic" in words or re.match(r"flame_?20\d\d", stem.lower()) else None


def _recognised(
    file: OfficialFile, place: Path, given: Path, gender: str | None, landmarks: dict[str, np.ndarray]
) -> Found | Skipped:
    keys = file.arrays.keys()
    if keys >= _ICT_KEYS:
        if "!" in file.source.removeprefix(str(place)):
            return Skipped(file.source, "ICT-FaceKit inside an archive: unpack it and add the npz or the folder")
        return Found("ict", "neutral", place, replace(file, arrays={}))
    if len(keys & _MODEL_KEYS) < 2:
        return Skipped(file.source, "no body or head model")
    if len(file.arrays.get("v_template", ())) == _HAND_VERTICES:
        return Skipped(file.source, "a hand alone (MANO); SMPL-H and SMPL-X bring hands of their own")
    if "no_jaw" in file.source.removeprefix(str(given)):
        return Skipped(file.source, "the variant without a jaw; give this file itself if you want it")
    family = check_layout(file.arrays, file.source)
    if family == "flame":
        file = replace(file, arrays={**landmarks, **file.arrays})
    return Found(family, gender_of(file, gender), place, file)


def _landmarks(file: OfficialFile) -> dict[str, np.ndarray]:
    """FLAME's landmarks from an embedding file, under SMPL-X's keys."""
    turning = "dynamic_" if "dynamic" in PurePosixPath(file.source).name else ""
    known = {_LANDMARK_NAMES[key]: value for key, value in file.arrays.items() if key in _LANDMARK_NAMES}
    return {name if name.startswith("dynamic_") else turning + name: value for name, value in known.items()}


def _beside(path: Path) -> list[Path]:
    """Embedding files in the folder of a single file."""
    return [p for p in sorted(path.parent.iterdir()) if is_embedding(p.name) and p.suffix in (".pkl", ".npy", ".npz")]


def _ict_folders(path: Path) -> list[Path]:
    """Folders of ICT-FaceKit's meshes (FaceXModel) at or below a folder."""
    meshes = sorted(path.rglob(_ICT_MESH)) if path.is_dir() else []
    return [mesh.parent for mesh in meshes if (mesh.parent / _ICT_IDENTITY).is_file()]
