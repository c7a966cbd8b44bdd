"""VHAP's and GaussianAvatars' folders: NeRF's `transforms.json` with a FLAME file for each moment.

    transforms.json         frames [...], and under each (or once for all) fl_x, fl_y, cx, cy, w, h, camera_angle_x:
        file_path, fg_mask_path, flame_param_path (relative), timestep_index, camera_index,
        transform_matrix    world from camera; the camera looks along -z with x right and y up
    transforms_train.json, transforms_val.json, transforms_test.json   the same frames, shared out
    flame_param/00000.npz   translation, rotation, neck_pose, jaw_pose (1 x 3), eyes_pose (1 x 6), expr (1 x 100),
                            shape (300), static_offset (1 x vertices x 3)
    images/, fg_masks/      00000_00.png: moment, camera

FLAME turns about its root joint by `rotation` and is then shifted by `translation`, as here; metres, Y up.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from body_models.errors import InputError
from body_models.motion.npz_files import numbers as npz_numbers
from body_models.motion.npz_files import read_arrays
from body_models.skeleton import rotation_matrices
from data_prep.other_datasets.entries import FRAME_RATE, JOINTS, check_rate, frames_of, numbers
from data_prep.other_datasets.nerf_cameras import nerf_extrinsics, nerf_intrinsics
from data_prep.video_dataset import VideoDataset, VideoFrame, check_pictures
from data_prep.video_dataset_files import has_transparency, is_inside, picture_size, read_json

WHOLE = "transforms.json"
PARTS = ("transforms_train.json", "transforms_val.json", "transforms_test.json")
TRACKS = {"rotation": 3, "neck_pose": 3, "jaw_pose": 3, "eyes_pose": 6}
"""Axis-angle rotations in the order of FLAME's joints, the left eye before the right."""
OFFSETS = ("static_offset", "dynamic_offset")
_OUTSIDE = "give the folder of one sequence on its own, not of a union of several"
_Entry = dict[str, Any]


def is_vhap(folder: Path | str) -> bool:
    """Whether a folder has one of the layout's index files, with or without FLAME's."""
    return any((Path(folder) / name).is_file() for name in (WHOLE, *PARTS))


def read_vhap(folder: Path | str, camera: int | None = None, frame_rate: float = FRAME_RATE) -> VideoDataset:
    """Read the pictures of one camera, by its `camera_index`; by default the one that sees most of the face.

    `static_offset` and `dynamic_offset` (vertices beyond FLAME's shape) are dropped. `frame_rate` is that of the video,
    which the files do not tell. Raises InputError that names file, frame and field.
    """
    folder = Path(folder)
    check_rate(frame_rate)
    entries, path = _entries(folder)
    tracks = _tracks(folder, entries, path)
    chosen, notes = _choose(entries, tracks, camera, path)
    rows = sorted((entry for entry in entries if _camera_of(entry) == chosen), key=_moment)
    poses = [tracks[str(entry["flame_param_path"])] for entry in rows]
    images, masks = _pictures(folder, rows, path)
    size = width, height = picture_size(folder / images[0], "the image of the first frame")
    moments = [_moment(entry) for entry in rows]
    if len(set(moments)) < len(moments):
        raise InputError(f"{path}: camera {chosen} has two frames of the same 'timestep_index'; export it again.")
    if any(key in track for track in poses for key in OFFSETS):
        notes = (*notes, "The offsets of single vertices (static_offset, dynamic_offset) were dropped.")
    sources = _sources(rows)
    where = [f"{path}: '{image}'" for image in images]
    dataset = VideoDataset(
        frames=tuple(
            VideoFrame(source, (source - sources[0]) / frame_rate, image, mask)
            for source, image, mask in zip(sources, images, masks, strict=True)
        ),
        width=width,
        height=height,
        frame_rate=frame_rate,
        model="flame",
        betas=poses[0]["shape"].float(),
        joint_names=JOINTS,
        expression_names=(),
        intrinsics=torch.stack([nerf_intrinsics(e, size, w) for e, w in zip(rows, where, strict=True)]).float(),
        camera_from_world=torch.stack([nerf_extrinsics(e, w) for e, w in zip(rows, where, strict=True)]).float(),
        poses=torch.stack([track["pose"] for track in poses]).float(),
        translations=torch.stack([track["translation"] for track in poses]).float(),
        expressions=torch.stack([track["expr"] for track in poses]).float(),
        landmarks=torch.zeros(len(rows), 0, 2),
        landmark_weights=torch.zeros(len(rows), 0),
        notes=(f"Read from VHAP's {path.name} at {frame_rate:g} frames a second.", *notes),
        folder=folder,
    )
    check_pictures(dataset, folder)
    return dataset


def _entries(folder: Path) -> tuple[list[_Entry], Path]:
    """All frames, each with the fields that are given once for all, and the file that they are from."""
    files = [folder / WHOLE] if (folder / WHOLE).is_file() else [folder / name for name in PARTS]
    files = [file for file in files if file.is_file()]
    if not files:
        raise InputError(f"{folder} holds no {WHOLE}; give a folder that VHAP exported.")
    entries: list[_Entry] = []
    for file in files:
        index = read_json(file)
        common = {name: value for name, value in index.items() if name != "frames"}
        entries += [common | frame for frame in frames_of(index, file)]
    if not entries:
        raise InputError(f"{files[0]}: there are no frames; export the dataset again.")
    for place, entry in enumerate(entries):
        for field, kind in (("file_path", str), ("flame_param_path", str), ("timestep_index", int)):
            if not isinstance(entry.get(field), kind):
                raise InputError(f"{files[0]}: frame {place}: '{field}' is {entry.get(field, 'missing')!r}.")
    return entries, files[0]


