"""IMavatar's folders, which NerFACE's successors share: `flame_params.json` beside `image` and `mask`.

`SUBJECT/SUBJECT/CLIP/` holds `image/1.png`, `mask/1.png` and so on, numbered from 1, where somebody made them maps of
classes in `semantic/1.png` (see `video_maps`), and `flame_params.json`:

    shape_params  100 numbers;  intrinsics  -fx/width, fy/height, cx/width, cy/height (older files: pixels of 512)
    frames        file_path "./image/1", world_mat (3 x 4, camera from world), expression (50), pose (15), bbox and
                  flame_keypoints (-1 to 1 across the picture)

The camera looks along -z with x right and y up; the negative fx makes up for dividing by a negative depth, so that the
ray through (u, v) is ((u - cx)/|fx|, -(v - cy)/fy, -1). Lengths are four times metres.
"""

from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from data_prep.other_datasets.entries import (
    FRAME_RATE,
    JOINTS,
    check_rate,
    frames_of,
    numbers,
    opencv_from_opengl,
)
from data_prep.video_dataset import VideoDataset, VideoFrame, check_pictures
from data_prep.video_dataset_files import is_inside, picture_size, read_json

INDEX = "flame_params.json"
SCALE = 4.0
"""Their world's units in a metre."""
SHAPE_COUNT, EXPRESSION_COUNT = 100, 50
OLD_SIZE = 512
"""Side of the picture (pixels) to which the intrinsics of older files refer."""


def imavatar_clips(path: Path | str) -> tuple[Path, ...]:
    """The clip folders at a path: the folder itself, or those of a subject, whose name occurs twice in the path."""
    path = Path(path)
    for pattern in (INDEX, f"*/{INDEX}", f"*/*/{INDEX}", f"*/*/*/{INDEX}"):
        found = sorted(file.parent for file in path.glob(pattern) if file.is_file())
        if found:
            return tuple(found)
    return ()


def read_imavatar_clips(path: Path | str, frame_rate: float = FRAME_RATE) -> dict[str, VideoDataset]:
    """All clips of a subject by their names; raises InputError as `read_imavatar` does, or when there are none."""
    clips = imavatar_clips(path)
    if not clips:
        raise InputError(f"{path} holds no {INDEX}; give a folder SUBJECT/SUBJECT/CLIP, or the SUBJECT above it.")
    if len({clip.name for clip in clips}) < len(clips):
        raise InputError(f"{path} holds several subjects with clips of the same name; give the folder of one subject.")
    return {clip.name: read_imavatar(clip, frame_rate) for clip in clips}


def read_imavatar(clip: Path | str, frame_rate: float = FRAME_RATE) -> VideoDataset:
    """Read one clip (metres, OpenCV cameras); `frame_rate` is that of the video, which the files do not tell.

    Where their camera never turns it becomes ours, at the origin, and its shift moves the head instead. Raises
    InputError that names file, frame and field.
    """
    clip = Path(clip)
    path = clip / INDEX
    check_rate(frame_rate)
    index = read_json(path)
    entries = frames_of(index, path)
    images = [_image_name(entry, f"{path}: frame {number}") for number, entry in enumerate(entries)]
    if not images:
        raise InputError(f"{path}: there are no frames; export the dataset again.")
    width, height = picture_size(clip / images[0], "the image of frame 0")
    cameras = torch.stack([_camera(entry, f"{path}: frame {i}") for i, entry in enumerate(entries)])
    intrinsics = _intrinsics(index, path, width, height)
    cameras, translations = _settled(cameras)
    _check_in_front(cameras, translations, path)
    masks, notes = _masks(clip, images)
    semantics = _semantics(clip, images)
    landmarks = _landmarks(entries, path, width, height)
    rows = {
        name: torch.stack([numbers(entry, name, (count,), f"{path}: frame {i}") for i, entry in enumerate(entries)])
        for name, count in (("expression", EXPRESSION_COUNT), ("pose", 15))
    }
    sources = _sources(images)
    dataset = VideoDataset(
        frames=tuple(
            VideoFrame(source, (source - sources[0]) / frame_rate, image, mask, semantic=semantic)
            for source, image, mask, semantic in zip(sources, images, masks, semantics, strict=True)
        ),
        width=width,
        height=height,
        frame_rate=frame_rate,
        model="flame",
        betas=numbers(index, "shape_params", (SHAPE_COUNT,), str(path)).float(),
        joint_names=JOINTS,
        expression_names=(),
        intrinsics=intrinsics.float().expand(len(entries), 3, 3).clone(),
        camera_from_world=cameras.float(),
        poses=rows["pose"].unflatten(1, (5, 3)).float(),
        translations=translations.float(),
        expressions=rows["expression"].float(),
        landmarks=landmarks.float(),
        landmark_weights=torch.ones(landmarks.shape[:2]),
        notes=(f"Read from {INDEX} of IMavatar at {frame_rate:g} frames a second.", *notes),
        folder=clip,
    )
    check_pictures(dataset, clip)
    return dataset


