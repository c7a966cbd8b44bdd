"""The size that irises tell does not depend on the size that the fit has so far, and personal shifts favour none."""

from dataclasses import replace

import pytest
import torch

from body_models import load_body_model
from data_prep.tracking.head_points import head_points
from data_prep.tracking.iris_scale import iris_face_size
from data_prep.tracking.measured import Measured
from data_prep.tracking.motion_model import project
from data_prep.video.face_mesh import face_mesh_landmarks
from data_prep.video.face_points import LEFT_IRIS, RIGHT_IRIS
from tests.data_prep.tracking.cases import random_state

DIAMETER = 0.0117


@pytest.fixture(scope="module")
def points():
    model = load_body_model("anny-head")
    return head_points(model, face_mesh_landmarks(model), 8, 52).to(torch.float64)


def _measured(points, state):
    seen = project(points, state)
    return Measured(
        landmarks=seen,
        precision=torch.ones(seen.shape[:2], dtype=seen.dtype),
        sizes=torch.ones(len(seen), dtype=seen.dtype),
        times=torch.arange(len(seen)).double(),
        centers=None,
        outlines=None,
    )


def test_the_answer_does_not_depend_on_the_current_size(points):
    state = random_state(points, 6, 0)
    measured = _measured(points, state)
    larger = replace(state, places=state.places - torch.tensor([0.0, 0.0, 0.1]).double())
    first = iris_face_size(points, state, measured, DIAMETER)
    grown = replace(points, rest=1.1052 * points.rest, shape=1.1052 * points.shape, pivot=1.1052 * points.pivot)
    second = iris_face_size(grown, larger, measured, DIAMETER)
    assert first is not None
    assert second is not None
    assert second * 1.1052 == pytest.approx(first, rel=0.02)


def test_twice_the_diameter_is_twice_the_size(points):
    state = random_state(points, 6, 1)
    measured = _measured(points, state)
    once, twice = (iris_face_size(points, state, measured, d) for d in (DIAMETER, 2 * DIAMETER))
    assert twice == pytest.approx(2 * once)


def test_hidden_irises_tell_nothing(points):
    state = random_state(points, 6, 2)
    measured = _measured(points, state)
    measured.precision[:, [*RIGHT_IRIS, *LEFT_IRIS]] = 0
    assert iris_face_size(points, state, measured, DIAMETER) is None


def test_shifts_grow_with_the_face(points):
    offsets = 0.001 * torch.randn(len(points), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    betas = torch.randn(8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    shifted = points.shifted(offsets)
    place = shifted.rest + shifted.shape @ betas
    plain = points.rest + points.shape @ betas
    torch.testing.assert_close(place - plain, offsets * points.size(betas))
