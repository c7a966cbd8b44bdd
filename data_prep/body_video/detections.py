"""What was seen of one person in a video: 33 pose keypoints in every frame, in the picture and in space."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from body_models.errors import InputError

KEYPOINTS = (
    "nose",
    *(f"{side}_eye{part}" for side in ("left", "right") for part in ("_inner", "", "_outer")),
    *("left_ear", "right_ear", "mouth_left", "mouth_right"),
    *(f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist") for side in ("left", "right")),
    *(f"{side}_{finger}" for finger in ("pinky", "index", "thumb") for side in ("left", "right")),
    *(f"{side}_{joint}" for joint in ("hip", "knee", "ankle", "heel", "foot_index") for side in ("left", "right")),
)
"""MediaPipe's 33 pose keypoints in its order; left is the person's left."""


@dataclass(frozen=True)
class BodyObservation:
    """One frame's keypoints, as a row of `BodyDetections`, and the person's mask."""

    keypoints: Float[np.ndarray, "33 2"]
    visibility: Float[np.ndarray, "33"]
    world: Float[np.ndarray, "33 3"]
    others: bool
    """Another person was seen too; looked for about once a second."""
    alpha: Float[np.ndarray, "height width"]
    """Share of each pixel that the person covers."""


@dataclass(frozen=True)
class BodyDetections:
    """Keypoints of all frames in the order of `KEYPOINTS`; NaN where nobody was found."""

    keypoints: Float[np.ndarray, "frame 33 2"]
    """Pixels of the source frame (OpenCV: x right, y down)."""
    visibility: Float[np.ndarray, "frame 33"]
    """Likelihood that the point is seen, 0 to 1; 0 where nobody was found."""
    world: Float[np.ndarray, "frame 33 3"]
    """About the middle of the hips, along the camera's axes (metres, Y up, +Z towards the camera)."""
    others: Bool[np.ndarray, "frame"]
    """Frames in which another person was seen too."""

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def found(self) -> Bool[np.ndarray, "frame"]:
        """Frames in which the person was found."""
        return np.isfinite(self.keypoints).all((1, 2))


def join(rows: Sequence[BodyObservation]) -> BodyDetections:
    """The rows of a video, one a frame; raises InputError when there is none."""
    if not rows:
        raise InputError("The video has no frames to look for a person in; check --start and --end.")
    return BodyDetections(
        keypoints=np.stack([row.keypoints for row in rows]),
        visibility=np.stack([row.visibility for row in rows]),
        world=np.stack([row.world for row in rows]),
        others=np.array([row.others for row in rows]),
    )
