"""Synthetic detections of a face that nothing is wrong with."""

import dataclasses

import numpy as np

from data_prep.video.detections import FACE_POINTS, FaceDetections
from data_prep.video.face_points import mirror_points

WIDTH, HEIGHT = 400, 300


def face():
    """A made-up mesh, symmetric about its nose, 100 pixels wide, in the middle of the picture."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-40, 40, (FACE_POINTS, 2))
    twins = np.array(mirror_points())
    right = twins > np.arange(FACE_POINTS)
    points[right, 0] = -np.abs(points[right, 0])
    points[twins[right]] = points[right] * [-1, 1]
    points[twins == np.arange(FACE_POINTS), 0] = 0
    points[[234, 454]] = [[-50, 0], [50, 0]]
    points[[33, 263]] = [[-35, -20], [35, -20]]
    return np.add(points, [WIDTH / 2, HEIGHT / 2]).astype(np.float32)


def good(frames=20, **changes):
    """Detections of the face in every frame, with some arrays replaced."""
    detections = FaceDetections(
        landmarks=np.repeat(face()[None], frames, 0),
        depth=np.zeros((frames, FACE_POINTS), np.float32),
        covered=np.zeros((frames, FACE_POINTS), bool),
        face_count=np.ones(frames, np.int64),
        sharpness=np.full(frames, 0.05),
        brightness=np.full(frames, 110.0),
        scene=np.zeros(frames, np.int64),
    )
    return dataclasses.replace(detections, **changes)
