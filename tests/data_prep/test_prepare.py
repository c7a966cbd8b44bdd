import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from body_models.errors import InputError
from body_models.load import load_body_model
from data_prep.prepare import PrepareOptions, prepare_video
from data_prep.video import shards
from data_prep.video.detect import RESTART
from data_prep.video.face_mesh import face_mesh_landmarks
from data_prep.video.face_points import LANDMARKS_68
from data_prep.video.head import FACES, PICTURES
from data_prep.video_dataset import VideoDataset, read_video_dataset
from tests.data_prep.talking_video import (
    COUNT,
    SIDE,
    assert_equal_results,
    film,
    landmark_errors,
    pictures,
    talking_head,
)
from tests.shared_data import shared

pytest.importorskip("mediapipe")

ROOT = Path(__file__).resolve().parents[2]
QUICK = PrepareOptions(size=96, overlay=False)
EYE_CORNERS = (33, 263)
PART = 4
"""Frames in a part while these tests run."""


@pytest.fixture(scope="module", autouse=True)
def small_parts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("data_prep.video.run.PART", PART)
        patch.setattr("data_prep.video.detect.RESTART", PART)
        yield


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    return film(tmp_path_factory.mktemp("video") / "talking.mp4", pictures())


@pytest.fixture(scope="module")
def prepared(video, tmp_path_factory) -> VideoDataset:
    """The whole way without interruption."""
    out = tmp_path_factory.mktemp("prepared") / "dataset"
    prepare_video(video, out, QUICK)
    return read_video_dataset(out)


def tracked_points(dataset: VideoDataset, frame: int) -> torch.Tensor:
    """The tracked head's face mesh in pixels of the stored pictures."""
    model = load_body_model(dataset.model)
    body = model.body(dataset.betas)
    vertices = body.pose_vertices(dataset.poses[frame], dataset.translations[frame], dataset.expressions[frame])
    return dataset.camera(frame).project(face_mesh_landmarks(model).on(vertices))[0]


def true_points(frame: int) -> torch.Tensor:
    """The face mesh in pixels of the video."""
    head = talking_head()
    return head.camera.project(face_mesh_landmarks(head.model).on(head.head_vertices(frame)))[0]


def errors(found: torch.Tensor, expected: torch.Tensor) -> np.ndarray:
    """Of the 68 points, as shares of the distance between the outer eye corners."""
    eyes = (expected[EYE_CORNERS[0]] - expected[EYE_CORNERS[1]]).norm()
    return ((found - expected).norm(dim=-1) / eyes)[list(LANDMARKS_68)].numpy()


def test_a_dataset_that_reads_back(prepared):
    assert (len(prepared), prepared.width, prepared.height) == (COUNT, 96, 96)
    assert prepared.model == "anny-head"
    assert all(frame.use for frame in prepared.frames)
    assert [frame.source for frame in prepared.frames] == list(range(COUNT))
    np.testing.assert_allclose([frame.time for frame in prepared.frames], np.arange(COUNT) / 25, atol=1e-6)
    assert sorted(path.name for path in prepared.folder.iterdir()) == sorted(
        ["contact_sheet.png", "dataset.json", "frames", "masks", "summary.html", "tracks.safetensors"]
    )


def test_the_tracked_head_lies_on_the_detected_landmarks(prepared):
    found = [errors(tracked_points(prepared, frame), prepared.landmarks[frame]) for frame in range(COUNT)]
    assert np.median(found) < 0.04


def test_the_mask_covers_the_head(prepared):
    for frame in (0, COUNT - 1):
        x, y = tracked_points(prepared, frame).long().T
        inside = (x >= 0) & (x < 96) & (y >= 0) & (y < 96)
        alpha = torch.from_numpy(np.asarray(prepared.alpha(frame)))
        assert inside.float().mean() > 0.95
        assert (alpha[y[inside], x[inside]] > 0.5).float().mean() > 0.97
        assert alpha[:6, :6].mean() < 0.1


def test_the_whole_picture_with_the_head_where_it_was(video, tmp_path):
    dataset = prepare_video(video, tmp_path / "out", dataclasses.replace(QUICK, crop="none"))
    half = torch.diag(torch.tensor([96 / SIDE, 96 / SIDE, 1.0]))
    assert np.median(landmark_errors(dataset, half)) < 0.05
    picture = np.asarray(Image.fromarray(pictures()[0]).resize((96, 96), Image.Resampling.BOX), float)
    assert np.abs(picture - dataset.image(0)).mean() < 4


