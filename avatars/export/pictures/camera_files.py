"""Camera files: NeRF's `transforms.json`, as instant-ngp, nerfstudio and exporters of Blender write and read it."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.export.films.clips import check_size
from body_models import InputError
from data_prep.atomic import replacing
from data_prep.camera import Camera
from data_prep.other_datasets import read_any_dataset
from data_prep.other_datasets.entries import number
from data_prep.other_datasets.nerf_cameras import nerf_extrinsics, nerf_intrinsics, nerf_lens, nerf_transform
from data_prep.video_dataset import VideoDataset

_log = logging.getLogger(__name__)

TRANSFORMS = "transforms.json"
MOST_BYTES = 200_000_000
BENDS = ("k1", "k2", "k3", "k4", "p1", "p2")
"""Fields of a lens that bends straight lines."""
UPWARDS = ("y", "z")
EXAMPLE = (
    '{"w": 512, "h": 512, "fl_x": 600, "frames": [{"transform_matrix": [[1,0,0,0], [0,1,0,1], [0,0,1,3], [0,0,0,1]]}]}'
)


def read_cameras(path: Path | str, size: int | None = None, up: str = "y") -> list[Camera]:
    """The cameras of a `transforms.json`, of a folder that holds one, or of a tracked video, frame by frame.

    Pictures get the width and height that the file tells, or a longer side of `size` pixels; where it tells none, they
    are squares of `size`, or 512. `up` is the axis of the file's world that points upwards: z, as in Blender, is turned
    to our y as Blender does when it writes glTF (metres). Raises InputError that names file, frame and field.
    """
    if up not in UPWARDS:
        raise InputError(f"No world of ours has '{up}' upwards; use y (as glTF) or z (as Blender).")
    if size is not None:
        check_size(size)
    path = Path(path)
    if path.is_dir() and not (path / TRANSFORMS).is_file():
        return _of_dataset(read_any_dataset(path), size)
    path = path / TRANSFORMS if path.is_dir() else path
    index = _read(path)
    entries = [index | entry for entry in index.pop("frames")]
    cameras = [_camera(entry, f"{path}: frame {place}", size, up) for place, entry in enumerate(entries)]
    if any(entry.get(key) for entry in entries for key in BENDS):
        _log.info("%s: the lens bends straight lines (%s); pictures are made without that.", path, ", ".join(BENDS))
    return cameras


def write_cameras(
    cameras: Sequence[Camera], path: Path | str, entries: Sequence[Mapping[str, Any]] | None = None
) -> Path:
    """Write cameras as `transforms.json` that `read_cameras` and others read; `entries` go to the frames as they are.

    A `file_path` is given to frames whose entry has none. Raises InputError for skewed cameras, or a place that cannot
    be written.
    """
    path = Path(path)
    lenses = [nerf_lens(camera.intrinsics, camera.width, camera.height) for camera in cameras]
    alike = all(lens == lenses[0] for lens in lenses)
    frames = [
        {"file_path": f"frame_{place:05d}.png", "transform_matrix": nerf_transform(camera.camera_from_world)}
        | ({} if alike else lens)
        for place, (camera, lens) in enumerate(zip(cameras, lenses, strict=True))
    ]
    if entries is not None:
        frames = [frame | dict(entry) for frame, entry in zip(frames, entries, strict=True)]
    index = {"camera_model": "PINHOLE", **(lenses[0] if alike and lenses else {}), "frames": frames}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(index, indent=1, allow_nan=False), encoding="utf-8")
    return path


def _read(path: Path) -> dict[str, Any]:
    """The index with frames that are objects."""
    if not path.is_file():
        raise InputError(f"No camera file '{path}'. Give a transforms.json (NeRF, nerfstudio), such as {EXAMPLE}.")
    try:
        index = json.loads(path.read_text("utf-8") if path.stat().st_size < MOST_BYTES else "")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is no camera file: it is not readable JSON. Give one such as {EXAMPLE}.") from error
    frames = index.get("frames") if isinstance(index, dict) else None
    if not isinstance(frames, list) or not frames or not all(isinstance(frame, dict) for frame in frames):
        raise InputError(f"{path} is no camera file: it has no list of 'frames'. Give one such as {EXAMPLE}.")
    if "FISHEYE" in str(index.get("camera_model", "")).upper():
        raise InputError(f"{path}: its lens is a fisheye, which cannot be drawn; give cameras with straight lines.")
    return index


def _of_dataset(dataset: VideoDataset, size: int | None) -> list[Camera]:
    scale = 1.0 if size is None else size / max(dataset.width, dataset.height)
    width, height = (max(1, round(scale * side)) for side in (dataset.width, dataset.height))
    return [
        Camera(intrinsics, extrinsics, dataset.width, dataset.height).resized(width, height)
        for intrinsics, extrinsics in zip(dataset.intrinsics, dataset.camera_from_world, strict=True)
    ]


def _camera(entry: Mapping[str, Any], where: str, size: int | None, up: str) -> Camera:
    lens = entry if "fl_x" in entry or "camera_angle_x" in entry else None
    if lens is None:
        raise InputError(f"{where}: neither 'fl_x' (pixels) nor 'camera_angle_x' (radians) is given; add one of them.")
    width, height = _picture(entry, where, size)
    intrinsics = nerf_intrinsics(entry, (width, height), where)
    camera_from_world = nerf_extrinsics(entry, where)
    if up == "z":
        camera_from_world = camera_from_world @ _z_up_from_y_up()
    return Camera(intrinsics.float(), camera_from_world.float(), width, height)


def _picture(entry: Mapping[str, Any], where: str, size: int | None) -> tuple[int, int]:
    """Width and height (pixels)."""
    if "w" not in entry or "h" not in entry:
        return size or 512, size or 512
    width, height = (number(entry, key, where) for key in "wh")
    longer = max(width, height)
    scale = 1.0 if size is None or longer <= 0 else size / longer
    sides = tuple(max(1, round(side * scale)) for side in (width, height))
    if min(width, height) < 1 or max(sides) > 8192:
        raise InputError(f"{where}: a picture of {width:g} x {height:g} pixels cannot be drawn; give --size.")
    return sides[0], sides[1]


def _z_up_from_y_up() -> Float[Tensor, "4 4"]:
    """The world of our axes in one whose z points up and whose -y is our z, as Blender imports glTF."""
    rows = [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    return torch.tensor(rows, dtype=torch.float64)
