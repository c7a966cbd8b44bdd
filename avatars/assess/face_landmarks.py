"""The expression error: how far apart the same detector finds the landmarks of two pictures of a face."""

from importlib.util import find_spec

import numpy as np
from jaxtyping import Float, UInt8

from data_prep.video.face_points import FACE_POINTS, LANDMARKS_68
from data_prep.video.mediapipe_runtime import Solution

REFERENCE = 256
"""Distances are told in pixels of pictures whose longer side has this many."""
SHIFT, NOISE = (3, 2), 2.0
"""How a picture is disturbed to learn the detector's own error: moved right and down (pixels), grain (of 255)."""

Points = Float[np.ndarray, "68 2"]


class FaceDetector:
    """MediaPipe's face mesh on single pictures, each on its own; 68 points of it in iBUG's order."""

    def __init__(self) -> None:
        """Raises InputError when MediaPipe is not installed."""
        self._mesh = Solution(lambda s: s.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True))

    def __call__(self, rgb: UInt8[np.ndarray, "height width 3"]) -> Points | None:
        """The points in pixels of a picture; None where no face is found."""
        found = self._mesh(rgb).multi_face_landmarks
        if not found:
            return None
        mesh = np.array([(point.x, point.y) for point in found[0].landmark])
        points = mesh[list(LANDMARKS_68)] * (rgb.shape[1], rgb.shape[0])
        return points if len(mesh) == FACE_POINTS and np.isfinite(points).all() else None

    def close(self) -> None:
        """Release the networks."""
        self._mesh.close()


def detector_missing() -> str | None:
    """Why faces cannot be found on this machine; None where they can."""
    return None if find_spec("mediapipe") else "mediapipe is not installed (pip install 'animatable-avatars[video]')"


def mean_distance(first: Points, second: Points, longer_side: int) -> float:
    """Mean distance of points found in two pictures of a size, in pixels at 256."""
    return float(np.linalg.norm(first - second, axis=1).mean()) * REFERENCE / longer_side


def own_error(
    detect: FaceDetector, rgb: UInt8[np.ndarray, "height width 3"], found: Points, random: np.random.Generator
) -> float | None:
    """How far the points move on the face when its picture is shifted a little and gets some grain (pixels at 256).

    No expression error can be told from less. None where the face is not found again.
    """
    moved = np.full_like(rgb, 255)
    moved[SHIFT[1] :, SHIFT[0] :] = rgb[: -SHIFT[1], : -SHIFT[0]]
    grain = random.normal(0.0, NOISE, rgb.shape)
    again = detect(np.clip(moved + grain, 0, 255).round().astype(np.uint8))
    return None if again is None else mean_distance(again - SHIFT, found, max(rgb.shape[:2]))
