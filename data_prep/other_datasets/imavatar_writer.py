"""Write a head dataset as IMavatar's folders; see `imavatar` for the layout."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from body_models.errors import InputError
from data_prep.atomic import replacing
from data_prep.other_datasets.common_view import CommonView, common_view
from data_prep.other_datasets.entries import check_new, fitted, opencv_from_opengl, require_flame, usable
from data_prep.other_datasets.imavatar import EXPRESSION_COUNT, INDEX, SCALE, SHAPE_COUNT
from data_prep.other_datasets.keypoints import face_points
from data_prep.video_dataset import VideoDataset
from data_prep.video_dataset_files import copy_alpha, copy_rgb, is_inside, write_json
from data_prep.video_maps import read_parsed


def write_imavatar(dataset: VideoDataset, folder: Path | str, subject: str, clip: str) -> tuple[str, ...]:
    """Write the usable frames as `folder/subject/subject/clip` and return notes of what was left out.

    They know one camera for all frames: a crop that moved is redrawn in one larger picture. Points that are unseen take
    their places from the frames before and after. Raises InputError for a dataset of another model than FLAME, without
    masks, or a clip that is there.
    """
    require_flame(dataset, "An IMavatar folder")
    for name in (subject, clip):
        if not is_inside(name) or "/" in name:
            raise InputError(f"'{name}' is no name of a folder; use letters and digits.")
    dataset, notes = usable(dataset)
    unmasked = next((frame.image for frame in dataset.frames if frame.mask is None), None)
    if unmasked is not None:
        raise InputError(f"{unmasked} has no mask, which IMavatar needs; run `avatars prepare` on the video.")
    target = Path(folder) / subject / subject / clip
    check_new(target)
    view = common_view(dataset)
    if not view.still:
        notes += (f"The moving crop was redrawn in one picture of {view.width} x {view.height} pixels for all frames.",)
    if any(frame.normal is not None for frame in dataset.frames):
        notes += ("The maps of normals were left out; IMavatar knows none.",)
    index, cut = _index(dataset, view)
    with replacing(target) as temporary:
        for frame in range(len(dataset)):
            _write_pictures(dataset, frame, view, temporary)
        write_json(temporary / INDEX, index)
    return notes + cut


def _write_pictures(dataset: VideoDataset, frame: int, view: CommonView, folder: Path) -> None:
    image, mask = folder / f"image/{frame + 1}.png", folder / f"mask/{frame + 1}.png"
    semantic, size = dataset.frames[frame].semantic, (dataset.width, dataset.height)
    if semantic is not None:
        numbers = read_parsed(dataset.path(semantic), size)
        if not view.still:
            numbers = view.redraw(numbers, dataset.intrinsics[frame], Image.Resampling.NEAREST)
        with replacing(folder / f"semantic/{frame + 1}.png") as temporary:
            Image.fromarray(numbers).save(temporary, format="PNG")
    if view.still:
        copy_rgb(dataset.path(dataset.frames[frame].image), image, size)
        copy_alpha(dataset.path(str(dataset.frames[frame].mask)), mask, size)
        return
    alpha = (dataset.alpha(frame) * 255).round().astype(np.uint8)
    for pixels, path in ((dataset.image(frame), image), (alpha, mask)):
        with replacing(path) as temporary:
            Image.fromarray(view.redraw(pixels, dataset.intrinsics[frame])).save(temporary, format="PNG")


def _index(dataset: VideoDataset, view: CommonView) -> tuple[dict[str, Any], tuple[str, ...]]:
    shape, cut_shape = fitted(dataset.betas, SHAPE_COUNT, "Shape parameters")
    expressions, cut_expressions = fitted(dataset.expressions, EXPRESSION_COUNT, "Expression parameters")
    size = torch.tensor([view.width, view.height], dtype=torch.float64)
    landmarks = view.move(dataset.landmarks.double(), dataset.intrinsics)
    points = face_points(landmarks, view.width, view.height) / size * 2 - 1
    cameras = opencv_from_opengl() @ dataset.camera_from_world.double()
    shifts = cameras[:, :3, 3] + (cameras[:, :3, :3] @ dataset.translations.double()[..., None])[..., 0]
    world_mats = torch.cat([cameras[:, :3, :3], SCALE * shifts[..., None]], dim=2)
    focal, center = view.intrinsics.diagonal()[:2] / size, view.intrinsics[:2, 2] / size
    frames = [
        {
            "file_path": f"./image/{number + 1}",
            "world_mat": world_mats[number].tolist(),
            "expression": expressions[number].tolist(),
            "pose": dataset.poses[number].flatten().tolist(),
            "bbox": _box(points[number]),
            "flame_keypoints": points[number].tolist(),
        }
        for number in range(len(dataset))
    ]
    intrinsics = [-focal[0].item(), focal[1].item(), *center.tolist()]
    return {"frames": frames, "shape_params": shape.tolist(), "intrinsics": intrinsics}, cut_shape + cut_expressions


def _box(points: Float[Tensor, "point 2"]) -> list[float]:
    """The box round the points; the whole picture without points."""
    if len(points) == 0:
        return [-1.0, -1.0, 1.0, 1.0]
    return [*points.amin(0).tolist(), *points.amax(0).tolist()]
