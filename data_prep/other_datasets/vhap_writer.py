"""Write a head dataset in VHAP's layout, as GaussianAvatars reads it; see `vhap`."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_prep.atomic import replacing
from data_prep.other_datasets.entries import (
    EXPRESSION_COUNT,
    SHAPE_COUNT,
    check_new,
    fitted,
    require_flame,
    usable,
)
from data_prep.other_datasets.nerf_cameras import nerf_lens, nerf_transform
from data_prep.video_dataset import VideoDataset
from data_prep.video_dataset_files import copy_alpha, copy_rgb, write_json

TRAINED = 0.7
"""Share of the moments, from the first, that are for training; the others are for the test."""
CANONICAL_JAW = 0.3
"""How far the mouth is open in `canonical_flame_param.npz` (radians)."""


def write_vhap(dataset: VideoDataset, folder: Path | str) -> tuple[str, ...]:
    """Write the usable frames and return notes of what was left out.

    Raises InputError for a dataset of another model than FLAME, or a folder that holds something already.
    """
    folder = Path(folder)
    require_flame(dataset, "A VHAP folder")
    dataset, notes = usable(dataset)
    check_new(folder)
    params, cut = _flame_params(dataset)
    with replacing(folder) as temporary:
        size = (dataset.width, dataset.height)
        for moment, frame in enumerate(dataset.frames):
            copy_rgb(dataset.path(frame.image), temporary / f"images/{moment:05d}_00.png", size)
            if frame.mask is not None:
                copy_alpha(dataset.path(frame.mask), temporary / f"fg_masks/{moment:05d}_00.png", size)
            _write_npz(temporary / f"flame_param/{moment:05d}.npz", params[moment])
        _write_npz(temporary / "canonical_flame_param.npz", _at_rest(params[0]))
        entries = [_entry(dataset, moment) for moment in range(len(dataset))]
        count = math.ceil(TRAINED * len(entries))
        parts = {"": entries, "_train": entries[:count], "_val": [], "_test": entries[count:]}
        for part, chosen in parts.items():
            write_json(temporary / f"transforms{part}.json", _index(chosen, entries[0]))
    if any(frame.semantic or frame.normal for frame in dataset.frames):
        notes += ("The maps of classes and normals were left out; VHAP knows none.",)
    return notes + cut + _off_center(dataset)


def _off_center(dataset: VideoDataset) -> tuple[str, ...]:
    middle = dataset.intrinsics.new_tensor([dataset.width / 2, dataset.height / 2])
    off = float((dataset.intrinsics[:, :2, 2] - middle).abs().max())
    if off <= 1:
        return ()
    return (
        f"The cameras' centres lie up to {off:.0f} pixels off the middle of the pictures (cx, cy): VHAP heeds that, "
        "GaussianAvatars does not.",
    )


def _flame_params(dataset: VideoDataset) -> tuple[list[dict[str, np.ndarray]], tuple[str, ...]]:
    shape, cut_shape = fitted(dataset.betas, SHAPE_COUNT, "Shape parameters")
    expressions, cut = fitted(dataset.expressions, EXPRESSION_COUNT, "Expression parameters")
    params = []
    for pose, translation, expression in zip(dataset.poses, dataset.translations, expressions, strict=True):
        root, neck, jaw, left, right = pose
        row = {"translation": translation, "rotation": root, "neck_pose": neck, "jaw_pose": jaw}
        row |= {"eyes_pose": torch.cat([left, right]), "expr": expression}
        arrays = {key: value[None].numpy().astype(np.float32) for key, value in row.items()}
        params.append(arrays | {"shape": shape.numpy().astype(np.float32)})
    return params, cut_shape + cut


def _at_rest(params: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    rest = {key: value if key == "shape" else np.zeros_like(value) for key, value in params.items()}
    return rest | {"jaw_pose": np.array([[CANONICAL_JAW, 0, 0]], dtype=np.float32)}


def _entry(dataset: VideoDataset, moment: int) -> dict[str, Any]:
    frame = dataset.frames[moment]
    masks = {} if frame.mask is None else {"fg_mask_path": f"fg_masks/{moment:05d}_00.png"}
    return {
        "timestep_index": moment,
        "timestep_index_original": frame.source,
        "timestep_id": f"frame_{frame.source:05d}",
        "camera_index": 0,
        "camera_id": "0",
        **nerf_lens(dataset.intrinsics[moment], dataset.width, dataset.height),
        "transform_matrix": nerf_transform(dataset.camera_from_world[moment]),
        "file_path": f"images/{moment:05d}_00.png",
        **masks,
        "flame_param_path": f"flame_param/{moment:05d}.npz",
    }


def _index(entries: list[dict[str, Any]], first: dict[str, Any]) -> dict[str, Any]:
    shared = ("cx", "cy", "fl_x", "fl_y", "h", "w", "camera_angle_x", "camera_angle_y")
    moments = [entry["timestep_index"] for entry in entries]
    index: dict[str, Any] = {"frames": entries, **{key: first[key] for key in shared}}
    return index | {"timestep_indices": moments, "camera_indices": [0] if entries else []}


def _write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    content = io.BytesIO()
    np.savez(content, **arrays)
    with replacing(path) as temporary:
        temporary.write_bytes(content.getvalue())
