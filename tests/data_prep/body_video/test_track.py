"""Tracks of bodies whose truth is known, and inputs that cannot be tracked."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from body_models import InputError, load_anny, load_anny_head
from data_prep.body_video import BodyTrackOptions, body_markers, track_body
from data_prep.body_video.camera import project
from tests.data_prep.body_video.cases import HEIGHT, WIDTH, Truth, seen, squats, without


@pytest.fixture(scope="module")
def model():
    return load_anny()


def markers_of(model, track):
    body = model.body(track.betas)
    return body_markers(model).posed(track.betas, body.posed_from_rest(track.poses, track.translations))


def shape_error(track_markers, truth: Truth):
    """Mean distance about the hips (metres) once both have one size: a single camera cannot tell it."""
    own, true = (m - m[:, 23:25].mean(1, keepdim=True) for m in (track_markers, truth.markers))
    return float((own * (own * true).sum() / (own * own).sum() - true).norm(dim=-1).mean())


@pytest.mark.parametrize("turned", [0.0, 0.8, -2.6])
def test_clean_keypoints_give_the_truth_back(model, turned):
    truth = squats(model, turned=turned)
    track = track_body(model, seen(truth), truth.times, WIDTH, HEIGHT, truth.intrinsics)
    assert track.tracked.all()
    assert track.keypoint_errors.max() < 0.004
    assert shape_error(markers_of(model, track), truth) < 0.012
    assert (track.translations - truth.translations).norm(dim=-1).max() < 0.12
    assert torch.equal(track.intrinsics, truth.intrinsics)


def test_noisy_keypoints_and_unknown_focal_length(model):
    truth = squats(model, frames=20)
    track = track_body(model, seen(truth, noise=5.0, space_noise=0.03), truth.times, WIDTH, HEIGHT)
    pixels = project(markers_of(model, track), track.intrinsics)
    true_pixels = project(truth.markers, truth.intrinsics)
    assert (pixels - true_pixels).norm(dim=-1).median() < 5.0
    assert shape_error(markers_of(model, track), truth) < 0.04
    assert 0.7 < float(track.intrinsics[0, 0]) / 1000.0 < 1.4
    knee = model.skeleton.index("left_knee")
    assert (track.poses[:, knee, 0] - truth.poses[:, knee, 0]).abs().max() < 0.3


def test_smoothing_calms_noise(model):
    truth = squats(model, frames=20, rate=25.0)
    detections = seen(truth, noise=8.0, space_noise=0.05)

    def shake(options):
        track = track_body(model, detections, truth.times, WIDTH, HEIGHT, truth.intrinsics, options=options)
        return float(markers_of(model, track).diff(n=2, dim=0).norm(dim=-1).mean())

    rough = BodyTrackOptions(turn_acceleration=1e4, move_acceleration=(1e4, 1e4, 1e4))
    assert shake(BodyTrackOptions()) < 0.5 * shake(rough)


def test_frames_without_the_person_repeat_their_neighbours(model):
    truth = squats(model)
    track = track_body(model, without(seen(truth), [0, 1, 6]), truth.times, WIDTH, HEIGHT)
    assert track.tracked.tolist() == [i not in (0, 1, 6) for i in range(12)]
    assert track.keypoint_errors[[0, 1, 6]].isnan().all()
    assert torch.equal(track.poses[0], track.poses[2])
    assert track.poses.isfinite().all()
    assert track.translations.isfinite().all()


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_few_frames_are_enough(model, frames):
    truth = squats(model, frames=frames)
    track = track_body(model, seen(truth), truth.times, WIDTH, HEIGHT)
    assert track.tracked.all()
    assert track.keypoint_errors.max() < 0.01


def test_legs_below_the_picture_stay_natural(model):
    truth = squats(model)
    detections = seen(truth)
    detections.keypoints[:, 25:, 1] += 900.0
    detections.visibility[:, 25:] = 0.05
    track = track_body(model, detections, truth.times, WIDTH, HEIGHT)
    assert track.tracked.all()
    assert track.poses.norm(dim=-1)[:, 1:].max() < 2.8


def test_one_wild_frame_is_not_tracked_and_leaves_the_others(model):
    truth = squats(model, frames=20)
    detections = seen(truth)
    random = np.random.default_rng(0)
    detections.keypoints[7] = random.uniform(0, [WIDTH, HEIGHT], (33, 2))
    track = track_body(model, detections, truth.times, WIDTH, HEIGHT)
    assert not track.tracked[7]
    assert track.tracked.sum() == 19


def test_progress_ends(model):
    truth, told = squats(model, frames=3), []
    track_body(model, seen(truth), truth.times, WIDTH, HEIGHT, progress=lambda *step: told.append(step))
    assert told[-1][1] == told[-1][2]


def test_nobody_is_an_input_error(model):
    truth = squats(model, frames=4)
    nobody = without(seen(truth), [0, 1, 2, 3])
    with pytest.raises(InputError, match=r"any of the 4 frames"):
        track_body(model, nobody, truth.times, WIDTH, HEIGHT)


def test_head_models_cannot_follow_a_body():
    with pytest.raises(InputError, match="--model anny"):
        body_markers(load_anny_head())


def test_bad_times_and_intrinsics(model):
    truth = squats(model, frames=4)
    with pytest.raises(InputError, match="times"):
        track_body(model, seen(truth), truth.times[:3], WIDTH, HEIGHT)
    with pytest.raises(InputError, match="times"):
        track_body(model, seen(truth), truth.times[::-1].copy(), WIDTH, HEIGHT)
    skewed = truth.intrinsics + torch.tensor([[0.0, 3.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    with pytest.raises(InputError, match="pinhole"):
        track_body(model, seen(truth), truth.times, WIDTH, HEIGHT, skewed)


def test_the_hands_rig_takes_the_same_keypoints():
    hands = load_anny("hands")
    truth = squats(hands, frames=4)
    track = track_body(hands, seen(truth), truth.times, WIDTH, HEIGHT, truth.intrinsics)
    assert track.keypoint_errors.max() < 0.005
    assert track.poses.shape == (4, 52, 3)


def test_markers_mirror(model):
    points = body_markers(model).template
    left = replace(body_markers(model)).template[[1, 7, 11, 13, 15, 17, 23, 25, 27, 29, 31]]
    right = points[[4, 8, 12, 14, 16, 18, 24, 26, 28, 30, 32]]
    assert torch.allclose(left * torch.tensor([-1.0, 1.0, 1.0]), right, atol=0.003)


def test_long_videos_are_fitted_in_stretches(model, monkeypatch):
    truth = squats(model, frames=40)
    detections = seen(truth, noise=2.0)
    whole = track_body(model, detections, truth.times, WIDTH, HEIGHT, truth.intrinsics)
    monkeypatch.setattr("data_prep.body_video.fit.WINDOW", 15)
    monkeypatch.setattr("data_prep.body_video.fit.OVERLAP", 6)
    told = []
    parts = track_body(
        model, detections, truth.times, WIDTH, HEIGHT, truth.intrinsics, progress=lambda *step: told.append(step)
    )
    assert parts.tracked.all()
    assert parts.poses.shape == whole.poses.shape
    assert parts.keypoint_errors.max() < 0.01
    assert shape_error(markers_of(model, parts), truth) < 0.03
    assert markers_of(model, parts).diff(dim=0).norm(dim=-1).max() < 0.35
    assert told[-1][1:] == (40, 40)
