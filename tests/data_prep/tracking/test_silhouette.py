"""The agreement of silhouettes, and the silhouette term's pull."""

from dataclasses import replace

import pytest
import torch

from body_models import load_body_model
from data_prep.camera import look_at
from data_prep.surface import Surface
from data_prep.tracking.head_points import head_points
from data_prep.tracking.measured import Measured
from data_prep.tracking.outline_term import outline_rows, skull
from data_prep.tracking.silhouette import above_chin, silhouette_iou
from data_prep.video.face_mesh import face_mesh_landmarks
from tests.data_prep.tracking.cases import random_state


def view():
    model = load_body_model("anny-head")
    camera = look_at(
        torch.tensor([0.0, 0.03, 0.8]), torch.tensor([0.0, 0.03, 0.0]), torch.tensor([0.0, 1.0, 0.0]), 30.0, 80, 80
    )
    surface = Surface(model.template, model.faces)
    origins, directions = camera.rays()
    mask = (surface.cast(origins.reshape(-1, 3), directions.reshape(-1, 3)).face >= 0).reshape(80, 80)
    marks, _ = camera.project(face_mesh_landmarks(model).on(model.template))
    return surface, camera, mask, marks[[33, 263]], marks[152]


def test_a_silhouette_agrees_with_itself():
    assert silhouette_iou(*view()) == 1.0


def test_what_lies_below_the_chin_does_not_count():
    surface, camera, mask, eyes, chin = view()
    mask = mask | ~above_chin(80, 80, eyes, chin)
    assert silhouette_iou(surface, camera, mask, eyes, chin) == 1.0
    assert silhouette_iou(surface, camera, torch.zeros_like(mask), eyes, chin) == 0.0


def test_a_larger_mask_agrees_less():
    surface, camera, mask, eyes, chin = view()
    wide = mask | mask.roll(6, 1) | mask.roll(-6, 1)
    assert 0.6 < silhouette_iou(surface, camera, wide, eyes, chin) < 0.95


@pytest.mark.parametrize("shared", [True, False])
def test_the_outline_term_is_at_rest_on_its_own_outline(shared):
    model = load_body_model("anny-head")
    points = head_points(model, face_mesh_landmarks(model), 6, 4)
    state = replace(random_state(points, 3, 0, torch.float32), coefficients=torch.zeros(3, points.coefficients))
    surface = skull(model, 6, 0.02, torch.float32)
    measured = Measured(
        torch.zeros(3, 478, 2), torch.ones(3, 478), torch.full((3,), 0.15), torch.arange(3.0).double(),
        state.places[:, :2].clone(), torch.zeros(3, 72),
    )  # fmt: skip
    first = outline_rows(surface, points.pivot, state, measured, shared)
    reached = replace(measured, outlines=-first.gap)
    rows = outline_rows(surface, points.pivot, state, reached, shared)
    assert float(rows.gap.abs().max()) < 1e-6
    used = rows.precision > 0
    assert 10 < int(used.sum()) / 3 < 45
    inside = outline_rows(surface, points.pivot, state, replace(reached, outlines=reached.outlines - 0.01), shared)
    outside = outline_rows(surface, points.pivot, state, replace(reached, outlines=reached.outlines + 0.01), shared)
    assert float(inside.precision[used].mean()) > 4 * float(outside.precision[used].mean())
    assert rows.jacobian.shape[-1] == (6 + 6 + 1 if shared else 6)
