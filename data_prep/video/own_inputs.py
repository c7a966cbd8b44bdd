"""Read landmarks and masks that the user made with other tools."""

import re
import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from body_models.errors import InputError
from data_prep.video.detections import FACE_POINTS, FaceDetections
from data_prep.video.face_points import LANDMARKS_68

MASK_SUFFIXES = (".png", ".webp", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
FAR_OUTSIDE = 2.0
"""Landmarks further out than this many picture sizes belong to another picture or another unit."""
_NEXT = "Give an .npz with `landmarks` (frames x 478 x 2 or frames x 68 x 2, pixels, NaN for unseen)."


def read_landmarks(path: Path | str, frame_count: int, width: int, height: int) -> Float[np.ndarray, "frame 478 2"]:
    """Landmarks in pixels of the source picture (x right, y down), NaN for unseen; 68 points go to their mesh points.

    Raises InputError for a file that cannot be read, or that does not fit the video's frames or size.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            if "landmarks" not in stored:
                raise InputError(f"'{path}' has no array `landmarks`, only: {', '.join(stored)}. {_NEXT}")
            points = np.array(stored["landmarks"])
    except InputError:
        raise
    except (OSError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"Cannot read the landmarks '{path}': {error}. {_NEXT}") from error
    if (
        points.ndim != 3
        or points.shape[1] not in (68, FACE_POINTS)
        or points.shape[2] != 2
        or points.dtype.kind not in "fiu"
    ):
        shape = " x ".join(map(str, points.shape))
        raise InputError(f"`landmarks` in '{path}' is {shape} of {points.dtype}. {_NEXT}")
    if len(points) != frame_count:
        raise InputError(
            f"'{path}' has landmarks for {len(points)} frames, but {frame_count} frames are read from the video. "
            "Give one row for each frame read; check --start, --end and --fps."
        )
    _check_pixels(points, path, width, height)
    if points.shape[1] == FACE_POINTS:
        return points.astype(np.float32)
    mesh = np.full((frame_count, FACE_POINTS, 2), np.nan, np.float32)
    mesh[:, list(LANDMARKS_68)] = points
    return mesh


def _check_pixels(points: np.ndarray, path: Path | str, width: int, height: int) -> None:
    seen = np.isfinite(points).all(axis=2)
    if not seen.any():
        raise InputError(f"`landmarks` in '{path}' are all NaN: no frame has a face. {_NEXT}")
    if np.abs(points[seen]).max() <= 1.0:
        raise InputError(
            f"`landmarks` in '{path}' lie between -1 and 1; multiply them by {width} x {height} to get pixels."
        )
    if np.abs(points[seen] / [width, height]).max() > FAR_OUTSIDE:
        raise InputError(
            f"`landmarks` in '{path}' reach {points[seen].max(axis=0).round().tolist()}, far outside the picture of "
            f"{width} x {height}. Give pixels of the video's own frames."
        )


def as_detections(
    landmarks: Float[np.ndarray, "frame 478 2"], scene: Int[np.ndarray, "frame"] | None = None
) -> FaceDetections:
    """The user's landmarks in place of detected ones: no hands, and sharpness and brightness not known."""
    frames = len(landmarks)
    unknown = np.full(frames, np.nan)
    return FaceDetections(
        landmarks=landmarks,
        depth=np.full((frames, FACE_POINTS), np.nan, np.float32),
        covered=np.zeros((frames, FACE_POINTS), bool),
        face_count=np.isfinite(landmarks).any(axis=(1, 2)).astype(np.int64),
        sharpness=unknown,
        brightness=unknown,
        scene=np.zeros(frames, np.int64) if scene is None else scene,
    )


class OwnMasks:
    """A folder of masks, one for each frame, read one at a time."""

    def __init__(self, files: list[Path], width: int, height: int) -> None:
        self._files, self._size = files, (width, height)

    def __len__(self) -> int:
        return len(self._files)

    def __call__(self, frame: int) -> Float[np.ndarray, "height width"]:
        """Alpha in [0, 1] of one frame, in the video's size. Raises InputError for a file that is no picture."""
        path = self._files[frame]
        try:
            with Image.open(path) as picture:
                alpha = _one_channel(picture).resize(self._size, Image.Resampling.BILINEAR)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise InputError(f"Cannot read the mask '{path}': {error}. Write it again as a PNG.") from error
        return np.clip(np.asarray(alpha, np.float32), 0.0, 1.0)


def read_masks(folder: Path | str, frame_count: int, width: int, height: int) -> OwnMasks:
    """Masks named in the order of the frames, of any size (scaled to the video's), one channel or an alpha channel.

    Raises InputError when their number or their proportions do not fit the video.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"--masks '{folder}' is no folder; name one that holds a PNG for each frame.")
    files = [
        file for file in folder.iterdir() if file.suffix.lower() in MASK_SUFFIXES and not file.name.startswith(".")
    ]
    if len(files) != frame_count:
        raise InputError(
            f"'{folder}' holds {len(files)} masks, but {frame_count} frames are read from the video. "
            "Give one for each frame read, named in their order; check --start, --end and --fps."
        )
    masks = OwnMasks(sorted(files, key=natural_order), width, height)
    _check_proportions(masks, width, height)
    return masks


def _check_proportions(masks: OwnMasks, width: int, height: int) -> None:
    path = masks._files[0]
    masks(0)
    with Image.open(path) as picture:
        mask_width, mask_height = picture.size
    if abs(mask_width * height / (mask_height * width) - 1) > 0.02:
        raise InputError(
            f"The mask '{path}' is {mask_width} x {mask_height}, the video {width} x {height}: other proportions. "
            "Give masks of whole frames, turned as the video is shown."
        )


def natural_order(file: Path) -> tuple[list[tuple[int, str]], str]:
    """mask_2 before mask_10."""
    parts = re.findall(r"\d+|\D+", file.stem)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], file.name


def _one_channel(picture: Image.Image) -> Image.Image:
    """Alpha in [0, 1]: the alpha channel when there is one, grey otherwise."""
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        channel = picture.convert("RGBA").getchannel("A")
    elif picture.mode == "1" or picture.mode.startswith("I") or picture.mode == "F":
        return _scaled_values(picture)
    else:
        channel = picture.convert("L")
    return Image.fromarray(np.asarray(channel, np.float32) / 255)


def _scaled_values(picture: Image.Image) -> Image.Image:
    """Values of pictures with 1, 16 or 32 bits: 65535 or 1 is opaque."""
    values = np.asarray(picture).astype(np.float32)
    return Image.fromarray(values / 65535 if picture.mode.startswith("I") else values)