def test_a_given_focal_length_is_used_exactly(video, tmp_path):
    focal = float(talking_head().intrinsics[0, 0])
    dataset = prepare_video(video, tmp_path / "out", dataclasses.replace(QUICK, focal=focal))
    assert "focal length given" in dataset.notes
    crop_from_source = dataset.intrinsics[0] @ torch.linalg.inv(talking_head().intrinsics)
    assert np.median(landmark_errors(dataset, crop_from_source)) < 0.05
    whole = prepare_video(video, tmp_path / "whole", dataclasses.replace(QUICK, focal=focal, crop="none"))
    expected = torch.tensor([[focal / 2, 0.0, 48.0], [0.0, focal / 2, 48.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(whole.intrinsics, expected.repeat(COUNT, 1, 1), atol=1e-3, rtol=1e-6)
    depths = whole.translations[:, 2] / talking_head().translations[:, 2]
    assert 0.9 < depths.median() < 1.1


def test_the_face_tracker_starts_afresh_where_parts_begin():
    assert shards.PART % RESTART == 0


def stopping(stage: str, at: int):
    """A progress callback that interrupts as Ctrl-C does."""

    def progress(name: str, done: int, total: int) -> None:
        if name == stage and done >= at:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize(("stage", "at"), [(FACES, 6), (FACES, 8), (PICTURES, 6), ("identity", 1), ("motion", 3)])
def test_interrupted_work_ends_the_same(video, prepared, tmp_path, stage, at):
    out, lines = tmp_path / "out", []
    with pytest.raises(KeyboardInterrupt):
        prepare_video(video, out, QUICK, progress=stopping(stage, at))
    assert not (out / "dataset.json").exists()
    steps = []
    prepare_video(video, out, QUICK, say=lines.append, progress=lambda *step: steps.append(step))
    assert any("Going on" in line for line in lines)
    assert steps[0] == (FACES, min(COUNT, PART * ((at - 1) // PART)) if stage == FACES else COUNT, COUNT)
    assert_equal_results(read_video_dataset(out), prepared)
    assert not (out / "work").exists()


def test_a_killed_process_is_gone_on_with(video, prepared, tmp_path):
    out = tmp_path / "out"
    script = (
        "import os, signal, sys\n"
        "import data_prep.video.run as run\n"
        "from data_prep.prepare import PrepareOptions, prepare_video\n"
        "import data_prep.video.detect as detect\n"
        f"run.PART = detect.RESTART = {PART}\n"
        "def progress(name, done, total):\n"
        f"    if name == {PICTURES!r} and done == 6: os.kill(os.getpid(), signal.SIGKILL)\n"
        "prepare_video(sys.argv[1], sys.argv[2], PrepareOptions(size=96, overlay=False), progress=progress)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script, video, out], env=environment, capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (out / "dataset.json").exists()
    assert (out / "work" / "job.json").is_file()
    prepare_video(video, out, QUICK, resume=True)
    assert_equal_results(read_video_dataset(out), prepared)


def test_a_finished_dataset_is_replaced_only_when_told(video, tmp_path):
    out, part = tmp_path / "out", dataclasses.replace(QUICK, end=0.2)
    prepare_video(video, out, part)
    with pytest.raises(InputError, match="--overwrite"):
        prepare_video(video, out, part)
    assert len(prepare_video(video, out, dataclasses.replace(part, end=0.16), overwrite=True)) < 6


def test_own_landmarks(video, tmp_path):
    points = np.stack([true_points(frame)[list(LANDMARKS_68)].numpy() for frame in range(COUNT)])
    np.savez(tmp_path / "own.npz", landmarks=points)
    options = dataclasses.replace(QUICK, crop="none", landmarks=tmp_path / "own.npz")
    dataset = prepare_video(video, tmp_path / "out", options)
    assert "landmarks are the user's own" in dataset.notes
    stored = dataset.landmarks[:, list(LANDMARKS_68)]
    torch.testing.assert_close(stored, torch.from_numpy(points).float() / 2, atol=1e-3, rtol=1e-4)
    assert np.median(landmark_errors(dataset, torch.diag(torch.tensor([0.5, 0.5, 1.0])))) < 0.03


def test_own_masks(video, tmp_path):
    masks = tmp_path / "own"
    masks.mkdir()
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    alpha[20:180, 40:150] = 255
    for frame in range(COUNT):
        Image.fromarray(alpha).save(masks / f"{frame:04d}.png")
    dataset = prepare_video(video, tmp_path / "out", dataclasses.replace(QUICK, crop="none", masks=masks))
    expected = np.zeros((96, 96))
    expected[10:90, 20:75] = 1
    for frame in range(COUNT):
        off = np.abs(dataset.alpha(frame) - expected)
        assert off.max() < 0.3  # the edge is resampled
        assert off.mean() < 0.02


def test_a_folder_of_pictures(tmp_path):
    (tmp_path / "in").mkdir()
    for frame, rgb in enumerate(pictures()[:6]):
        Image.fromarray(rgb).save(tmp_path / "in" / f"{frame}.png")
    dataset = prepare_video(tmp_path / "in", tmp_path / "out", QUICK)
    assert len(dataset) == 6
    assert all(frame.use for frame in dataset.frames)


def test_a_part_of_the_video_at_another_rate(video, tmp_path):
    options = dataclasses.replace(QUICK, start=0.12, end=0.44, fps=12.5)
    dataset = prepare_video(video, tmp_path / "out", options)
    assert [frame.source for frame in dataset.frames] == [3, 5, 7, 9]
    np.testing.assert_allclose(np.diff([frame.time for frame in dataset.frames]), 0.08, atol=1e-6)


def test_a_body(tmp_path):
    video = shared("video_squats") / "pose_squats.mp4"
    options = PrepareOptions(body=True, size=128, end=1.6, overlay=False)
    dataset = prepare_video(video, tmp_path / "out", options)
    assert (dataset.model, dataset.kind, dataset.landmarks.shape[1:]) == ("anny", "body", (33, 2))
    assert all(frame.use for frame in dataset.frames)
    model = load_body_model("anny")
    body = model.body(dataset.betas)
    for frame in range(len(dataset)):
        points, depth = dataset.camera(frame).project(
            body.pose_vertices(dataset.poses[frame], dataset.translations[frame])
        )
        assert (depth > 0).all()
        x, y = points.round().long().clamp(0, 127).T
        assert (torch.from_numpy(np.asarray(dataset.alpha(frame)))[y, x] > 0.5).float().mean() > 0.7
