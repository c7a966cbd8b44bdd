"""Follow one face through a video: landmarks, hands over it, sharpness, and the shots."""

from collections.abc import Mapping
from types import TracebackType

import numpy as np
from jaxtyping import Float, Int, UInt8

from data_prep.video.cuts import ShotCounter
from data_prep.video.detections import (
    FACE_POINTS,
    FaceDetections,
    FaceObservation,
    join,
    nothing_seen,
)
from data_prep.video.faces import Face, FaceFinder
from data_prep.video.frame_source import Frame
from data_prep.video.hands import HandFinder
from data_prep.video.mediapipe_runtime import start_opencv

__all__ = [
    "FACE_POINTS",
    "RESTART",
    "FaceDetections",
    "FaceDetector",
    "FaceObservation",
    "join",
]

RESTART = 200
"""The face tracker starts afresh at every multiple of this frame, so that interrupted work goes on exactly there."""
SEARCH_INTERVAL = 5
"""While no face is found, the thorough search runs at every such frame."""
REACH, REACH_GROWTH = 1.0, 0.2
"""How far a face may have moved since it was last seen, in face sizes, and how much further for each frame unseen."""
FACE_SIDE = 128


class FaceDetector:
    """Looks at the frames of one video in order and follows one face: the largest and most central one of a shot."""

    def __init__(self) -> None:
        self._finder, self._hands, self._shots = FaceFinder(), HandFinder(), ShotCounter()
        self._followed: Face | None = None
        self._unseen = 0

    def __call__(self, frame: Frame) -> FaceObservation:
        """What is known about the face in the next frame."""
        if self._shots(frame.rgb):
            self._followed, self._unseen = None, 0
            self._finder.reset()
        elif frame.index % RESTART == 0:
            self._finder.reset()
        search = self._shots.tells and (self._unseen == 0 or frame.index % SEARCH_INTERVAL == 0)
        faces = self._finder(frame.rgb, self._followed if self._unseen == 0 else None, search)
        face = choose(faces, self._followed, self._unseen, frame.rgb.shape[1], frame.rgb.shape[0])
        if face is None:
            self._unseen += 1
            return nothing_seen(float(frame.rgb[::4, ::4].mean()), len(faces), self._shots.scene)
        self._followed, self._unseen = face, 0
        sharpness, brightness = _sharpness(frame.rgb, face)
        return FaceObservation(
            landmarks=face.landmarks,
            depth=face.depth,
            covered=self._hands(frame.rgb, face.landmarks),
            face_count=len(faces),
            sharpness=sharpness,
            brightness=brightness,
            scene=self._shots.scene,
        )

    def resume(self, earlier: FaceDetections, pictures: Mapping[int, UInt8[np.ndarray, "height width 3"]]) -> None:
        """Go on after the frames looked at earlier, given a late picture of each shot (see `shot_frames`).

        At a multiple of RESTART this goes on as without a break.
        """
        self._shots.resume(earlier.scene, pictures)
        seen = np.flatnonzero(earlier.found & (np.arange(len(earlier)) >= _shot_begin(earlier.scene)))
        self._followed, self._unseen = None, len(earlier) - _shot_begin(earlier.scene)
        if len(seen):
            last = earlier.observation(int(seen[-1]))
            self._followed, self._unseen = Face(last.landmarks, last.depth), len(earlier) - 1 - int(seen[-1])

    def close(self) -> None:
        """Release the networks."""
        self._finder.close()
        self._hands.close()

    def __enter__(self) -> "FaceDetector":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def shot_frames(earlier: FaceDetections) -> dict[int, int]:
    """The frame of each shot by which it is known again: the last that shows the face, or the last one."""
    frames = {}
    for scene in np.unique(earlier.scene).tolist():
        among = np.flatnonzero(earlier.scene == scene)
        seen = among[earlier.found[among]]
        frames[scene] = int(seen[-1] if len(seen) else among[-1])
    return frames


def choose(faces: list[Face], followed: Face | None, unseen: int, width: int, height: int) -> Face | None:
    """The face to follow: nearest to the one followed so far, if it can be the same; the largest, most central else."""
    if not faces:
        return None
    if followed is None:
        middle = np.array([width, height]) / 2
        prominence = [face.size / (1 + np.linalg.norm(face.center - middle) / np.linalg.norm(middle)) for face in faces]
        return faces[int(np.argmax(prominence))]
    distances = [float(np.linalg.norm(face.center - followed.center)) for face in faces]
    nearest = int(np.argmin(distances))
    reach = (REACH + REACH_GROWTH * unseen) * followed.size
    return faces[nearest] if distances[nearest] <= reach else None


def _shot_begin(scene: Int[np.ndarray, "frame"]) -> int:
    """First frame of the shot that the last frame belongs to."""
    changes = np.flatnonzero(np.diff(scene))
    return int(changes[-1]) + 1 if len(changes) else 0


def _sharpness(rgb: UInt8[np.ndarray, "height width 3"], face: Face) -> tuple[float, float]:
    """Variance of the face's Laplacian relative to its contrast, at one size for all faces, and mean brightness."""
    cv2 = start_opencv()
    height, width = rgb.shape[:2]
    left, top = np.clip(face.box[:2], 0, [width - 1, height - 1]).astype(int)
    right, bottom = np.clip(face.box[2:], [left + 1, top + 1], [width, height]).astype(int)
    grey = cv2.cvtColor(np.ascontiguousarray(rgb[top:bottom, left:right]), cv2.COLOR_RGB2GRAY)
    smaller = max(grey.shape) > FACE_SIDE
    sized = cv2.resize(grey, (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    laplacian: Float[np.ndarray, "128 128"] = cv2.Laplacian(sized.astype(np.float32), cv2.CV_32F)
    return float(laplacian.var() / (sized.var() + 1.0)), float(grey.mean())
