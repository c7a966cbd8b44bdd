"""Tracking recovers a known head, camera and motion, and refuses what cannot be tracked."""

import math
from dataclasses import replace
from functools import cache

import pytest
import torch

from body_models import load_body_model
from body_models.errors import InputError
from body_models.landmarks import Landmarks
from data_prep.tracking import TrackingOptions, track_head
from data_prep.video.face_mesh import face_mesh_landmarks
from data_prep.video.face_points import RIGHT_IRIS
from tests.data_prep.tracking.cases import flame_like
from tests.data_prep.tracking.synthetic import observe, rotation_errors, truth

QUICK = TrackingOptions(shared_frames=30, shared_steps=8, frame_steps=4)


@cache
def head():
    return load_body_model("anny-head")


@cache
def points():
    return face_mesh_landmarks(head())


@cache
def seen(frames=40, noise=0.002):
    return truth(head(), frames, 5, spread=0.6), observe(head(), points(), truth(head(), frames, 5, spread=0.6), noise)


@cache
def tracked():
    return track_head(head(), points(), seen()[1], options=QUICK)


def test_a_known_head_is_recovered():
    true = truth(head(), 300, 2, focal=600.0, spread=0.6)
    eyes = points().on(head().body(true.betas).vertices)
    options = TrackingOptions(iris_diameter=float((eyes[RIGHT_IRIS[1]] - eyes[RIGHT_IRIS[3]]).norm()))
    found = track_head(head(), points(), observe(head(), points(), true, 0.005), options=options)
    assert float(rotation_errors(found.poses[:, 0], true.poses[:, 0]).mean()) < 2
    assert float((found.expressions - true.expressions).abs().mean()) < 0.04
    assert abs(math.log(float(found.intrinsics[0, 0]) / true.focal)) < math.log(1.15)
    heights = [body.vertices.amax(0) - body.vertices.amin(0) for body in map(head().body, (found.betas, true.betas))]
    assert abs(float(heights[0].norm() / heights[1].norm()) - 1) < 0.05
    assert float(found.landmark_errors.median()) < 0.015
    assert bool(found.tracked.all())


def test_results_have_the_models_shapes_and_bounds():
    found = tracked()
    assert found.betas.shape == (len(head().shape_basis),)
    assert found.poses.shape == (40, 5, 3)
    assert found.expressions.shape == (40, 52)
    assert float(found.expressions.min()) >= 0
    assert float(found.expressions.max()) <= 1
    assert float(found.poses[:, 1:].abs().max()) == 0
    assert float(found.translations[:, 2].max()) < 0
    assert all(bool(value.isfinite().all()) for value in vars(found).values())


def test_the_same_input_gives_the_same_track():
    again = track_head(head(), points(), seen()[1], options=QUICK)
    assert all(torch.equal(value, getattr(tracked(), name)) for name, value in vars(again).items())


def test_known_intrinsics_are_used_as_they_are():
    true, observations = seen()
    skewed = torch.tensor([[1.1, 0.0, 7.0], [0.0, 0.9, -5.0], [0.0, 0.0, 1.0]])
    intrinsics = skewed @ true.intrinsics
    moved = observations.landmarks @ skewed[:2, :2].T + skewed[:2, 2]
    given = replace(observations, landmarks=moved, intrinsics=intrinsics)
    found = track_head(head(), points(), given, options=QUICK)
    assert torch.equal(found.intrinsics, intrinsics)
    assert float(rotation_errors(found.poses[:, 0], true.poses[:, 0]).mean()) < 2
    assert float(found.landmark_errors.median()) < 0.02


def test_frames_without_a_face_are_interpolated():
    _, observations = seen()
    weights = observations.weights.clone()
    weights[12:16] = 0
    found = track_head(head(), points(), replace(observations, weights=weights), options=QUICK)
    assert found.tracked.tolist() == [not 12 <= frame < 16 for frame in range(40)]
    assert bool(found.landmark_errors[12:16].isnan().all())
    before, after = found.translations[11], found.translations[16]
    share = torch.arange(1, 5)[:, None] / 5
    assert torch.allclose(found.translations[12:16], torch.lerp(before, after, share), atol=0.02)


