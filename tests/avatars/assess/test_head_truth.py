import dataclasses

import numpy as np
import pytest
import torch

from avatars.assess.head_scores import normal_error
from avatars.assess.head_truth import field_errors, true_normals
from avatars.fit.video_report import HeadView
from body_models import InputError
from data_prep.synthetic_heads import make_talking_head
from tests.avatars.small_head import head_body, small_model


@pytest.fixture(scope="module")
def head():
    return make_talking_head(1, 3, 96, 96)


def test_true_normals_are_the_picture_s(head):
    seen, picture = true_normals(head)(1, head.camera), head.picture(1)
    assert seen.head.sum() > 300
    assert not (seen.head & ~picture.head_mask).any()
    toward = -head.camera.rays()[1].numpy()
    facing = seen.head & ((seen.normal * toward).sum(-1) > 0.2)  # at outlines the pictures turn them to the camera
    assert facing.sum() > 0.8 * seen.head.sum()
    assert np.abs(seen.normal - picture.normal)[facing].max() < 0.02
    view = HeadView(torch.ones(96, 96, 3), torch.ones(96, 96), torch.from_numpy(seen.normal))
    assert normal_error(view, seen, np.ones((96, 96), bool)) == pytest.approx(0, abs=0.05)


def test_true_normals_at_another_size(head):
    small = true_normals(head)(0, head.camera.resized(48, 48))
    assert small.normal.shape == (48, 48, 3)
    np.testing.assert_allclose(np.linalg.norm(small.normal[small.head], axis=1), 1, atol=1e-5)


def test_a_head_that_starts_at_the_truth_is_near_it():
    errors = field_errors(small_model(), head_body())
    assert errors.weights < 0.2
    assert errors.blendshapes < 0.3 * errors.movement
    assert 0.5 < errors.movement < 20


def test_without_blendshapes_the_error_is_the_movement():
    model = small_model()
    with torch.no_grad():
        model.offsets.basis.zero_()
        model.weights.logits.zero_()
    errors = field_errors(model, head_body())
    assert errors.blendshapes == pytest.approx(errors.movement, rel=1e-5)
    assert errors.weights == pytest.approx(2 * (1 - 1 / model.bones), rel=0.2)


def test_another_model_s_body():
    body = head_body()
    few = dataclasses.replace(
        body,
        expression_basis=body.expression_basis[:3],
        expression_basis_joints=body.expression_basis_joints[:3],
        expression_names=body.expression_names[:3],
    )
    with pytest.raises(InputError, match="cannot be compared"):
        field_errors(small_model(), few)
