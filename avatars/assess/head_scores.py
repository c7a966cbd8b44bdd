"""How like the frames of a tracked video a head is that is posed as they were tracked."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from avatars.assess.face_landmarks import FaceDetector, Points, detector_missing, mean_distance, own_error
from avatars.fit.video_report import HeadView, Render
from avatars.image_metrics import (
    hull_region,
    lpips_missing,
    mean_absolute,
    peak_ratio,
    perceptual,
    structural,
    structural_published,
)
from body_models import InputError
from data_prep.camera import Camera
from data_prep.video.face_points import FACE_POINTS, LANDMARKS_68
from data_prep.video_dataset import VideoDataset

SIZE = 256
"""Longer side of the pictures that are compared, as published (pixels)."""
SMALLEST, LARGEST = 32, 2048


@dataclass(frozen=True)
class TrueNormals:
    """What a camera would see of the true surface."""

    normal: Float[np.ndarray, "height width 3"]
    """Unit, world space."""
    head: Bool[np.ndarray, "height width"]
    """Where the truth is known and meant: skin and the fronts of the eyes, where nothing covers them."""


@dataclass(frozen=True)
class Reference:
    """A frame of the video as it is compared."""

    rgb: Float[np.ndarray, "height width 3"]
    """sRGB-coded, 0 to 1; on white."""
    person: Bool[np.ndarray, "height width"]
    face: Bool[np.ndarray, "height width"]
    """The convex hull of the landmarks."""
    points: Points | None
    """Landmarks that the detector finds in the picture."""
    camera: Camera


@dataclass(frozen=True)
class PictureScores:
    """How alike two pictures are inside a region."""

    l1: float
    """Mean absolute difference of sRGB-coded colours from 0 to 1."""
    psnr: float
    """dB."""
    ssim: float
    """Averaged inside the region."""
    ssim_published: float
    """As IMavatar's tables have it: both black outside the region, averaged over the whole picture."""
    lpips: float | None
    """None where its networks are not at hand."""


@dataclass(frozen=True)
class FrameScores:
    """One frame's figures; None for what could not be told."""

    frame: int
    """Its number in the dataset."""
    face: PictureScores | None
    """Inside the convex hull of the landmarks."""
    person: PictureScores | None
    """Inside the person's mask."""
    iou: float
    """Overlap of the head with that mask."""
    expression: float | None
    """Mean distance between landmarks found in the render and in the frame (pixels at 256)."""
    floor: float | None
    """The same between the frame and itself, a little shifted and with grain: the detector's own error."""
    normal_face: float | None
    """Mean angle between rendered and true normals where both are seen (degrees), inside the landmarks' hull."""
    normal_head: float | None
    """The same on all of the head's skin that is seen, the neck and ears with it."""


