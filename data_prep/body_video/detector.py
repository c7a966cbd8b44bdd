"""Find the person in each frame: MediaPipe's pose network, whose files come inside its wheel."""

from types import TracebackType

import numpy as np
from jaxtyping import Float, UInt8

from data_prep.body_video.detections import KEYPOINTS, BodyObservation
from data_prep.video.frame_source import Frame
from data_prep.video.mediapipe_runtime import Solution

LOOK_AROUND = 1.0
"""Seconds between two looks for other people."""
SURE = 0.6
"""Confidence that a newly found person needs."""
_COUNT = len(KEYPOINTS)


class BodyDetector:
    """Follows one person through the frames of a video, which must come in order; use it in a `with` block.

    The person is the one that is found first; the others flag tells when there were more. Raises InputError when
    MediaPipe is not installed.
    """

    def __init__(self) -> None:
        self._follower = _network(still=False)
        self._searcher = _network(still=True)
        self._next_look = -np.inf

    def __enter__(self) -> "BodyDetector":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the networks."""
        self._follower.close()
        self._searcher.close()

    def __call__(self, frame: Frame) -> BodyObservation:
        """Keypoints and mask of the person in the next frame."""
        rgb = frame.rgb
        height, width = rgb.shape[:2]
        result = self._follower(rgb)
        if result.pose_landmarks is None or result.pose_world_landmarks is None:
            return _nobody(height, width)
        points = np.array([(p.x * width, p.y * height) for p in result.pose_landmarks.landmark])
        visibility = np.array([p.visibility for p in result.pose_landmarks.landmark])
        world = np.array([(p.x, -p.y, -p.z) for p in result.pose_world_landmarks.landmark])
        if not (np.isfinite(points).all() and np.isfinite(world).all()):
            return _nobody(height, width)
        mask = result.segmentation_mask
        alpha = np.zeros((height, width), np.float32) if mask is None else np.clip(mask, 0, 1).astype(np.float32)
        others = False
        if frame.time >= self._next_look:
            self._next_look = frame.time + LOOK_AROUND
            others = self._others(rgb, alpha, points)
        return BodyObservation(points, np.clip(visibility, 0, 1), world, others, alpha)

    def _others(
        self,
        rgb: UInt8[np.ndarray, "height width 3"],
        alpha: Float[np.ndarray, "height width"],
        points: Float[np.ndarray, "33 2"],
    ) -> bool:
        """Whether somebody is found when the person and their surroundings are painted over."""
        height, width = alpha.shape
        margin = 0.05 * np.ptp(points, axis=0).max()
        low = np.clip(points.min(0) - margin, 0, None).astype(int)
        high = np.clip(points.max(0) + margin, 0, [width, height]).astype(int)
        hidden = alpha > 0.1
        hidden[low[1] : high[1], low[0] : high[0]] = True
        if hidden.all():
            return False
        painted = np.where(hidden[..., None], rgb[~hidden].mean(0).astype(np.uint8), rgb)
        result = self._searcher(painted)
        if result.pose_landmarks is None:
            return False
        seen = np.array([p.visibility for p in result.pose_landmarks.landmark])
        size = np.ptp([p.y for p in result.pose_landmarks.landmark]) * height
        return bool(np.mean(seen > 0.5) > 0.6 and size > 0.25 * np.ptp(points[:, 1]))


def _network(still: bool) -> Solution:
    """The pose network; model complexity 1 is inside the wheel, and smoothing is left to the fit, which looks ahead."""
    return Solution(
        lambda solutions: solutions.pose.Pose(
            static_image_mode=still,
            model_complexity=1,
            smooth_landmarks=False,
            enable_segmentation=not still,
            smooth_segmentation=False,
            min_detection_confidence=SURE,
        )
    )


def _nobody(height: int, width: int) -> BodyObservation:
    return BodyObservation(
        np.full((_COUNT, 2), np.nan),
        np.zeros(_COUNT),
        np.full((_COUNT, 3), np.nan),
        False,
        np.zeros((height, width), np.float32),
    )
