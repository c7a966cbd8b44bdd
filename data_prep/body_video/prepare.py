"""Prepare a video of a whole person: keypoints and mask, pictures, a body tracked in every frame, the dataset."""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image

from body_models.errors import InputError
from data_prep.atomic import replacing
from data_prep.body_video.detections import KEYPOINTS, BodyDetections
from data_prep.body_video.detector import BodyDetector
from data_prep.body_video.fit import BodyTrack, track_body
from data_prep.body_video.silhouette import MaskOf
from data_prep.video.crop import Crops, cut_out, fixed_crop, whole_picture
from data_prep.video.frame_source import Frame
from data_prep.video.matting import refine_alpha
from data_prep.video.own_inputs import read_masks
from data_prep.video.report import write_report
from data_prep.video.run import Run
from data_prep.video.stored import cut_alpha, image_name, mask_name, to_bytes, write_picture
from data_prep.video_dataset import VideoDataset, VideoFrame, write_video_dataset

PEOPLE, PICTURES = "Finding the person", "Cutting out the person"
MASK_SIDE = 512
"""Longer side of the masks that are kept between the passes; the network's own have 256."""
AROUND = 1.25
"""Side of the crop over the longer side of the box of all keypoints: head, hands and feet reach beyond them."""


def prepare_body(run: Run) -> VideoDataset:
    """All stages; each that is done is kept in the work folder."""
    rows = _people(run)
    times, sources = rows.pop("time", np.zeros(0)), rows.pop("source", np.zeros(0, int)).tolist()
    if not sources:
        raise InputError(f"No frame of {run.source.info.path} could be decoded; the file may be damaged.")
    detections = BodyDetections(**rows)
    if not detections.found.any():
        raise InputError(
            f"No person was found in any of the {len(sources)} frames of {run.source.info.path}. The body must be in "
            "the picture and well lit; choose a part with --start and --end, or leave --body away for a head."
        )
    width, height = run.size
    mask_of = _masks(run, detections)
    crops = _crops(run, detections)
    run.each_frame(PICTURES, lambda frame: _written(run, frame, crops, mask_of))
    track = track_body(run.model, detections, times, width, height, run.known_intrinsics, mask_of, run.progress)
    dataset = _dataset(run, detections, crops, track, times, sources)
    write_video_dataset(dataset, run.out)
    dataset = dataclasses.replace(dataset, folder=run.out)
    write_report(dataset, run.out, run.progress, figures=_figures(track), overlay_video=run.options.overlay)
    return dataset


def _people(run: Run) -> dict[str, np.ndarray]:
    """Keypoints, time and number of each frame; the masks go to files in the work folder."""
    names = [field.name for field in dataclasses.fields(BodyDetections)]
    with BodyDetector() as detector:

        def row_of(frame: Frame) -> dict[str, np.ndarray]:
            seen = detector(frame)
            _keep_mask(run.work, frame.index, seen.alpha)
            row = {name: np.asarray(getattr(seen, name)) for name in names}
            return row | {"time": np.asarray(frame.time), "source": np.asarray(frame.source)}

        return run.each_frame(PEOPLE, row_of)


def _keep_mask(work: Path, index: int, alpha: Float[np.ndarray, "height width"]) -> None:
    scale = min(1.0, MASK_SIDE / max(alpha.shape))
    size = (max(1, round(alpha.shape[1] * scale)), max(1, round(alpha.shape[0] * scale)))
    with replacing(_mask_file(work, index)) as temporary:
        Image.fromarray(to_bytes(alpha)).resize(size, Image.Resampling.BILINEAR).save(temporary, format="PNG")


def _mask_file(work: Path, index: int) -> Path:
    return work / "masks" / f"{index:06d}.png"


def _masks(run: Run, detections: BodyDetections) -> MaskOf:
    """Whole-frame masks by the frames' numbers: the user's own, or those kept from the first pass."""
    width, height = run.size
    if run.options.masks is not None:
        return read_masks(run.options.masks, len(detections), width, height)

    def kept(index: int) -> Float[np.ndarray, "rows columns"] | None:
        if not detections.found[index]:
            return None
        with Image.open(_mask_file(run.work, index)) as picture:
            return np.asarray(picture, np.float32) / 255

    return kept


