from dataclasses import replace

import numpy as np
import pytest
import torch

from body_models.anny import load_anny, load_anny_head
from body_models.errors import InputError
from data_prep.surface import Surface
from data_prep.video.embed import EmbeddingOptions, embed_face_mesh, mediapipe_finder, view_camera
from data_prep.video.face_mesh import face_mesh_landmarks
from data_prep.video.face_paint import head_surface, paint
from data_prep.video.face_points import IRISES, LOWER_LIP, UPPER_LIP

MODEL = load_anny_head()
POINTS = face_mesh_landmarks(MODEL)
FEW = EmbeddingOptions(identities=1, yaws=(-30.0, 0.0, 30.0), pitches=(-15.0, 15.0), jaws=(0.0,), size=64, rounds=1)


class TruthFinder:
    """Answers with the shipped points' projections, view after view."""

    def __init__(self, model, options):
        views = [(yaw, pitch) for yaw in options.yaws for pitch in options.pitches]
        places = POINTS.on(MODEL.template)
        views = [(0.0, 0.0), *views]  # it looks from the front first
        self.answers = iter([view_camera(model, *view, options.size).project(places)[0].numpy() for view in views])

    def __call__(self, picture):
        return next(self.answers).astype(np.float64)


def test_known_points_are_found_again_from_their_projections():
    found = embed_face_mesh(MODEL, FEW, TruthFinder(MODEL, FEW)).on(MODEL.template)
    error = (found - POINTS.on(MODEL.template)).norm(dim=1)
    assert error.mean() < 1.5e-3
    assert error[list(IRISES)].max() < 1e-6


def test_points_lie_within_triangles_and_lips_on_their_side():
    found = embed_face_mesh(MODEL, FEW, TruthFinder(MODEL, FEW))
    assert (found.weights >= -1e-5).all()
    torch.testing.assert_close(found.weights.sum(1), torch.ones(478))
    jaw = MODEL.skinning_weights[found.corners][..., MODEL.skeleton.index("jaw")].mean(1)
    assert (jaw[list(LOWER_LIP)] >= 0.5).all()
    assert (jaw[list(UPPER_LIP)] < 0.5).all()


def test_a_model_without_a_visible_face_is_refused_at_once():
    calls = []

    def nothing(picture):
        calls.append(picture)
        return None

    with pytest.raises(InputError, match="sees no face"):
        embed_face_mesh(MODEL, FEW, nothing)
    assert len(calls) == 1


def test_no_rounds_are_refused():
    with pytest.raises(InputError, match="1 or more"):
        embed_face_mesh(MODEL, replace(FEW, rounds=0), lambda picture: None)


def test_a_body_without_eyes_is_refused():
    with pytest.raises(InputError, match="anny-head"):
        embed_face_mesh(load_anny(), FEW, lambda picture: None)


def test_finer_faces_keep_the_surface():
    head = head_surface(MODEL)
    fine = Surface(head.fine.vertices(MODEL.template), head.fine.faces)
    coarse = Surface(MODEL.template, MODEL.faces)
    torch.testing.assert_close(fine.face_areas.sum(), coarse.face_areas.sum(), rtol=1e-5, atol=0)
    assert len(head.fine.faces) > 4 * len(MODEL.faces)


def test_paint_makes_lips_and_brows_only_where_points_are_known():
    head = head_surface(MODEL)
    plain, painted = paint(head, None), paint(head, POINTS)
    changed = (plain != painted).any(1)
    assert 0 < changed.float().mean() < 0.2
    assert not changed[head.fine.eye_vertices].any()


def test_mediapipe_finds_the_painted_head_where_the_points_are():
    pytest.importorskip("mediapipe")
    from data_prep.pictures import render_surface

    head = head_surface(MODEL)
    fine = Surface(head.fine.vertices(MODEL.template), head.fine.faces)
    camera = view_camera(MODEL, 10.0, 0.0, 384)
    found = mediapipe_finder()(render_surface(fine, camera, paint(head, POINTS)).to_uint8())
    projected = camera.project(POINTS.on(MODEL.template))[0].numpy()
    eyes = np.linalg.norm(projected[33] - projected[263])
    assert np.linalg.norm(found - projected, axis=1).mean() < 0.04 * eyes
