"""Keypoints of a video: joined, saved and read back; and found in real frames."""

import json
from itertools import islice

import numpy as np
import pytest

from body_models import InputError, load_anny
from data_prep.body_video import (
    KEYPOINTS,
    BodyDetector,
    BodyObservation,
    join,
    track_body,
)
from tests.shared_data import shared


def row(seed: int) -> BodyObservation:
    random = np.random.default_rng(seed)
    return BodyObservation(
        random.uniform(0, 500, (33, 2)),
        random.uniform(0, 1, 33),
        random.normal(size=(33, 3)),
        seed == 1,
        np.zeros((4, 6)),
    )


def test_keypoints_are_named_once_and_mirror():
    assert len(set(KEYPOINTS)) == 33
    assert KEYPOINTS[11:13] == ("left_shoulder", "right_shoulder")
    assert KEYPOINTS[23:] == tuple(
        f"{side}_{joint}" for joint in ("hip", "knee", "ankle", "heel", "foot_index") for side in ("left", "right")
    )


def test_rows_keep_their_order():
    detections = join([row(0), row(1), row(2)])
    assert len(detections) == 3
    assert detections.others.tolist() == [False, True, False]


def test_no_frames():
    with pytest.raises(InputError, match="no frames"):
        join([])


def test_nobody_in_black_pictures():
    pytest.importorskip("mediapipe")
    from data_prep.video.frame_source import Frame

    with BodyDetector() as detector:
        seen = detector(Frame(0, 0, 0.0, np.zeros((120, 160, 3), np.uint8)))
    assert np.isnan(seen.keypoints).all()
    assert (seen.visibility == 0).all()
    assert seen.alpha.shape == (120, 160)
    assert not join([seen]).found.any()


def test_a_real_person_squats():
    pytest.importorskip("mediapipe")
    from data_prep.video.frames import open_frames

    folder = shared("video_squats")
    source = open_frames(folder / "pose_squats.mp4")
    with BodyDetector() as detector:
        frames = list(islice(source.frames(), 12))
        rows = [detector(frame) for frame in frames]
    detections, times = join(rows), np.array([frame.time for frame in frames])
    reference = np.array(json.loads((folder / "pose_squats.full.json").read_text()))[:12, :, :2]
    person = np.ptp(reference[..., 1], axis=1)
    away = np.linalg.norm(detections.keypoints - reference, axis=-1) / person[:, None]
    assert np.median(away) < 0.02
    assert 0.05 < rows[0].alpha.mean() < 0.3
    assert not detections.others.any()
    track = track_body(load_anny(), detections, times, 720, 1280, mask_of=lambda index: rows[index].alpha)
    assert track.tracked.all()
    assert float(track.keypoint_errors.max()) < 0.02
    knees = track.poses[:, [4, 5], 0]
    assert float(knees[0].max()) < 0.5  # stands, then sits low
    assert 1.2 < float(knees.max()) < 2.2
