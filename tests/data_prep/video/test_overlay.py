from dataclasses import replace

import av
import numpy as np
import pytest
import torch

from body_models.errors import InputError
from data_prep.video.overlay import Overlay, fitted, flag_words, framed_red, left_out_words, write_overlay
from data_prep.video.sheet import contact_sheet, spread_frames
from data_prep.video_dataset import VideoFrame
from tests.data_prep.video.report_cases import COUNT, SIZE, small_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return small_dataset(tmp_path_factory.mktemp("overlay"))


def test_mesh_covers_its_mask_and_nothing_else(dataset):
    picture = dataset.image(0)
    changed = (Overlay(dataset).draw(0, picture, landmarks=False) != picture).any(axis=-1)
    mask = dataset.alpha(0) > 0.5
    near = np.lib.stride_tricks.sliding_window_view(np.pad(mask, 2), (5, 5)).any(axis=(2, 3))
    assert changed[mask].mean() > 0.98
    assert not changed[~near].any()


def test_mesh_follows_the_pose_at_every_size_of_picture(dataset):
    overlay = Overlay(replace(dataset, poses=torch.zeros_like(dataset.poses)))
    for size in (SIZE, 2 * SIZE + 1):
        flat = np.full((size, size, 3), 10, np.uint8)
        centers = [np.nonzero((overlay.draw(i, flat, landmarks=False) != flat).any(axis=-1))[1].mean() for i in (0, 5)]
        moved = dataset.camera(0).project(dataset.translations[[0, 5]])[0][:, 0].diff() * size / SIZE
        assert centers[1] - centers[0] == pytest.approx(float(moved), abs=0.04 * size)


def test_mesh_outside_the_picture_and_behind_the_camera_is_not_drawn(dataset):
    for place in ([5.0, 0.0, -0.6], [0.0, 0.0, 3.0]):
        away = replace(dataset, translations=torch.tensor(place).repeat(COUNT, 1))
        picture = dataset.image(0)
        assert np.array_equal(Overlay(away).draw(0, picture, landmarks=False), picture)


def test_mesh_around_the_camera_is_drawn(dataset):
    around = replace(dataset, translations=torch.zeros(COUNT, 3))
    assert Overlay(around).draw(0, dataset.image(0)).shape == (SIZE, SIZE, 3)


def test_landmarks_are_green_when_used_red_when_covered_and_absent_when_unseen(dataset):
    away = replace(dataset, translations=torch.tensor([5.0, 0.0, -0.6]).repeat(COUNT, 1))
    landmarks = torch.tensor([[10.5, 20.5], [30.5, 40.5], [torch.nan, torch.nan], [-5.0, 900.0]])
    weights = torch.tensor([1.0, 0.0, 0.0, 1.0])
    marked = replace(away, landmarks=landmarks.repeat(COUNT, 1, 1), landmark_weights=weights.repeat(COUNT, 1))
    black = np.zeros((SIZE, SIZE, 3), np.uint8)
    drawn = Overlay(marked).draw(0, black)
    assert drawn[20, 10].argmax() == 1
    assert drawn[40, 30].argmax() == 0
    assert (drawn != 0).any(axis=-1).sum() == 2
    assert not black.any()


def test_video_has_every_frame_and_marks_those_left_out(dataset, tmp_path):
    calls = []
    path = write_overlay(Overlay(dataset), tmp_path / "overlay.mp4", lambda *call: calls.append(call))
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == COUNT
    assert frames[0].shape[1] == 2 * SIZE
    reds = [(frame[2:-20, -1, 0].astype(float) - frame[2:-20, -1, 1]).mean() > 60 for frame in frames]
    assert reds == [not frame.use for frame in dataset.frames]
    assert calls[-1] == ("overlay", COUNT, COUNT)


def test_sheet_frames_in_red_what_is_left_out(dataset):
    overlay = Overlay(dataset)
    used = tuple(replace(frame, use=True, flags=()) for frame in dataset.frames)
    sheets = [contact_sheet(overlay), contact_sheet(Overlay(replace(dataset, frames=used)))]
    red = [int(((sheet == (225, 45, 45)).all(axis=-1)).sum()) for sheet in sheets]
    assert red[0] > 4 * SIZE
    assert red[1] == 0


def test_sheet_without_masks_has_no_third_column(dataset):
    bare = replace(dataset, frames=tuple(replace(frame, mask=None) for frame in dataset.frames))
    assert contact_sheet(Overlay(bare)).shape[1] < contact_sheet(Overlay(dataset)).shape[1]
    half = replace(dataset, frames=(replace(dataset.frames[0], mask=None), *dataset.frames[1:]))
    assert contact_sheet(Overlay(half)).shape == contact_sheet(Overlay(dataset)).shape


def test_spread_frames_hold_both_ends_once():
    assert spread_frames(1, 24) == [0]
    assert spread_frames(6, 24) == list(range(6))
    spread = spread_frames(1337, 24)
    assert len(spread) == 24
    assert spread[0] == 0
    assert spread[-1] == 1336


def test_words_tell_why():
    frame = VideoFrame(source=0, time=0.0, image="a.png", mask=None, flags=("hand", "odd_light"), use=False)
    assert left_out_words(frame) == "left out: hand over the face, odd light"
    assert left_out_words(replace(frame, flags=(), use=True)) == "used"
    assert flag_words("no_face") == "no face"


def test_fitted_keeps_proportions_and_small_pictures():
    picture = np.zeros((100, 200, 3), np.uint8)
    assert fitted(picture, 50).shape == (50, 100, 3)
    assert fitted(picture, 100) is picture
    assert framed_red(picture, 2)[5, 5].sum() == 0


def test_missing_model_teaches(dataset):
    with pytest.raises(InputError, match="anny-hed"):
        Overlay(replace(dataset, model="anny-hed"))
