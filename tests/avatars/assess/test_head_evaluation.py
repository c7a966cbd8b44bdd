import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image

from avatars.assess.head_evaluation import (
    check_fitting,
    evaluate_head,
    held_out_frames,
    thinned,
    usable_frames,
    view_of,
)
from avatars.fit.video_frames import split_frames
from avatars.fit.video_options import VideoFitOptions
from body_models import InputError
from data_prep.video_dataset import read_video_dataset, write_video_dataset
from tests.avatars.fit.tiny_video import FRAMES, SIZE
from tests.avatars.small_head import front_camera, small_head


@pytest.fixture(scope="module")
def dataset(talking):
    return read_video_dataset(talking / "data")


def flagged(dataset, *numbers):
    frames = [dataclasses.replace(frame, use=number not in numbers) for number, frame in enumerate(dataset.frames)]
    return dataclasses.replace(dataset, frames=tuple(frames))


@pytest.mark.parametrize("out", [(), (7,), (0, 2, 5)])
def test_held_out_frames_are_those_of_the_fit(dataset, out):
    dataset = flagged(dataset, *out)
    split = split_frames(dataset, VideoFitOptions(hold_out=0.2))
    assert held_out_frames(dataset) == list(split.test)
    assert not set(held_out_frames(dataset)) & set(split.train)


def test_thinning_keeps_the_ends():
    assert thinned(range(5), 9) == [0, 1, 2, 3, 4]
    some = thinned(range(100, 400), 48)
    assert (len(some), some[0], some[-1]) == (48, 100, 399)
    assert set(np.diff(some)) <= {6, 7}


def test_a_head_is_compared_and_a_report_written(dataset, tmp_path):
    found = evaluate_head(small_head(), dataset.folder, out=tmp_path / "report", size=48, quiet=True)
    assert [row.frame for row in found.scores.frames] == [FRAMES - 2, FRAMES - 1]
    assert found.scores.mean("iou") > 0.1
    stored = json.loads((tmp_path / "report" / "scores.json").read_text())
    assert stored["mean"]["face.psnr"] == pytest.approx(found.scores.mean("face.psnr"))
    strip = Image.open(tmp_path / "report" / f"frame_{FRAMES - 1:06d}.png")
    assert strip.size == (3 * 48, 48)
    assert (tmp_path / "report" / "sheet.png").is_file()
    for told in ("| face |", "| whole person |", "2 of 2 usable frames", "48 pixels"):
        assert told in found.table()


def test_all_frames_through_the_mesh(dataset):
    found = evaluate_head(small_head(), dataset.folder, frames="all", size=32, exact=False, quiet=True)
    assert len(found.scores.frames) == FRAMES


def test_pictures_it_was_fitted_to_are_told(dataset):
    head = small_head()
    known = dataclasses.replace(head.info, names=tuple(frame.image for frame in dataset.frames))
    fitted = type(head)(head.model, head.tracks, known)
    found = evaluate_head(fitted, dataset.folder, size=32, exact=False, quiet=True)
    assert "fitted to 2 pictures of the same names" in found.table()


def test_the_view_is_srgb_coded_on_white():
    head = small_head()
    tracks = head.tracks
    view = view_of(head, exact=False)(tracks.poses[0], tracks.translations[0], tracks.expressions[0], front_camera())
    drawn = head.frame(0).render(front_camera())
    np.testing.assert_allclose((255 * view.rgb).round().numpy(), drawn.to_uint8(), atol=1)
    assert (view.rgb[view.mask == 0] > 0.999).all()


def other_model(dataset):
    return dataclasses.replace(dataset, model="flame_neutral")


def fewer_expressions(dataset):
    return dataclasses.replace(dataset, expressions=dataset.expressions[:, :20], expression_names=())


def other_names(dataset):
    return dataclasses.replace(dataset, expression_names=tuple(reversed(dataset.expression_names)))


@pytest.mark.parametrize(
    ("change", "told"),
    [(other_model, "anny-head"), (fewer_expressions, "20 expression numbers"), (other_names, "names differ")],
)
def test_a_dataset_of_another_kind(dataset, change, told):
    with pytest.raises(InputError, match=told):
        check_fitting(small_head(), change(dataset))


def test_a_dataset_without_masks(dataset, tmp_path):
    frames = tuple(dataclasses.replace(frame, mask=None) for frame in dataset.frames)
    write_video_dataset(dataclasses.replace(dataset, frames=frames), tmp_path / "bare")
    with pytest.raises(InputError, match="no mask"):
        evaluate_head(small_head(), tmp_path / "bare", quiet=True)


def test_bad_requests(dataset, tmp_path):
    with pytest.raises(InputError, match="Unknown choice of frames 'lost'"):
        evaluate_head(small_head(), dataset.folder, frames="lost", quiet=True)
    with pytest.raises(InputError, match="No dataset at"):
        evaluate_head(small_head(), tmp_path / "none", quiet=True)
    with pytest.raises(InputError, match="flagged"):
        usable_frames(flagged(dataset, *range(FRAMES)))
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"is a file.*avatars prepare .*file --out FOLDER"):
        evaluate_head(small_head(), tmp_path / "file", quiet=True)
    with pytest.raises(InputError, match="--out"):
        evaluate_head(small_head(), dataset.folder, out=tmp_path / "file", size=SIZE, quiet=True)
    assert torch.is_grad_enabled()
