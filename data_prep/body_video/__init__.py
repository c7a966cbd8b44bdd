"""A person's whole body in a video: keypoints, mask, pose per frame, one identity, the camera."""

from data_prep.body_video.detections import (
    KEYPOINTS,
    BodyDetections,
    BodyObservation,
    join,
)
from data_prep.body_video.detector import BodyDetector
from data_prep.body_video.fit import BodyTrack, track_body
from data_prep.body_video.markers import BodyMarkers, body_markers
from data_prep.body_video.unknowns import BodyTrackOptions

__all__ = [
    "KEYPOINTS",
    "BodyDetections",
    "BodyDetector",
    "BodyMarkers",
    "BodyObservation",
    "BodyTrack",
    "BodyTrackOptions",
    "body_markers",
    "join",
    "track_body",
]
