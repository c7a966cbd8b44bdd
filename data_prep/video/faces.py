"""Find the faces of one picture with MediaPipe's face mesh, small and far ones too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from data_prep.video.mediapipe_runtime import Solution, start_opencv

MAX_FACES = 3
DETECTION_SIDE = 1280
"""Longer pictures are scaled down before the networks see them."""
SAME_FACE = 0.5
"""Two faces whose boxes share more than this part of the smaller one are one face found twice."""
TILE = 0.35
"""Side of the windows searched for far faces, as a share of the picture's."""
WINDOW = 1.6
"""Side of the window around a far face, in face sizes."""
FAR = 0.12
"""Faces below this share of the picture's longer side are looked at in their own window."""


@dataclass(frozen=True)
class Face:
    """One face mesh in pixels of the source picture."""

    landmarks: Float[np.ndarray, "478 2"]
    depth: Float[np.ndarray, "478"]

    @property
    def box(self) -> Float[np.ndarray, "4"]:
        """Left, top, right, bottom."""
        return np.concatenate([self.landmarks.min(axis=0), self.landmarks.max(axis=0)])

    @property
    def center(self) -> Float[np.ndarray, "2"]:
        """Middle of the box."""
        return (self.box[:2] + self.box[2:]) / 2

    @property
    def size(self) -> float:
        """Longer side of the box."""
        return float((self.box[2:] - self.box[:2]).max())


class FaceFinder:
    """Faces in a row of pictures; each picture helps with the next until `reset`."""

    def __init__(self) -> None:
        self._mesh = Solution(lambda s: s.face_mesh.FaceMesh(max_num_faces=MAX_FACES, refine_landmarks=True))
        self._single = Solution(lambda s: s.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True))
        self._far = Solution(lambda s: s.face_detection.FaceDetection(model_selection=1, min_detection_confidence=0.4))

    def __call__(self, rgb: UInt8[np.ndarray, "height width 3"], expected: Face | None, search: bool) -> list[Face]:
        """All faces of a picture.

        A far face `expected` from the last picture is looked for in its own window first. When nothing is found and
        `search` is true, the whole picture is searched for far faces, which takes several times as long.
        """
        if expected is not None and expected.size < FAR * max(rgb.shape[:2]):
            faces = self._in_window(rgb, expected.box)
            if faces:
                return faces
        faces = without_twins(_faces(self._mesh, rgb, np.zeros(2)))
        return self._search(rgb) if search and not faces else faces

    def reset(self) -> None:
        """Forget earlier pictures."""
        self._mesh.reset()

    def close(self) -> None:
        """Release the networks."""
        for graph in (self._mesh, self._single, self._far):
            graph.close()

    def _search(self, rgb: np.ndarray) -> list[Face]:
        """Far faces: a detector made for them on the picture, then on overlapping parts of it."""
        for window in (np.array([0, 0, rgb.shape[1], rgb.shape[0]]), *tiles(rgb.shape[1], rgb.shape[0])):
            found: list[Face] = []
            for box in self._far_boxes(rgb, window):
                found += self._in_window(rgb, box)
            if found:
                return without_twins(found)
        return []

    def _far_boxes(self, rgb: np.ndarray, window: np.ndarray) -> list[np.ndarray]:
        left, top, right, bottom = window
        size = np.array([right - left, bottom - top])
        result = self._far(_scaled(rgb[top:bottom, left:right])).detections or []
        boxes = [detection.location_data.relative_bounding_box for detection in result]
        low = [np.array([box.xmin, box.ymin]) * size + window[:2] for box in boxes]
        return [
            np.concatenate([corner, corner + np.array([box.width, box.height]) * size])
            for corner, box in zip(low, boxes, strict=True)
        ]

    def _in_window(self, rgb: np.ndarray, box: np.ndarray) -> list[Face]:
        """The face inside a box, found in a window around it."""
        height, width = rgb.shape[:2]
        center, half = (box[:2] + box[2:]) / 2, WINDOW * (box[2:] - box[:2]).max() / 2
        left, top = np.maximum(center - half, 0).astype(int)
        right, bottom = np.minimum(center + half, [width, height]).astype(int)
        if min(right - left, bottom - top) < 16:
            return []
        return _faces(self._single, rgb[top:bottom, left:right], np.array([left, top], float))


def tiles(width: int, height: int) -> list[np.ndarray]:
    """Windows (left, top, right, bottom) that cover a picture, each half over the next, row by row."""
    side = max(1, round(TILE * max(width, height)))
    return [
        np.array([left, top, min(left + side, width), min(top + side, height)])
        for top in _starts(height, side)
        for left in _starts(width, side)
    ]


def _starts(length: int, side: int) -> list[int]:
    count = max(1, int(np.ceil(2 * (length - side) / side)) + 1) if length > side else 1
    return [int(start) for start in np.linspace(0, max(length - side, 0), count).round()]


def without_twins(faces: Sequence[Face]) -> list[Face]:
    """Leave out faces that lie over an earlier one of the list."""
    kept: list[Face] = []
    for face in faces:
        if all(overlap(face.box, other.box) <= SAME_FACE for other in kept):
            kept.append(face)
    return kept


def overlap(first: Float[np.ndarray, "4"], second: Float[np.ndarray, "4"]) -> float:
    """Common area of two boxes as a share of the smaller one."""
    shared = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    smaller = min(np.prod(first[2:] - first[:2]), np.prod(second[2:] - second[:2]))
    return float(np.prod(np.maximum(shared, 0)) / max(smaller, 1e-9))


def _faces(graph: Solution, rgb: np.ndarray, corner: Float[np.ndarray, "2"]) -> list[Face]:
    """Face meshes of a picture whose upper left corner lies at `corner` of the source picture."""
    height, width = rgb.shape[:2]
    result: Any = graph(_scaled(rgb)).multi_face_landmarks or []
    meshes = [np.array([(point.x, point.y, point.z) for point in mesh.landmark], np.float32) for mesh in result]
    scale = np.array([width, height, width], np.float32)
    placed = [mesh * scale + np.append(corner, 0).astype(np.float32) for mesh in meshes]
    return [Face(mesh[:, :2], mesh[:, 2]) for mesh in placed if np.isfinite(mesh).all()]


def _scaled(rgb: np.ndarray) -> np.ndarray:
    cv2 = start_opencv()
    shrink = DETECTION_SIDE / max(rgb.shape[:2])
    if shrink >= 1:
        return rgb
    size = (max(1, round(rgb.shape[1] * shrink)), max(1, round(rgb.shape[0] * shrink)))
    small: np.ndarray = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return small