def _camera_of(entry: _Entry) -> int:
    index = entry.get("camera_index", 0)
    if not isinstance(index, int):
        raise InputError(f"'{entry['file_path']}': 'camera_index' is {index!r}; expected a whole number.")
    return index


def _moment(entry: _Entry) -> int:
    return int(entry["timestep_index"])


def _sources(entries: list[_Entry]) -> list[int]:
    """Numbers of the frames in the video, where the index tells them, else the moments."""
    original = [entry.get("timestep_index_original") for entry in entries]
    numbers_told = [value for value in original if isinstance(value, int)]
    told = len(numbers_told) == len(entries) and all(a < b for a, b in pairwise(numbers_told))
    return numbers_told if told else [_moment(entry) for entry in entries]


def _tracks(folder: Path, entries: list[_Entry], path: Path) -> dict[str, dict[str, Tensor]]:
    """What each FLAME file holds: pose (joint 3), translation, shape, expr; and any offsets."""
    tracks = {}
    for name in dict.fromkeys(str(entry["flame_param_path"]) for entry in entries):
        if not is_inside(name):
            raise InputError(f"{path}: 'flame_param_path' {name!r} lies outside the folder; {_OUTSIDE}.")
        tracks[name] = _track(folder / name)
    shapes = {tuple(len(track[key]) for key in ("shape", "expr")) for track in tracks.values()}
    if len(shapes) > 1:
        raise InputError(f"{path}: the FLAME files differ in their numbers of shape and expression: {sorted(shapes)}.")
    return tracks


def _track(file: Path) -> dict[str, Tensor]:
    arrays = read_arrays(file)
    values = {}
    for key, width in {**TRACKS, "translation": 3, "shape": None, "expr": None}.items():
        value = npz_numbers(file, arrays, key)
        flat = value.flatten()
        if value.ndim > 2 or (value.ndim == 2 and len(value) != 1) or (width is not None and len(flat) != width):
            expected = f"1 x {width or 'any'}"
            raise InputError(f"{file}: '{key}' has the shape {tuple(value.shape)}; expected {expected}.")
        values[key] = flat
    pose = torch.cat([values[key] for key in TRACKS]).unflatten(0, (len(JOINTS), 3))
    offsets: list[str] = [key for key in OFFSETS if key in arrays]
    tracks = {key: values[key] for key in ("translation", "shape", "expr")} | {"pose": pose}
    return tracks | {key: torch.zeros(0) for key in offsets}


def _choose(
    entries: list[_Entry], tracks: dict[str, dict[str, Tensor]], camera: int | None, path: Path
) -> tuple[int, tuple[str, ...]]:
    """The camera to read: the one given, else the one that the face looks at most."""
    known = sorted({_camera_of(entry) for entry in entries})
    if camera is not None and camera not in known:
        raise InputError(f"{path}: there is no camera {camera}; the cameras are {', '.join(map(str, known))}.")
    if len(known) == 1:
        return known[0], ()
    if camera is None:
        facing = {index: _facing([e for e in entries if _camera_of(e) == index], tracks) for index in known}
        camera = max(known, key=lambda index: facing[index])
    return camera, (f"Camera {camera} of {len(known)} was read ({', '.join(map(str, known))}).",)


def _facing(entries: list[_Entry], tracks: dict[str, dict[str, Tensor]]) -> float:
    """Mean cosine between where the face looks and where the camera is."""
    poses = torch.stack([tracks[str(entry["flame_param_path"])]["pose"] for entry in entries])
    places = torch.stack([tracks[str(entry["flame_param_path"])]["translation"] for entry in entries])
    centers = torch.stack([numbers(entry, "transform_matrix", (4, 4), entry["file_path"])[:3, 3] for entry in entries])
    turns = rotation_matrices(poses)
    forward = (turns[:, 0] @ turns[:, 1])[:, :, 2]
    return float(torch.nn.functional.cosine_similarity(forward, centers - places).mean())


def _pictures(folder: Path, entries: list[_Entry], path: Path) -> tuple[list[str], list[str | None]]:
    images: list[str] = []
    masks: list[str | None] = []
    for entry in entries:
        image, mask = str(entry["file_path"]), entry.get("fg_mask_path")
        for field, name in (("file_path", image), ("fg_mask_path", mask)):
            if name is not None and (not isinstance(name, str) or not is_inside(name)):
                raise InputError(f"{path}: '{field}' {name!r} lies outside the folder; {_OUTSIDE}.")
        if Path(image).suffix.lower() not in (".png", ".jpg", ".jpeg"):
            image += ".png"
        if mask is None and has_transparency(folder / image, f"the image of moment {_moment(entry)}"):
            mask = image
        images.append(image)
        masks.append(mask)
    return images, masks