def _crops(run: Run, detections: BodyDetections) -> Crops:
    """One square about the person in all frames, or about the whole picture."""
    (width, height), count = run.size, len(detections)
    points = detections.keypoints[detections.found].reshape(-1, 2)
    low, high = np.quantile(points, 0.002, axis=0), np.quantile(points, 0.998, axis=0)
    side = AROUND * float((high - low).max())
    if run.options.crop == "none" or side >= max(width, height):
        return whole_picture(width, height, count, run.options.size)
    middle = np.clip((low + high) / 2, side / 2, np.maximum(np.array([width, height]) - side / 2, side / 2))
    left, top = (middle - side / 2).tolist()
    return fixed_crop(left, top, side, width, height, count, run.options.size)


def _written(run: Run, frame: Frame, crops: Crops, mask_of: MaskOf) -> dict[str, np.ndarray]:
    """Write picture and mask of a frame; there is nothing else to note."""
    rgb = cut_out(frame.rgb, crops.centers[frame.index], float(crops.sides[frame.index]), crops.size)
    mask = mask_of(frame.index)
    if mask is None:
        alpha = np.zeros(rgb.shape[:2], np.float32)
    else:
        whole = Image.fromarray(to_bytes(mask)).resize(run.size, Image.Resampling.BILINEAR)
        alpha = cut_alpha(np.asarray(whole, np.float32) / 255, crops, frame.index)
        alpha = alpha if run.options.masks is not None else refine_alpha(rgb, alpha)
    write_picture(run.out, frame.index, rgb, alpha)
    return {"written": np.asarray(True)}


def _dataset(
    run: Run,
    detections: BodyDetections,
    crops: Crops,
    track: BodyTrack,
    times: Float[np.ndarray, "frame"],
    sources: list[int],
) -> VideoDataset:
    found, tracked = detections.found, track.tracked.numpy()
    flags = [
        (() if found[i] else ("no_person",))
        + (("poor_fit",) if found[i] and not tracked[i] else ())
        + (("two_people",) if detections.others[i] else ())
        for i in range(len(sources))
    ]
    frames = tuple(
        VideoFrame(sources[i], float(times[i]), image_name(i), mask_name(i), flags[i], bool(tracked[i]))
        for i in range(len(sources))
    )
    count = len(frames)
    return VideoDataset(
        frames=frames,
        width=crops.size,
        height=crops.size,
        frame_rate=run.source.info.frame_rate,
        model=run.model_name,
        betas=track.betas.float(),
        joint_names=run.model.skeleton.joint_names,
        expression_names=(),
        intrinsics=crops.intrinsics(track.intrinsics.float()).float(),
        camera_from_world=torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0])).repeat(count, 1, 1),
        poses=track.poses.float(),
        translations=track.translations.float(),
        expressions=torch.zeros(count, 0),
        landmarks=torch.from_numpy(crops.to_crop(detections.keypoints)).float(),
        landmark_weights=torch.from_numpy(np.nan_to_num(detections.visibility)).float().clamp(0, 1),
        warnings=tuple(_warnings(found, tracked, detections.others)),
        notes=(
            f"made from {run.source.info.path.name}, {run.size[0]} x {run.size[1]} pixels",
            f"landmarks are MediaPipe's {len(KEYPOINTS)} pose keypoints",
            "focal length given" if run.options.focal is not None else "focal length estimated from the keypoints",
            *run.notes(PEOPLE),
        ),
    )


def _warnings(found: np.ndarray, tracked: np.ndarray, others: np.ndarray) -> list[str]:
    counts = (
        (int((~found).sum()), "show nobody; left out. Choose a part with --start and --end"),
        (int((found & ~tracked).sum()), "show too little of the person, or do not fit the body; left out"),
        (int(others.sum()), "show somebody else too; the person found first is followed"),
    )
    return [f"{count} {'frame' if count == 1 else 'frames'} {what}" for count, what in counts if count]


def _figures(track: BodyTrack) -> dict[str, str]:
    errors = track.keypoint_errors[track.tracked]
    if not len(errors):
        return {}
    return {"Keypoint error": f"{100 * float(errors.median()):.1f} % of the person's height (median)"}
