"""Videos, options and the user's own files that cannot be used."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from body_models.errors import InputError
from data_prep.prepare import PrepareOptions, checked_options, prepare_video
from tests.data_prep.talking_video import film, pictures

pytest.importorskip("mediapipe")
QUICK = PrepareOptions(size=96, overlay=False)


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    return film(tmp_path_factory.mktemp("video") / "talking.mp4", pictures())


def refused(message: str, source: Path, out: Path, **changes: object) -> None:
    with pytest.raises(InputError, match=message):
        prepare_video(source, out, dataclasses.replace(QUICK, **changes))
    assert not (out / "dataset.json").exists()


def test_a_face_that_is_seldom_there_is_told(tmp_path):
    frames = [*pictures()[:4], *[np.full_like(pictures()[0], 80)] * 6]
    said: list[str] = []
    prepare_video(film(tmp_path / "seldom.mp4", frames), tmp_path / "out", QUICK, say=said.append)
    assert any("Only 4 of 10 frames show a face" in line for line in said)


def test_nobody_for_a_body(tmp_path):
    grey = film(tmp_path / "grey.mp4", [np.full_like(pictures()[0], 80)] * 4)
    refused("No person was found in any of the 4 frames", grey, tmp_path / "out", body=True)


@pytest.mark.parametrize("name", ["landmarks", "masks"])
def test_own_input_that_cannot_be_used_is_told_before_any_work(video, tmp_path, name):
    short = tmp_path / "short.npz"
    if name == "landmarks":
        np.savez(short, landmarks=np.full((5, 68, 2), 50.0))
    else:
        short = film(tmp_path / "short", list(pictures()[:5]))
    for path in (tmp_path / "missing", short):
        refused(path.name, video, tmp_path / "out", **{name: path})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["frames", "masks"])
def test_input_inside_the_dataset_is_not_eaten(tmp_path, name):
    source = film(tmp_path / "out" / name, list(pictures()[:4]))
    refused("other files|inside", source, tmp_path / "out")
    assert len(list(source.iterdir())) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "anni-head"}, "Unknown model 'anni-head'"),
        ({"model": "smplx"}, "add --body"),
        ({"model": "flame", "body": True}, "drop --body"),
        ({"size": 5}, "--size 5"),
        ({"size": 100000}, "--size 100000"),
        ({"crop": "face"}, "--crop 'face'"),
        ({"focal": 0.0}, "--focal 0.0"),
        ({"focal": float("nan")}, "--focal nan"),
        ({"body": True, "landmarks": Path("own.npz")}, "--landmarks"),
        ({"start": -1.0}, "--start -1"),
        ({"start": 60.0}, "--start 60"),
        ({"start": 0.2, "end": 0.1}, "--end 0.1"),
        ({"fps": 0.0}, "--fps 0"),
    ],
)
def test_options_that_make_no_sense(video, tmp_path, changes, message):
    refused(message, video, tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_models_by_default():
    assert checked_options(PrepareOptions()).model == "anny-head"
    assert checked_options(PrepareOptions(body=True)).model == "anny"
