import dataclasses

import numpy as np
import pytest
import torch

from avatars.assess.face_landmarks import FaceDetector, detector_missing, mean_distance, own_error
from avatars.assess.head_scores import TrueNormals, normal_error, picture_scores, reference, score_head
from avatars.fit.video_report import HeadView
from body_models import InputError
from data_prep.synthetic_heads import make_talking_head
from data_prep.synthetic_heads.truth import write_truth

SIZE = 160


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_truth(make_talking_head(0, 3, SIZE, SIZE), tmp_path_factory.mktemp("talking"))


def perfect(dataset, frames, change=lambda rgb: rgb):
    """A renderer that shows the frames themselves, in their order."""
    left = list(frames)

    def render(pose, translation, expression, camera):
        frame = left.pop(0)
        assert torch.equal(pose, dataset.poses[frame])
        assert torch.equal(expression, dataset.expressions[frame])
        shown = reference(dataset, frame, camera.width, None)
        rgb = torch.from_numpy(change(shown.rgb.copy()))
        return HeadView(rgb, torch.from_numpy(shown.person).float(), torch.zeros_like(rgb))

    return render


def test_the_frames_themselves_are_perfect(dataset):
    scores = score_head(perfect(dataset, [0, 2]), dataset, [0, 2], 80)
    assert [row.frame for row in scores.frames] == [0, 2]
    for region in ("face", "person"):
        assert scores.mean(f"{region}.l1") == 0
        assert scores.mean(f"{region}.psnr") == float("inf")
        assert scores.mean(f"{region}.ssim") == pytest.approx(1)
    assert scores.mean("iou") == 1
    assert scores.mean("normal_face") is None


def test_expression_error_of_a_picture_against_itself_is_zero(dataset):
    pytest.importorskip("mediapipe")
    scores = score_head(perfect(dataset, [1]), dataset, [1], SIZE)
    assert scores.mean("expression") == pytest.approx(0, abs=1e-4)
    assert 0 < scores.mean("floor") < 3
    assert scores.count("expression") == 1


def test_faces_that_are_not_found_are_counted_and_told(dataset):
    pytest.importorskip("mediapipe")
    scores = score_head(perfect(dataset, [0, 1], np.ones_like), dataset, [0, 1], SIZE)
    assert scores.count("expression") == 0
    assert any("In 2 of 2 frames no face was found" in note for note in scores.notes)


def test_without_a_detector_its_column_is_left_out_and_said_so(dataset, monkeypatch):
    monkeypatch.setattr("avatars.assess.head_scores.detector_missing", lambda: "mediapipe is not installed")
    scores = score_head(perfect(dataset, [0]), dataset, [0], 64)
    assert scores.mean("expression") is None
    assert any("No expression error: mediapipe" in note for note in scores.notes)


def test_the_person_is_on_white(dataset):
    shown = reference(dataset, 0, SIZE, None)
    outside = dataset.alpha(0) == 0
    assert (shown.rgb[outside] == 1).all()
    assert shown.face.any()
    assert (shown.face & shown.person).sum() > 0.98 * shown.face.sum()
    assert shown.camera.width == SIZE


def test_pictures_are_never_made_larger(dataset):
    assert reference(dataset, 0, 1000, None).rgb.shape == (SIZE, SIZE, 3)
    half = reference(dataset, 0, SIZE // 2, None)
    assert half.rgb.shape == (SIZE // 2, SIZE // 2, 3)
    torch.testing.assert_close(half.camera.intrinsics[0, 0], dataset.intrinsics[0, 0, 0] / 2)


def test_no_landmarks_no_face_region(dataset):
    blind = dataclasses.replace(dataset, landmarks=torch.full_like(dataset.landmarks, torch.nan))
    shown = reference(blind, 0, 64, None)
    assert picture_scores(shown.rgb, shown.rgb, shown.face) is None


@pytest.mark.parametrize("degrees", [0.0, 8.0, 90.0])
def test_turned_normals_are_that_far_off(degrees):
    truth = np.zeros((6, 6, 3), np.float32)
    truth[..., 2] = 1
    angle = torch.deg2rad(torch.tensor(degrees))
    turned = torch.stack([angle.sin(), torch.tensor(0.0), angle.cos()]).expand(6, 6, 3)
    view = HeadView(torch.ones(6, 6, 3), torch.ones(6, 6), turned)
    everywhere = np.ones((6, 6), bool)
    known = TrueNormals(truth, everywhere)
    assert normal_error(view, known, everywhere) == pytest.approx(degrees, abs=0.05)


def test_normals_count_where_both_are_seen():
    truth = np.zeros((4, 4, 3), np.float32)
    truth[..., 2] = 1
    normal = torch.from_numpy(truth).clone()
    normal[0] = torch.tensor([1.0, 0.0, 0.0])
    mask = torch.ones(4, 4)
    mask[0] = 0
    view, everywhere = HeadView(torch.ones(4, 4, 3), mask, normal), np.ones((4, 4), bool)
    assert normal_error(view, TrueNormals(truth, everywhere), everywhere) == pytest.approx(0, abs=1e-4)
    assert normal_error(view, TrueNormals(truth, ~everywhere), everywhere) is None


def test_distances_are_told_at_256_pixels():
    points = np.random.default_rng(0).random((68, 2))
    moved = points + np.array([3.0, 4.0])
    assert mean_distance(points, moved, 256) == pytest.approx(5)
    assert mean_distance(points, moved, 512) == pytest.approx(2.5)


def test_the_detector_is_steady(dataset):
    pytest.importorskip("mediapipe")
    detect = FaceDetector()
    rgb = dataset.image(0)
    found = detect(rgb)
    assert detector_missing() is None
    np.testing.assert_allclose(detect(rgb), found, atol=1e-3)
    assert 0 < own_error(detect, rgb, found, np.random.default_rng(0)) < 3
    assert detect(np.full((64, 64, 3), 255, np.uint8)) is None
    detect.close()


def test_bad_requests(dataset):
    render = perfect(dataset, [0])
    with pytest.raises(InputError, match="No frames"):
        score_head(render, dataset, [], 64)
    with pytest.raises(InputError, match="size of 8 pixels"):
        score_head(render, dataset, [0], 8)
    frames = tuple(dataclasses.replace(frame, mask=None) for frame in dataset.frames)
    with pytest.raises(InputError, match="no mask"):
        score_head(render, dataclasses.replace(dataset, frames=frames), [0], 64)
    with pytest.raises(InputError, match="not finite"):
        score_head(perfect(dataset, [0], lambda rgb: rgb * np.float32(np.nan)), dataset, [0], 64)
