"""Videos that are not simply one face in every frame."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from body_models.errors import InputError
from data_prep.prepare import PrepareOptions, prepare_video
from data_prep.video_dataset import VideoDataset
from tests.data_prep.talking_video import COUNT, OTHER_SEED, film, pictures

pytest.importorskip("mediapipe")

QUICK = PrepareOptions(size=96, overlay=False)
BLACK = np.zeros_like(pictures()[0])


def prepared(folder: Path, frames: list[np.ndarray], options: PrepareOptions = QUICK) -> VideoDataset:
    dataset = prepare_video(film(folder / "video.mp4", frames), folder / "out", options)
    for name in ("betas", "intrinsics", "poses", "translations", "expressions"):
        assert getattr(dataset, name).isfinite().all(), name
    return dataset


def flagged(dataset: VideoDataset, flag: str) -> list[int]:
    return [i for i, frame in enumerate(dataset.frames) if flag in frame.flags]


def unused(dataset: VideoDataset) -> list[int]:
    return [i for i, frame in enumerate(dataset.frames) if not frame.use]


def test_five_frames_are_enough(tmp_path):
    dataset = prepared(tmp_path, list(pictures()[:5]))
    assert len(dataset) == 5
    assert not unused(dataset)


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_are_not(tmp_path, count):
    with pytest.raises(InputError, match="too few to track a head"):
        prepared(tmp_path, list(pictures()[:count]))
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_black_frames_are_left_out(tmp_path):
    frames = [*pictures()[:4], BLACK, BLACK, *pictures()[4:]]
    dataset = prepared(tmp_path, frames)
    assert flagged(dataset, "no_face") == unused(dataset) == [4, 5]
    assert any(line.startswith("frames 4-5: no face found; left out") for line in dataset.warnings)
    assert not flagged(dataset, "other_shot")


def test_a_video_that_begins_black(tmp_path):
    dataset = prepared(tmp_path, [BLACK, BLACK, *pictures()])
    assert unused(dataset) == [0, 1]


def test_nothing_but_black(tmp_path):
    with pytest.raises(InputError, match="No face was found in any of the 4 frames"):
        prepared(tmp_path, [BLACK] * 4)


def test_of_two_shots_the_longer_one_is_used(tmp_path):
    dataset = prepared(tmp_path, [*pictures(), *pictures(OTHER_SEED)[:6]])
    other = list(range(COUNT, COUNT + 6))
    assert flagged(dataset, "other_shot") == unused(dataset) == other
    (advice,) = [line for line in dataset.warnings if "another shot" in line]
    assert "--start and --end" in advice


def test_the_other_shot_does_not_change_the_tracked_person(tmp_path):
    options = dataclasses.replace(QUICK, crop="none")
    (tmp_path / "alone").mkdir()
    alone = prepared(tmp_path / "alone", list(pictures()), options)
    both = prepared(tmp_path, [*pictures(), *pictures(OTHER_SEED)[:6]], options)
    assert (alone.betas - both.betas).abs().mean() < 0.1


@pytest.mark.parametrize("mirrored", [False, True])
def test_of_two_faces_one_is_followed_and_named(tmp_path, mirrored):
    pair = [np.hstack([first, second]) for first, second in zip(pictures(), pictures(OTHER_SEED), strict=True)]
    frames = [np.ascontiguousarray(frame[:, ::-1]) for frame in pair] if mirrored else pair
    dataset = prepared(tmp_path, frames, dataclasses.replace(QUICK, crop="none"))
    assert len(flagged(dataset, "two_faces")) > COUNT / 2
    (advice,) = [line for line in dataset.warnings if "more than one face" in line]
    middles = dataset.landmarks.nanmean(dim=1)[:, 0]
    right = bool((middles > 48).all())
    assert right or bool((middles < 48).all()), "it stays with one"
    assert f"the one on the {'right' if right else 'left'} of the picture is followed" in advice
