"""What is known about the face in each frame of a video, one row a frame, and its file."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from data_prep.video.face_points import FACE_POINTS


@dataclass(frozen=True)
class FaceObservation:
    """The face that is followed, in one frame; pixels of the source picture, x right, y down, pixel centres at +0.5."""

    landmarks: Float[np.ndarray, "478 2"]
    """NaN without a face."""
    depth: Float[np.ndarray, "478"]
    """Depth of each point relative to the head's middle in pixels, smaller is nearer; NaN without a face."""
    covered: Bool[np.ndarray, "478"]
    """Whether a hand lies over the point."""
    face_count: int
    """Faces in the frame, the followed one among them."""
    sharpness: float
    """Variance of the Laplacian over the face at a common size and contrast; NaN without a face."""
    brightness: float
    """Mean over the face, or the whole frame without one, 0 to 255."""
    scene: int
    """Number of the shot; a camera that returns keeps its number."""

    @property
    def found(self) -> bool:
        """Whether a face was found."""
        return bool(np.isfinite(self.landmarks).any())

    def row(self) -> dict[str, np.ndarray]:
        """As named arrays."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in dataclasses.fields(self)}


@dataclass(frozen=True)
class FaceDetections:
    """The face that is followed, over all frames; the fields are those of FaceObservation."""

    landmarks: Float[np.ndarray, "frame 478 2"]
    depth: Float[np.ndarray, "frame 478"]
    covered: Bool[np.ndarray, "frame 478"]
    face_count: Int[np.ndarray, "frame"]
    sharpness: Float[np.ndarray, "frame"]
    brightness: Float[np.ndarray, "frame"]
    scene: Int[np.ndarray, "frame"]

    @property
    def found(self) -> Bool[np.ndarray, "frame"]:
        """Whether each frame has a face."""
        found: np.ndarray = np.isfinite(self.landmarks).any(axis=(1, 2))
        return found

    @property
    def boxes(self) -> Float[np.ndarray, "frame 4"]:
        """Box of the landmarks (left, top, right, bottom) in pixels; NaN without a face."""
        points = np.where(np.isfinite(self.landmarks), self.landmarks, np.nan)
        low = np.min(points, axis=1, initial=np.inf, where=np.isfinite(points))
        high = np.max(points, axis=1, initial=-np.inf, where=np.isfinite(points))
        boxes = np.concatenate([low, high], axis=1)
        boxes[~self.found] = np.nan
        return boxes

    def __len__(self) -> int:
        return len(self.scene)

    def __add__(self, later: "FaceDetections") -> "FaceDetections":
        """Both, one after the other."""
        names = [field.name for field in dataclasses.fields(self)]
        return FaceDetections(**{name: np.concatenate([getattr(self, name), getattr(later, name)]) for name in names})

    def observation(self, index: int) -> FaceObservation:
        """One frame."""
        return FaceObservation(
            landmarks=self.landmarks[index],
            depth=self.depth[index],
            covered=self.covered[index],
            face_count=int(self.face_count[index]),
            sharpness=float(self.sharpness[index]),
            brightness=float(self.brightness[index]),
            scene=int(self.scene[index]),
        )


def nothing_seen(brightness: float = float("nan"), face_count: int = 0, scene: int = 0) -> FaceObservation:
    """A frame without a face to follow."""
    return FaceObservation(
        landmarks=np.full((FACE_POINTS, 2), np.nan, np.float32),
        depth=np.full(FACE_POINTS, np.nan, np.float32),
        covered=np.zeros(FACE_POINTS, bool),
        face_count=face_count,
        sharpness=float("nan"),
        brightness=brightness,
        scene=scene,
    )


def join(rows: Sequence[FaceObservation]) -> FaceDetections:
    """Put frames together, in order."""
    points = np.zeros((0, FACE_POINTS), np.float32)
    return FaceDetections(
        landmarks=np.stack([row.landmarks for row in rows]) if rows else np.zeros((0, FACE_POINTS, 2), np.float32),
        depth=np.stack([row.depth for row in rows]) if rows else points,
        covered=np.stack([row.covered for row in rows]) if rows else points.astype(bool),
        face_count=np.array([row.face_count for row in rows], np.int64),
        sharpness=np.array([row.sharpness for row in rows], np.float64),
        brightness=np.array([row.brightness for row in rows], np.float64),
        scene=np.array([row.scene for row in rows], np.int64),
    )
