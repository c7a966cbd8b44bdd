"""Prepare a video of a head: detect the face, cut out pictures and masks, track the head, write the dataset."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float

from body_models.errors import InputError
from data_prep.tracking import HeadTrack, Observations, track_head
from data_prep.video.advice import advice
from data_prep.video.crop import Crops, cut_out, head_crops, whole_picture
from data_prep.video.detect import FaceDetections, FaceDetector, shot_frames
from data_prep.video.face_mesh import face_mesh_landmarks, face_mesh_offsets
from data_prep.video.frame_source import Frame
from data_prep.video.outline import outline
from data_prep.video.own_inputs import as_detections, read_landmarks, read_masks
from data_prep.video.people import PersonSegmenter
from data_prep.video.quality import FrameQuality, judge
from data_prep.video.report import write_report
from data_prep.video.run import Run
from data_prep.video.stored import cut_alpha, image_name, mask_name, write_picture
from data_prep.video_dataset import VideoDataset, VideoFrame, write_video_dataset

FACES, PICTURES = "Finding the face", "Cutting out the head"
HEAD_RING = (10, 152, 234, 454)
"""Face mesh points at the forehead, chin and sides, whose middle is within the head."""
FEWEST = 3
"""Frames with a face that are needed."""
POOR_FIT = 0.12
"""Mean landmark error, as a share of the distance between the eyes, above which a frame is left out."""

STRANGE = 3.0
"""Standard deviations of an identity parameter from which a face is no usual person's."""


def prepare_head(run: Run) -> VideoDataset:
    """All stages; each that is done is kept in the work folder."""
    points = face_mesh_landmarks(run.model)
    detections, times, sources = _faces(run)
    width, height = run.size
    quality = judge(detections, width, height)
    _check_faces(run, detections)
    crops = _crops(run, detections)
    outlines, centers = _pictures(run, detections, crops)
    seen = Observations(
        landmarks=torch.from_numpy(detections.landmarks).float(),
        weights=torch.from_numpy(quality.landmark_weights * ~quality.flags["other_shot"][:, None]).float(),
        times=torch.from_numpy(times).float(),
        width=width,
        height=height,
        outline_centers=torch.from_numpy(centers).float(),
        outlines=torch.from_numpy(outlines).float(),
        intrinsics=run.known_intrinsics,
    )
    offsets = None if run.options.landmarks is not None else face_mesh_offsets(run.model)
    track = track_head(run.model, points, seen, run.progress, detector_offsets=offsets)
    dataset = _dataset(run, detections, quality, crops, track, times, sources)
    write_video_dataset(dataset, run.out)
    dataset = dataclasses.replace(dataset, folder=run.out)
    figures = _figures(track, quality)
    errors = track.landmark_errors.numpy().astype(np.float64)
    write_report(dataset, run.out, run.progress, errors, figures, overlay_video=run.options.overlay)
    return dataset


def _faces(run: Run) -> tuple[FaceDetections, Float[np.ndarray, "frame"], list[int]]:
    """The face in every frame, with the frames' times and numbers in the file."""
    with _face_rows(run) as (row_of, resume):
        rows = run.each_frame(FACES, row_of, resume)
    times, sources = rows.pop("time", np.zeros(0)), rows.pop("source", np.zeros(0, int)).tolist()
    if not sources:
        raise InputError(f"No frame of {run.source.info.path} could be decoded; the file may be damaged.")
    if run.options.landmarks is not None:
        width, height = run.size
        own = read_landmarks(run.options.landmarks, len(sources), width, height)
        return as_detections(own), times, sources
    return FaceDetections(**rows), times, sources


@contextmanager
def _face_rows(
    run: Run,
) -> Iterator[tuple[Callable[[Frame], dict[str, np.ndarray]], Callable[[dict[str, np.ndarray]], None] | None]]:
    """What to note of every frame: the detected face, or nothing where the user brings landmarks."""

    def when(frame: Frame) -> dict[str, np.ndarray]:
        return {"time": np.asarray(frame.time), "source": np.asarray(frame.source)}

    if run.options.landmarks is not None:
        yield when, None
        return
    with FaceDetector() as detector:

        def resume(rows: dict[str, np.ndarray]) -> None:
            names = [field.name for field in dataclasses.fields(FaceDetections)]
            earlier = FaceDetections(**{name: rows[name] for name in names})
            shots = {shot: next(run.source.frames(frame)).rgb for shot, frame in shot_frames(earlier).items()}
            detector.resume(earlier, shots)

        yield (lambda frame: detector(frame).row() | when(frame)), resume


def _check_faces(run: Run, detections: FaceDetections) -> None:
    path, count = run.source.info.path, int(detections.found.sum())
    if count == 0:
        raise InputError(
            f"No face was found in any of the {len(detections)} frames of {path}. Take a video of one face, well lit "
            "and at least 40 pixels wide; choose a part with --start and --end; or, for a whole person, add --body."
        )
    if count < FEWEST:
        raise InputError(
            f"{path} shows a face in {count} of {len(detections)} frames, too few to track a head. Choose another part "
            "with --start and --end."
        )
    if count < 0.5 * len(detections):
        run.say(f"Only {count} of {len(detections)} frames show a face; --start and --end choose a part.")