def _image_name(entry: dict[str, Any], where: str) -> str:
    name = entry.get("file_path")
    if not isinstance(name, str) or not is_inside(f"{name}.png"):
        raise InputError(f"{where}: 'file_path' is {name!r}; expected a picture inside the clip, such as ./image/1.")
    return f"{PurePosixPath(name)}.png"


def _sources(images: list[str]) -> list[int]:
    """Numbers of the frames from 0, by their names where these are numbers from 1 that do not repeat."""
    stems = [PurePosixPath(image).stem for image in images]
    named = [int(stem) - 1 for stem in stems if stem.isascii() and stem.isdecimal() and int(stem) > 0]
    rising = len(named) == len(stems) and all(a < b for a, b in pairwise(named))
    return named if rising else list(range(len(images)))


def _camera(entry: dict[str, Any], where: str) -> Float[Tensor, "4 4"]:
    """Camera from world with OpenGL's axes (metres)."""
    rows = len(entry["world_mat"]) if isinstance(entry.get("world_mat"), list) else 3
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3] = numbers(entry, "world_mat", (4 if rows == 4 else 3, 4), where)[:3]
    matrix[:3, 3] /= SCALE
    off = (matrix[:3, :3] @ matrix[:3, :3].T - torch.eye(3).double()).abs().max()
    if float(off) > 1e-3 or float(torch.linalg.det(matrix[:3, :3])) < 0:
        raise InputError(f"{where}: 'world_mat' is no rotation with a shift: {matrix[:3, :3].tolist()}.")
    return matrix


def _settled(cameras: Float[Tensor, "frame 4 4"]) -> tuple[Tensor, Tensor]:
    """OpenCV cameras and shifts of the head: a camera that never turns is put at the origin."""
    still = bool((cameras[:, :3, :3] == torch.eye(3).to(cameras)).all())
    shifts = cameras[:, :3, 3].clone()
    if not still:
        return opencv_from_opengl() @ cameras, torch.zeros_like(shifts)
    return opencv_from_opengl().expand(len(cameras), 4, 4).clone(), shifts


def _check_in_front(cameras: Tensor, translations: Tensor, path: Path) -> None:
    depths = cameras[:, 2, 3] + (cameras[:, 2, :3] * translations).sum(1)
    if bool((depths <= 0).any()):
        frame = int(torch.nonzero(depths <= 0)[0])
        raise InputError(
            f"{path}: frame {frame}: the head lies behind the camera, which looks along -z: the third number of the "
            "last column of 'world_mat' must be negative (IMavatar's synthetic set has it the other way round)."
        )


def _intrinsics(index: dict[str, Any], path: Path, width: int, height: int) -> Float[Tensor, "3 3"]:
    fx, fy, cx, cy = numbers(index, "intrinsics", (4,), str(path)).tolist()
    unit = OLD_SIZE if cy > 1 else 1
    if fx >= 0 or fy <= 0:
        raise InputError(f"{path}: 'intrinsics' begin with {fx:g}, {fy:g}; expected a negative fx and a positive fy.")
    x, y = width / unit, height / unit
    return torch.tensor([[-fx * x, 0, cx * x], [0, fy * y, cy * y], [0, 0, 1]], dtype=torch.float64)


def _masks(clip: Path, images: list[str]) -> tuple[list[str | None], tuple[str, ...]]:
    masks = [str(PurePosixPath("mask") / PurePosixPath(image).name) for image in images]
    if not any((clip / mask).is_file() for mask in masks):
        return [None] * len(images), ("There are no masks.",)
    return list(masks), ()


def _semantics(clip: Path, images: list[str]) -> list[str | None]:
    """Maps of classes, of the frames that have one."""
    names = [str(PurePosixPath("semantic") / PurePosixPath(image).name) for image in images]
    return [name if (clip / name).is_file() else None for name in names]


def _landmarks(entries: list[dict[str, Any]], path: Path, width: int, height: int) -> Float[Tensor, "frame landmark 2"]:
    """The key points (pixels); none where a frame has none."""
    lists = [entry.get("flame_keypoints") for entry in entries]
    counts = {len(points) if isinstance(points, list) else 0 for points in lists}
    if counts == {0} or len(counts) > 1:
        return torch.zeros(len(entries), 0, 2, dtype=torch.float64)
    shape = (counts.pop(), 2)
    points = [numbers(entry, "flame_keypoints", shape, f"{path}: frame {i}") for i, entry in enumerate(entries)]
    return torch.from_numpy((torch.stack(points).numpy() + 1) / 2 * np.array([width, height]))
