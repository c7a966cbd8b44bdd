"""Short videos of synthetic heads for tests, and how a tracked head compares with the truth."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from data_prep.pictures import write_video
from data_prep.synthetic_heads import TalkingHead, make_talking_head
from data_prep.video.face_mesh import face_mesh_landmarks
from data_prep.video.face_points import LANDMARKS_68, LEFT_EYE, RIGHT_EYE
from data_prep.video_dataset import VideoDataset

COUNT, SIDE, SIZE = 12, 192, 96
SEED, OTHER_SEED = 3, 5


@lru_cache(maxsize=2)
def talking_head(seed: int = SEED) -> TalkingHead:
    """One person, twelve frames."""
    return make_talking_head(seed, COUNT, SIDE, SIDE)


@lru_cache(maxsize=2)
def pictures(seed: int = SEED) -> tuple[np.ndarray, ...]:
    """The person's frames."""
    return tuple(talking_head(seed).pictures())


def film(path: Path, frames: Iterable[np.ndarray], rate: float = 25.0) -> Path:
    """A video, or a folder of pictures, of the frames."""
    return write_video(frames, path, rate)


def landmark_errors(dataset: VideoDataset, crop_from_source: torch.Tensor | None = None) -> np.ndarray:
    """Distance of the tracked head's 68 points from the true ones, a share of the true distance between the eyes."""
    head = talking_head()
    model = dataset.body_model()
    points, truth_points = face_mesh_landmarks(model), face_mesh_landmarks(head.model)
    body = model.body(dataset.betas)
    move = torch.eye(3) if crop_from_source is None else crop_from_source
    errors = []
    for i in range(len(dataset)):
        posed = body.pose_vertices(dataset.poses[i], dataset.translations[i], dataset.expressions[i])
        found = dataset.camera(i).project(points.on(posed))[0]
        source = head.camera.project(truth_points.on(head.head_vertices(dataset.frames[i].source)))[0]
        true = torch.cat([source, torch.ones(len(source), 1)], 1) @ move[:2].T
        eyes = (true[list(LEFT_EYE)].mean(0) - true[list(RIGHT_EYE)].mean(0)).norm()
        errors.append(((found - true).norm(dim=1) / eyes)[list(LANDMARKS_68)].mean())
    return np.array(errors)


def assert_equal_results(found: VideoDataset, expected: VideoDataset, tolerance: float = 1e-5) -> None:
    """Tracks, frames and stored pictures agree."""
    assert found.frames == expected.frames
    assert (found.warnings, found.notes) == (expected.warnings, expected.notes)
    for name in ("betas", "intrinsics", "poses", "translations", "expressions", "landmarks", "landmark_weights"):
        torch.testing.assert_close(
            getattr(found, name), getattr(expected, name), atol=tolerance, rtol=tolerance, equal_nan=True
        )
    for i in range(len(found)):
        np.testing.assert_array_equal(found.image(i), expected.image(i))
        np.testing.assert_array_equal(found.alpha(i), expected.alpha(i))
