"""Judge every frame of a video: what is wrong with it, whether to use it, and how far to trust each landmark."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from data_prep.video.detections import FACE_POINTS, FaceDetections
from data_prep.video.face_points import LEFT_EYE, LIPS, RIGHT_EYE, mirror_points

BLURRED, HEAVILY_BLURRED = 0.45, 0.1
"""Sharpness below these shares of the video's own median: a face of 128 pixels softened by about 0.8 and 1.8 pixels."""
NEVER_SHARP = 0.008
"""Sharpness below which a face is blurred, however blurred the others are."""
DARK = 40.0
"""Mean brightness of the face, of 255."""
SMALL = 12.0
"""Distance of the outer corners of the eyes, in pixels of the source."""
OUTSIDE = 0.1
"""Share of the landmarks outside the picture."""
COVERED, MOUTH_COVERED = 0.15, 0.25
"""Share of the face, or of the mouth, under a hand above which a frame is left out."""
HAND_GAP = 3
"""A hand that is not seen for so few frames was there all the same."""
PROFILE = 45.0
"""Turn of the head away from the camera, in degrees."""
FAR_SIDE = (30.0, 60.0)
"""From the first turn to the second, in degrees, landmarks of the far side lose their weight: they are guessed."""
FAR_WEIGHT, BLUR_WEIGHT = 0.1, 0.5
RIGHT_SIDE, LEFT_SIDE, NOSE_TIP = 234, 454, 4


@dataclass(frozen=True)
class FrameQuality:
    """What is wrong with each frame, and what follows."""

    flags: dict[str, Bool[np.ndarray, "frame"]]
    """Under no_face, hand, blur, out_of_frame, profile, dark, other_shot, small_face, two_faces."""
    use: Bool[np.ndarray, "frame"]
    """Whether the frame is good enough for later stages."""
    landmark_weights: Float[np.ndarray, "frame 478"]
    """Trust in each landmark: 0 for unseen or covered, 1 for well seen."""
    covered: Bool[np.ndarray, "frame 478"]
    """Which landmarks a hand covers, short gaps closed."""
    face_places: Float[np.ndarray, "frame"]
    """Where across the picture the face is: 0 left border, 1 right border; NaN without a face."""

    def names(self, frame: int) -> tuple[str, ...]:
        """The flags of one frame."""
        return tuple(name for name, flagged in self.flags.items() if flagged[frame])


def judge(detections: FaceDetections, width: int, height: int) -> FrameQuality:
    """Judge all frames of a video of `width` x `height` pixels."""
    found = detections.found
    covered = _closed(detections.covered) & found[:, None]
    outside = _outside(detections.landmarks, width, height)
    relative = _relative_sharpness(detections)
    turn = head_turn(detections.landmarks)
    flags = {
        "no_face": ~found,
        "hand": covered.any(axis=1),
        "blur": (relative < BLURRED) | (np.nan_to_num(detections.sharpness, nan=np.inf) < NEVER_SHARP),
        "out_of_frame": found & (_share(outside, detections.landmarks) > OUTSIDE),
        "profile": np.abs(np.nan_to_num(turn)) > PROFILE,
        "dark": found & (np.nan_to_num(detections.brightness, nan=255.0) < DARK),
        "other_shot": detections.scene != main_shot(detections),
        "small_face": np.nan_to_num(_eye_distance(detections.landmarks), nan=np.inf) < SMALL,
        "two_faces": detections.face_count > 1,
    }
    hidden = (covered.mean(axis=1) >= COVERED) | (covered[:, list(LIPS)].mean(axis=1) >= MOUTH_COVERED)
    left_out = flags["no_face"] | flags["out_of_frame"] | flags["other_shot"] | hidden | (relative < HEAVILY_BLURRED)
    weights = np.isfinite(detections.landmarks).all(axis=2) & ~covered & ~outside
    trust = far_side_weights(turn) * np.where(flags["blur"], BLUR_WEIGHT, 1.0)[:, None]
    return FrameQuality(
        flags=flags,
        use=~left_out,
        landmark_weights=(weights * trust).astype(np.float32),
        covered=covered,
        face_places=detections.boxes[:, [0, 2]].mean(axis=1) / width,
    )