def test_landmarks_that_are_not_numbers_are_left_out():
    _, observations = seen()
    unseen = observations.landmarks.clone()
    unseen[3, 100:300] = torch.nan
    unseen[8] = torch.nan
    weights = observations.weights.clone()
    weights[3, 100:300] = weights[8] = 0
    one = track_head(head(), points(), replace(observations, landmarks=unseen), options=QUICK)
    other = track_head(head(), points(), replace(observations, weights=weights), options=QUICK)
    assert torch.equal(one.poses, other.poses)
    assert torch.equal(one.expressions, other.expressions)
    assert not bool(one.tracked[8])


def test_windows_join():
    _, observations = seen()
    whole = tracked()
    parts = track_head(head(), points(), observations, options=replace(QUICK, window=22, overlap=6))
    assert float(rotation_errors(parts.poses[:, 0], whole.poses[:, 0]).max()) < 0.1
    assert float((parts.expressions - whole.expressions).abs().mean()) < 0.005


def test_a_picture_of_another_size_gives_the_same_head():
    _, observations = seen()
    double = replace(observations, landmarks=2 * observations.landmarks, width=1280, height=960)
    found = track_head(head(), points(), double, options=QUICK)
    assert torch.allclose(found.betas, tracked().betas, atol=0.02)
    assert torch.allclose(found.intrinsics[0, 0], 2 * tracked().intrinsics[0, 0], rtol=0.01)


def test_jaws_and_eyes_of_other_models_turn():
    model = flame_like()
    marks = replace(points())
    true = truth(model, 30, 1, spread=0.5)
    found = track_head(model, marks, observe(model, marks, true, 0.002), options=QUICK)
    assert float(rotation_errors(found.poses[:, 0], true.poses[:, 0]).mean()) < 3
    assert float(found.landmark_errors.median()) < 0.02
    assert float(found.poses[:, 2].abs().max()) > 0
    assert float(found.poses[:, 3:, 2].abs().max()) == 0


def test_a_single_frame_and_other_points_will_do():
    marks = Landmarks(points().names[:60], points().corners[:60], points().weights[:60])
    _, observations = seen()
    one = replace(
        observations,
        landmarks=observations.landmarks[:1, :60],
        weights=observations.weights[:1, :60],
        times=torch.zeros(1),
    )
    found = track_head(head(), marks, one, options=QUICK)
    assert float(found.landmark_errors[0]) < 0.05


def test_progress_is_reported_to_its_end():
    calls = []
    track_head(head(), points(), seen()[1], lambda *call: calls.append(call), QUICK)
    assert {stage for stage, _, _ in calls} == {"identity", "motion"}
    assert calls[-1] == ("motion", 40, 40)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"landmarks": torch.zeros(40, 12, 2)}, "landmarks has shape"),
        ({"weights": torch.ones(39, 478)}, "weights has shape"),
        ({"times": torch.zeros(40)}, "increase"),
        ({"weights": torch.zeros(40, 478)}, "No face"),
        ({"weights": torch.full((40, 478), -1.0)}, "No face|from 0"),
        ({"width": 0}, "empty"),
        ({"intrinsics": torch.zeros(3, 3)}, "no camera"),
        ({"outlines": torch.zeros(40, 72)}, "together"),
        ({"outlines": torch.zeros(3, 72), "outline_centers": torch.zeros(40, 2)}, "outlines has shape"),
    ],
)
def test_bad_observations_are_refused(changes, message):
    bad = replace(seen()[1])
    for name, value in changes.items():
        object.__setattr__(bad, name, value)  # past the checks of shapes that only run in tests
    with pytest.raises(InputError, match=message):
        track_head(head(), points(), bad)


def test_impossible_options_are_refused():
    with pytest.raises(InputError, match="window"):
        TrackingOptions(window=10, overlap=20)