@dataclass(frozen=True)
class HeadScores:
    """The figures of all frames."""

    frames: tuple[FrameScores, ...]
    size: int
    """Longer side of the compared pictures (pixels)."""
    seconds: float
    """A frame, rendering included."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""

    def mean(self, name: str) -> float | None:
        """Mean over the frames that have it, of a figure such as "expression" or "face.psnr"; None if none has."""
        values = [_figure(frame, name) for frame in self.frames]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    def count(self, name: str) -> int:
        """How many frames have a figure."""
        return sum(_figure(frame, name) is not None for frame in self.frames)


def score_head(
    render: Render,
    dataset: VideoDataset,
    frames: Sequence[int],
    size: int = SIZE,
    *,
    truth: Callable[[int, Camera], TrueNormals] | None = None,
    watch: Callable[[FrameScores, Reference, HeadView], None] | None = None,
) -> HeadScores:
    """Render frames of a dataset as they were tracked and compare them with the pictures, both on white.

    `truth` gives the true normals of a frame where they are known; `watch` hears of each frame. Where MediaPipe or
    LPIPS are not installed their figures are None. Raises InputError for no frames, a missing mask or picture, and
    renders that are not finite.
    """
    if not frames:
        raise InputError("No frames to compare the head with; the dataset has none that can be used.")
    check_size(size)
    detect = FaceDetector() if detector_missing() is None else None
    rows, started = [], time.perf_counter()
    try:
        for frame in frames:
            shown = reference(dataset, frame, size, detect)
            moving = (dataset.poses[frame], dataset.translations[frame], dataset.expressions[frame])
            view = render(*moving, shown.camera)
            rows.append(_score(frame, shown, view, detect, None if truth is None else truth(frame, shown.camera)))
            if watch is not None:
                watch(rows[-1], shown, view)
    finally:
        if detect is not None:
            detect.close()
    seconds = (time.perf_counter() - started) / len(rows)
    return HeadScores(tuple(rows), size, seconds, _notes(rows))


def check_size(size: int) -> None:
    """Raise InputError for pictures too small to compare, or needlessly large."""
    if not SMALLEST <= size <= LARGEST:
        raise InputError(f"A size of {size} pixels is not in {SMALLEST} to {LARGEST}; 256 is what papers use.")


def reference(dataset: VideoDataset, frame: int, size: int, detect: FaceDetector | None) -> Reference:
    """A frame on white with its regions, the longer side made `size` pixels; pictures are never made larger."""
    scale = min(1.0, size / max(dataset.width, dataset.height))
    width, height = max(1, round(scale * dataset.width)), max(1, round(scale * dataset.height))
    coverage = dataset.alpha(frame)[..., None]
    composed = dataset.image(frame) * coverage + 255 * (1 - coverage)
    rgb = _shrunk(composed.round().astype(np.uint8), width, height)
    alpha = _shrunk((255 * coverage[..., 0]).round().astype(np.uint8), width, height)
    points = None if detect is None else detect(rgb)
    landmarks = dataset.landmarks[frame].numpy()
    landmarks = landmarks[list(LANDMARKS_68)] if len(landmarks) == FACE_POINTS else landmarks
    face = hull_region(landmarks * (width / dataset.width, height / dataset.height), height, width)
    if not face.any() and points is not None:
        face = hull_region(points, height, width)
    camera = dataset.camera(frame).resized(width, height)
    return Reference((rgb / 255).astype(np.float32), alpha > 127, face, points, camera)


def picture_scores(
    first: Float[np.ndarray, "height width 3"],
    second: Float[np.ndarray, "height width 3"],
    region: Bool[np.ndarray, "height width"],
) -> PictureScores | None:
    """All figures of two pictures inside a region; None for an empty one."""
    if not region.any():
        return None
    lpips = perceptual(first, second, region) if lpips_missing() is None else None
    pictures = (first, second, region)
    return PictureScores(
        mean_absolute(*pictures), peak_ratio(*pictures), structural(*pictures), structural_published(*pictures), lpips
    )


def normal_error(view: HeadView, truth: TrueNormals, region: Bool[np.ndarray, "height width"]) -> float | None:
    """Mean angle (degrees) between rendered and true normals where both are seen in a region; None where nowhere."""
    normal = view.normal.cpu().double().numpy()
    length = np.linalg.norm(normal, axis=-1)
    where = region & truth.head & (view.mask.cpu().numpy() > 0.5) & (length > 0.5)
    if not where.any():
        return None
    cosine = (normal[where] * truth.normal[where]).sum(-1) / length[where]
    return float(np.degrees(np.arccos(cosine.clip(-1, 1))).mean())


def to_bytes(rgb: Float[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width 3"]:
    """Colours from 0 to 1 as bytes."""
    return (255 * rgb.clip(0, 1)).round().astype(np.uint8)


def _score(
    frame: int, shown: Reference, view: HeadView, detect: FaceDetector | None, truth: TrueNormals | None
) -> FrameScores:
    drawn = view.rgb.detach().cpu().float().numpy()
    if not np.isfinite(drawn).all():
        raise InputError(f"The head's picture of frame {frame} is not finite; the avatar's file may be damaged.")
    covered = view.mask.cpu().numpy() > 0.5
    either = (covered | shown.person).sum()
    expression = floor = None
    if detect is not None and shown.points is not None:
        found, longer = detect(to_bytes(drawn)), max(shown.face.shape)
        expression = None if found is None else mean_distance(found, shown.points, longer)
        floor = own_error(detect, to_bytes(shown.rgb), shown.points, np.random.default_rng(frame))
    everywhere = np.ones_like(shown.face)
    return FrameScores(
        frame=frame,
        face=picture_scores(drawn, shown.rgb, shown.face),
        person=picture_scores(drawn, shown.rgb, shown.person),
        iou=float((covered & shown.person).sum() / max(either, 1)),
        expression=expression,
        floor=floor,
        normal_face=None if truth is None else normal_error(view, truth, shown.face),
        normal_head=None if truth is None else normal_error(view, truth, everywhere),
    )


def _notes(rows: Sequence[FrameScores]) -> tuple[str, ...]:
    notes = []
    missing, unseen = detector_missing(), sum(row.expression is None for row in rows)
    if missing is not None:
        notes.append(f"No expression error: {missing}.")
    elif unseen:
        notes.append(f"In {unseen} of {len(rows)} frames no face was found in the video's picture or in the render's.")
    if lpips_missing() is not None:
        notes.append(f"No LPIPS: {lpips_missing()}.")
    if faceless := sum(row.face is None for row in rows):
        notes.append(f"{faceless} of {len(rows)} frames have no landmarks, so no face region.")
    return tuple(notes)


def _figure(frame: FrameScores, name: str) -> float | None:
    value: object = frame
    for part in name.split("."):
        value = None if value is None else getattr(value, part)
    return float(value) if isinstance(value, (int, float)) else None


def _shrunk(picture: UInt8[np.ndarray, "height width *channel"], width: int, height: int) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))