def head_turn(landmarks: Float[np.ndarray, "frame 478 2"]) -> Float[np.ndarray, "frame"]:
    """Turn of the head to the picture's right in degrees, from where the nose stands between the sides of the face.

    The nose's tip stands about half a face's width before the line between the sides. NaN without a face.
    """
    right, left = landmarks[:, RIGHT_SIDE], landmarks[:, LEFT_SIDE]
    across = left - right
    length = np.linalg.norm(across, axis=1)
    offset = ((landmarks[:, NOSE_TIP] - (right + left) / 2) * across).sum(axis=1) / np.maximum(length, 1e-6)
    turn: np.ndarray = np.degrees(np.arctan2(2 * offset, length))
    return turn


def far_side_weights(turn: Float[np.ndarray, "frame"]) -> Float[np.ndarray, "frame 478"]:
    """Lower weights for the side of the face that is turned away; `turn` in degrees, NaN counts as straight."""
    turn = np.nan_to_num(turn)
    side = np.sign(np.array(mirror_points()) - np.arange(FACE_POINTS))  # 1 the person's right, -1 left, 0 middle
    turned = np.clip((np.abs(turn) - FAR_SIDE[0]) / (FAR_SIDE[1] - FAR_SIDE[0]), 0.0, 1.0)
    far = side[None] == -np.sign(turn)[:, None]
    return np.where(far, 1 - (1 - FAR_WEIGHT) * turned[:, None], 1.0)


def main_shot(detections: FaceDetections) -> int:
    """Number of the shot with most faces; the earliest of equals."""
    if not len(detections):
        return 0
    counted = detections.found if detections.found.any() else np.ones(len(detections), bool)
    return int(np.argmax(np.bincount(detections.scene[counted])))


def _closed(covered: Bool[np.ndarray, "frame 478"]) -> Bool[np.ndarray, "frame 478"]:
    """Close short gaps in time; the ends of the video stay as they are."""
    window = np.ones((HAND_GAP + 1, 1), bool)
    margin = ((HAND_GAP + 1, HAND_GAP + 1), (0, 0))
    closed = ndimage.binary_closing(np.pad(covered, margin), window)[HAND_GAP + 1 : len(covered) + HAND_GAP + 1]
    return np.asarray(closed | covered)


def _outside(landmarks: Float[np.ndarray, "frame 478 2"], width: int, height: int) -> Bool[np.ndarray, "frame 478"]:
    outside: np.ndarray = (landmarks < 0).any(axis=2) | (landmarks[..., 0] > width) | (landmarks[..., 1] > height)
    return outside


def _share(which: Bool[np.ndarray, "frame 478"], landmarks: Float[np.ndarray, "frame 478 2"]) -> np.ndarray:
    """Share of the landmarks that are there for which `which` holds."""
    there = np.isfinite(landmarks).all(axis=2).sum(axis=1)
    share: np.ndarray = which.sum(axis=1) / np.maximum(there, 1)
    return share


def _relative_sharpness(detections: FaceDetections) -> Float[np.ndarray, "frame"]:
    """Sharpness as a share of the median of the main shot; 1 where it is not known."""
    known = np.isfinite(detections.sharpness)
    main = known & (detections.scene == main_shot(detections))
    if not main.any():
        return np.ones(len(detections))
    relative = detections.sharpness / max(float(np.median(detections.sharpness[main])), 1e-9)
    return np.where(known, relative, 1.0)


def _eye_distance(landmarks: Float[np.ndarray, "frame 478 2"]) -> Float[np.ndarray, "frame"]:
    distance: np.ndarray = np.linalg.norm(landmarks[:, RIGHT_EYE[0]] - landmarks[:, LEFT_EYE[0]], axis=1)
    return distance
