"""Find which points of a face lie under a hand."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8

from data_prep.video.mediapipe_runtime import Solution, start_opencv

AROUND = 1.3
"""Half side of the window searched for hands, in face sizes from the face's centre: hands elsewhere cover nothing."""
SIDE = 256
THICKNESS = 0.1
"""How far flesh reaches beyond the joints that the network finds, as a share of the face's width."""


class HandFinder:
    """Hands near a face, each picture on its own, so that a lost track cannot hide one."""

    def __init__(self) -> None:
        self._graph = Solution(lambda s: s.hands.Hands(static_image_mode=True, max_num_hands=2, model_complexity=0))

    def __call__(
        self, rgb: UInt8[np.ndarray, "height width 3"], landmarks: Float[np.ndarray, "point 2"]
    ) -> Bool[np.ndarray, "point"]:
        """Which of the face's points a hand covers."""
        low, high = landmarks.min(axis=0), landmarks.max(axis=0)
        center, half = (low + high) / 2, AROUND * (high - low).max()
        left, top = np.maximum(center - half, 0).astype(int)
        right, bottom = np.minimum(center + half, rgb.shape[1::-1]).astype(int)
        if min(right - left, bottom - top) < 16:
            return np.zeros(len(landmarks), bool)
        result = self._graph(_shrunk(rgb[top:bottom, left:right])).multi_hand_landmarks or []
        size, corner = np.array([right - left, bottom - top]), np.array([left, top])
        hands = [np.array([(joint.x, joint.y) for joint in hand.landmark]) * size + corner for hand in result]
        return covered_by(hands, landmarks, THICKNESS * float(high[0] - low[0]))

    def close(self) -> None:
        """Release the network."""
        self._graph.close()


def covered_by(
    hands: Sequence[Float[np.ndarray, "joint 2"]], points: Float[np.ndarray, "point 2"], thickness: float
) -> Bool[np.ndarray, "point"]:
    """Which points lie within `thickness` (pixels) of the convex hull of one of the hands' joints."""
    cv2 = start_opencv()
    covered = np.zeros(len(points), bool)
    for hand in hands:
        hull = cv2.convexHull(hand.astype(np.float32))
        near = ((points >= hand.min(axis=0) - thickness) & (points <= hand.max(axis=0) + thickness)).all(axis=1)
        for index in np.flatnonzero(near & ~covered):
            x, y = points[index]
            covered[index] = cv2.pointPolygonTest(hull, (float(x), float(y)), True) >= -thickness
    return covered


def _shrunk(rgb: np.ndarray) -> np.ndarray:
    cv2 = start_opencv()
    scale = SIDE / max(rgb.shape[:2])
    if scale >= 1:
        return rgb
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    small: np.ndarray = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return small