def _crops(run: Run, detections: FaceDetections) -> Crops:
    width, height = run.size
    if run.options.crop == "none":
        return whole_picture(width, height, len(detections), run.options.size)
    rate = run.source.info.frame_rate
    return head_crops(detections.boxes, width, height, run.options.size, rate, detections.scene)


def _pictures(
    run: Run, detections: FaceDetections, crops: Crops
) -> tuple[Float[np.ndarray, "frame ray"], Float[np.ndarray, "frame 2"]]:
    """Write picture and mask of every frame; the masks' outlines about the head's middle (source pixels)."""
    centers = _head_centers(detections, crops)
    in_crop = crops.to_crop(centers[:, None])[:, 0]
    width, height = run.size
    own = None if run.options.masks is None else read_masks(run.options.masks, len(detections), width, height)
    with PersonSegmenter() as segment:

        def alpha_of(index: int, rgb: np.ndarray) -> Float[np.ndarray, "side side"]:
            return segment(rgb, in_crop[index]) if own is None else cut_alpha(own(index), crops, index)

        def row_of(frame: Frame) -> dict[str, np.ndarray]:
            index = frame.index
            rgb = cut_out(frame.rgb, crops.centers[index], float(crops.sides[index]), crops.size)
            alpha = alpha_of(index, rgb)
            write_picture(run.out, index, rgb, alpha)
            return {"outline": outline(alpha, in_crop[index]) * (crops.sides[index] / crops.size)}

        rows = run.each_frame(PICTURES, row_of)
    return rows["outline"].astype(np.float64), centers


def _head_centers(detections: FaceDetections, crops: Crops) -> Float[np.ndarray, "frame 2"]:
    """The middle of the head in each frame; where no face is seen, the crop's middle."""
    ring = np.nan_to_num(detections.landmarks[:, list(HEAD_RING)], nan=0.0).mean(axis=1)
    known = np.isfinite(detections.landmarks[:, list(HEAD_RING)]).all(axis=(1, 2))
    return np.where(known[:, None], ring, crops.centers).astype(np.float64)


def _dataset(
    run: Run,
    detections: FaceDetections,
    quality: FrameQuality,
    crops: Crops,
    track: HeadTrack,
    times: Float[np.ndarray, "frame"],
    sources: list[int],
) -> VideoDataset:
    poor = torch.nan_to_num(track.landmark_errors, nan=0.0).numpy() > POOR_FIT
    use = quality.use & track.tracked.numpy() & ~poor
    frames = tuple(
        VideoFrame(
            source=sources[i],
            time=float(times[i]),
            image=image_name(i),
            mask=mask_name(i),
            flags=quality.names(i) + (("poor_fit",) if poor[i] else ()),
            use=bool(use[i]),
        )
        for i in range(len(sources))
    )
    count = len(frames)
    camera_from_world = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0])).repeat(count, 1, 1)
    return VideoDataset(
        frames=frames,
        width=crops.size,
        height=crops.size,
        frame_rate=run.source.info.frame_rate,
        model=run.model_name,
        betas=track.betas,
        joint_names=run.model.skeleton.joint_names,
        expression_names=run.model.expression_names,
        intrinsics=crops.intrinsics(track.intrinsics).float(),
        camera_from_world=camera_from_world,
        poses=track.poses,
        translations=track.translations,
        expressions=track.expressions,
        landmarks=torch.from_numpy(crops.to_crop(detections.landmarks)).float(),
        landmark_weights=torch.from_numpy(quality.landmark_weights).float(),
        warnings=(*advice(quality, sources), *_strange_face(track), *_poor_fits(poor, sources)),
        notes=_notes(run, crops),
    )


def _strange_face(track: HeadTrack) -> list[str]:
    """A warning for a face that the model's people hardly have."""
    if float(track.betas.abs().max()) < STRANGE:
        return []
    return [
        "the face is unlike those of people: a drawing or a mask, or landmarks that are off? Look at contact_sheet.png "
        "before going on"
    ]


def _poor_fits(poor: np.ndarray, sources: list[int]) -> list[str]:
    bad = [str(sources[i]) for i in np.flatnonzero(poor)]
    if not bad:
        return []
    listed = ", ".join(bad[:8]) + (" and more" if len(bad) > 8 else "")
    return [f"{len(bad)} frames ({listed}): the head could not be brought onto the landmarks; left out"]


def _notes(run: Run, crops: Crops) -> tuple[str, ...]:
    width, height = run.size
    kind = "fixed" if crops.fixed else "follows the head"
    return (
        f"made from {run.source.info.path.name}, {width} x {height} pixels",
        f"crop {kind}, {float(np.median(crops.sides)):.0f} source pixels wide",
        "focal length given" if run.options.focal is not None else "focal length estimated from the landmarks",
        *(["landmarks are the user's own"] if run.options.landmarks is not None else []),
        *(["masks are the user's own"] if run.options.masks is not None else []),
        *run.notes(FACES),
    )


def _figures(track: HeadTrack, quality: FrameQuality) -> dict[str, str]:
    surface = track.surface_errors[track.tracked & torch.from_numpy(quality.use)]
    if not len(surface):
        return {}
    return {"Landmark error without personal shifts": f"{100 * float(surface.nanmedian()):.1f} % of the eye distance"}
