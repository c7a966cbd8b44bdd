import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from body_models.errors import InputError
from data_prep.other_datasets import (
    imavatar_clips,
    read_any_dataset,
    read_imavatar,
    read_imavatar_clips,
    write_imavatar,
)
from data_prep.video.face_points import LANDMARKS_68
from data_prep.video_dataset import write_video_dataset
from tests.data_prep.video_datasets import HEIGHT, WIDTH, assert_same_tracks, small_dataset, turned_cameras


@pytest.fixture
def clip(tmp_path) -> Path:
    write_imavatar(small_dataset(tmp_path / "ours"), tmp_path / "theirs", "alice", "talk")
    return tmp_path / "theirs/alice/alice/talk"


def index_of(clip: Path) -> dict:
    return json.loads((clip / "flame_params.json").read_text())


def edit(clip: Path, **changes: object) -> None:
    (clip / "flame_params.json").write_text(json.dumps(index_of(clip) | changes))


def edit_frame(clip: Path, number: int, **changes: object) -> None:
    frames = index_of(clip)["frames"]
    frames[number] |= changes
    edit(clip, frames=frames)


def their_pixel(index: dict, number: int, point: np.ndarray) -> np.ndarray:
    """Where their ray formula, ((u - cx)/|fx|, -(v - cy)/fy, -1), meets a point of their world."""
    fx, fy, cx, cy = np.array(index["intrinsics"]) * [WIDTH, HEIGHT, WIDTH, HEIGHT]
    matrix = np.array(index["frames"][number]["world_mat"])
    x, y, z = matrix[:, :3] @ point + matrix[:, 3]
    ray_x, ray_y = x / -z, y / -z
    return np.array([cx + abs(fx) * ray_x, cy - fy * ray_y])


@pytest.mark.parametrize("turned", [False, True])
def test_a_point_lands_on_the_same_pixel_by_their_rays_and_by_ours(tmp_path, turned):
    dataset = small_dataset(tmp_path / "ours")
    if turned:
        dataset = replace(dataset, camera_from_world=turned_cameras(3), translations=0.02 * torch.ones(3, 3))
    write_imavatar(dataset, tmp_path, "a", "b")
    index = index_of(tmp_path / "a/a/b")
    found = read_imavatar(tmp_path / "a/a/b")
    assert index["intrinsics"][0] < 0
    for number in range(3):
        for point in 0.1 * np.random.default_rng(number).normal(size=(5, 3)):  # of FLAME, unscaled and unshifted
            theirs = their_pixel(index, number, 4 * point)
            for ours in (dataset, found):
                pixel, depth = ours.camera(number).project(torch.tensor(point).float() + ours.translations[number])
                np.testing.assert_allclose(pixel.numpy(), theirs, atol=1e-3)
                assert depth > 0


def test_the_camera_that_they_start_from_is_read(clip):
    far = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -4]]
    for number in range(3):
        edit_frame(clip, number, world_mat=far)
    edit(clip, intrinsics=[-3.0, 3.0, 0.5, 0.5])
    dataset = read_imavatar(clip)
    up, depth = dataset.camera(0).project(torch.tensor([0.0, 0.1, 0.0]) + dataset.translations[0])
    assert depth == 1.0
    assert torch.allclose(up, torch.tensor([WIDTH / 2, HEIGHT / 2 - 0.1 * 3 * HEIGHT]))
    right, _ = dataset.camera(0).project(torch.tensor([0.1, 0.0, 0.0]) + dataset.translations[0])
    assert torch.allclose(right, torch.tensor([WIDTH / 2 + 0.1 * 3 * WIDTH, HEIGHT / 2]))


@pytest.mark.parametrize("turned", [False, True])
def test_round_trip(tmp_path, turned):
    dataset = small_dataset(tmp_path / "ours")
    if turned:
        dataset = replace(dataset, camera_from_world=turned_cameras(3), translations=torch.zeros(3, 3))
    assert write_imavatar(dataset, tmp_path, "a", "b") == ()
    found = read_imavatar(tmp_path / "a/a/b", frame_rate=12.5)
    assert_same_tracks(found, dataset)
    torch.testing.assert_close(found.camera_from_world, dataset.camera_from_world)
    torch.testing.assert_close(found.translations, dataset.translations)
    torch.testing.assert_close(found.intrinsics, dataset.intrinsics)
    assert found.betas.shape == (100,)
    assert found.expressions.shape == (3, 50)
    assert (found.model, found.kind, found.frame_rate) == ("flame", "head", 12.5)
    assert [frame.time for frame in found.frames] == [0, 0.08, 0.16]
    irises = [468, 473]
    torch.testing.assert_close(found.landmarks, dataset.landmarks[:, [*LANDMARKS_68, *irises]], atol=1e-4, rtol=0)
    again = tmp_path / "again"
    write_imavatar(found, again, "a", "b")
    assert_same_tracks(read_imavatar(again / "a/a/b"), found)
    write_video_dataset(found, tmp_path / "copy")
    assert_same_tracks(read_any_dataset(tmp_path / "copy"), found)


def test_the_layout_is_theirs(clip):
    files = {str(path.relative_to(clip)) for path in clip.rglob("*") if path.is_file()}
    assert files == {"flame_params.json"} | {f"{kind}/{n}.png" for kind in ("image", "mask") for n in (1, 2, 3)}
    frame = index_of(clip)["frames"][2]
    assert frame["file_path"] == "./image/3"
    assert np.array(frame["world_mat"]).shape == (3, 4)
    assert len(frame["pose"]) == 15
    assert len(frame["expression"]) == 50
    points = np.array(frame["flame_keypoints"])
    assert points.shape == (70, 2)
    np.testing.assert_allclose(frame["bbox"], [*points.min(0), *points.max(0)])


def test_unseen_points_are_filled_from_other_frames(tmp_path):
    dataset = small_dataset(tmp_path / "ours")
    landmarks = dataset.landmarks.clone()
    landmarks[1] = torch.nan
    landmarks[:, 473] = torch.nan
    write_imavatar(replace(dataset, landmarks=landmarks), tmp_path, "a", "b")
    found = read_imavatar(tmp_path / "a/a/b").landmarks
    middle = (found[0, :69] + found[2, :69]) / 2
    torch.testing.assert_close(found[1, :69], middle)
    torch.testing.assert_close(found[0, 69], found[0, :69].mean(0))


@pytest.mark.parametrize("landmarks", [0, 478])
def test_without_any_landmarks_the_box_is_not_nan(tmp_path, landmarks):
    dataset = small_dataset(tmp_path / "ours", landmarks=landmarks)
    write_imavatar(replace(dataset, landmarks=dataset.landmarks * torch.nan), tmp_path, "a", "b")
    assert np.isfinite(index_of(tmp_path / "a/a/b")["frames"][0]["bbox"]).all()


def test_older_intrinsics_are_pixels_of_512(clip):
    new = read_imavatar(clip).intrinsics
    scaled = [value * 512 for value in index_of(clip)["intrinsics"]]
    edit(clip, intrinsics=scaled)
    torch.testing.assert_close(read_imavatar(clip).intrinsics, new)


def test_clips_are_found_from_clip_subject_or_above(clip, tmp_path):
    for path in (clip, clip.parent, clip.parent.parent, tmp_path / "theirs"):
        assert imavatar_clips(path) == (clip,)
        assert len(read_any_dataset(path)) == 3
    write_imavatar(small_dataset(tmp_path / "ours", count=2), tmp_path / "theirs", "alice", "other")
    clips = read_imavatar_clips(tmp_path / "theirs/alice")
    assert {name: len(dataset) for name, dataset in clips.items()} == {"other": 2, "talk": 3}
    with pytest.raises(InputError, match=r"2 clips; give one of them.*talk"):
        read_any_dataset(tmp_path / "theirs/alice")
    write_imavatar(small_dataset(tmp_path / "ours", count=2), tmp_path / "theirs", "bob", "talk")
    with pytest.raises(InputError, match="several subjects"):
        read_imavatar_clips(tmp_path / "theirs")


def test_frames_unfit_for_use_are_left_out(tmp_path):
    dataset = small_dataset(tmp_path / "ours")
    frames = tuple(replace(frame, use=number != 1) for number, frame in enumerate(dataset.frames))
    notes = write_imavatar(replace(dataset, frames=frames), tmp_path, "a", "b")
    assert notes[0].startswith("1 of 3 frames")
    assert_same_tracks(read_imavatar(tmp_path / "a/a/b"), dataset.subset([0, 2]))
    none = tuple(replace(frame, use=False) for frame in dataset.frames)
    with pytest.raises(InputError, match="No frame"):
        write_imavatar(replace(dataset, frames=none), tmp_path, "a", "c")


def test_more_parameters_than_they_keep_are_cut_with_a_note(tmp_path):
    dataset = small_dataset(tmp_path / "ours")
    wide = replace(dataset, expressions=torch.ones(3, 100), betas=torch.zeros(300))
    (note,) = write_imavatar(wide, tmp_path, "a", "b")
    assert note.startswith("Expression parameters beyond the first 50")


def test_a_moving_crop_is_redrawn_for_one_camera(tmp_path):
    dataset = small_dataset(tmp_path / "ours")
    moving = dataset.intrinsics.clone()
    moving[1, 0, 2] += 6
    moving[2, :2] *= 0.5
    dataset = replace(dataset, intrinsics=moving)
    (note,) = write_imavatar(dataset, tmp_path, "a", "b")
    found = read_imavatar(tmp_path / "a/a/b")
    assert "moving crop" in note
    assert (found.intrinsics == found.intrinsics[0]).all()
    shift = (found.intrinsics[:, :2, 2] - moving[:, :2, 2])[:2]
    torch.testing.assert_close(found.intrinsics[:2, [0, 1], [0, 1]], moving[:2, [0, 1], [0, 1]])
    points = dataset.landmarks[:, [*LANDMARKS_68, 468, 473]]
    torch.testing.assert_close(found.landmarks[:2], points[:2] + shift[:, None], atol=1e-3, rtol=0)


def test_a_whole_shift_of_the_crop_keeps_the_pixels(tmp_path):
    dataset = small_dataset(tmp_path / "ours", count=2)
    moving = dataset.intrinsics.clone()
    moving[1, 0, 2] += 4  # with a width of 28, an offset of whole pixels both ways
    write_imavatar(replace(dataset, intrinsics=moving), tmp_path, "a", "b")
    found = read_imavatar(tmp_path / "a/a/b")
    assert (found.width, found.height) == (28, 28)
    for frame, left in ((0, 4), (1, 0)):
        part = np.s_[4 : 4 + HEIGHT, left : left + WIDTH]
        np.testing.assert_allclose(found.image(frame)[part], dataset.image(frame), atol=1)
        np.testing.assert_allclose(found.alpha(frame)[part], dataset.alpha(frame), atol=0.005)


def test_a_crop_that_moves_too_far_is_refused(tmp_path):
    dataset = small_dataset(tmp_path / "ours")
    far = dataset.intrinsics.clone()
    far[1, 0, 2] += 5000
    with pytest.raises(InputError, match="smaller --size"):
        write_imavatar(replace(dataset, intrinsics=far), tmp_path, "a", "b")


def test_datasets_that_they_cannot_hold_are_refused(tmp_path, clip):
    dataset = small_dataset(tmp_path / "ours")
    with pytest.raises(InputError, match="--model flame"):
        write_imavatar(replace(dataset, model="anny-head"), tmp_path, "a", "b")
    bare = tuple(replace(frame, mask=None) for frame in dataset.frames)
    with pytest.raises(InputError, match="no mask"):
        write_imavatar(replace(dataset, frames=bare), tmp_path, "a", "b")
    with pytest.raises(InputError, match="no name of a folder"):
        write_imavatar(dataset, tmp_path, "../a", "b")
    with pytest.raises(InputError, match="holds something already"):
        write_imavatar(dataset, tmp_path / "theirs", "alice", "talk")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expression": [0.0] * 49}, r"frame 1: 'expression' has the shape \(49,\); expected \(50,\)"),
        ({"pose": [0.0] * 6}, "frame 1: 'pose' has the shape"),
        ({"pose": [float("nan")] * 15}, "'pose' holds a value that is not finite"),
        ({"pose": ["x"] * 15}, "'pose' does not hold numbers"),
        ({"pose": None}, "'pose' does not hold numbers"),
        ({"world_mat": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}, "'world_mat' has the shape"),
        ({"world_mat": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 4]]}, "behind the camera"),
        ({"world_mat": [[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -4]]}, "no rotation"),
        ({"file_path": "./image/9"}, r"9\.png, the image of frame 1, is missing"),
        ({"file_path": "../../x"}, "inside the clip"),
        ({"file_path": None}, "'file_path' is None"),
        ({"file_path": "./image/1"}, "same image"),
        ({"flame_keypoints": [[1.0]] * 70}, "'flame_keypoints'"),
    ],
)
def test_frames_that_make_no_sense_are_refused(clip, changes, message):
    edit_frame(clip, 1, **changes)
    with pytest.raises(InputError, match=message):
        read_imavatar(clip)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape_params": [0.0] * 10}, "'shape_params' has the shape"),
        ({"intrinsics": [2.0, 2.0, 0.5, 0.5]}, "negative fx"),
        ({"intrinsics": [-2.0, 2.0]}, "'intrinsics' has the shape"),
        ({"frames": []}, "no frames"),
        ({"frames": {}}, "'frames' is not a list"),
    ],
)
def test_an_index_that_makes_no_sense_is_refused(clip, changes, message):
    edit(clip, **changes)
    with pytest.raises(InputError, match=r"flame_params\.json.*" + message):
        read_imavatar(clip)


def test_missing_keys_files_and_bad_json(clip, tmp_path):
    index = index_of(clip)
    del index["frames"][0]["pose"]
    (clip / "flame_params.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="frame 0: 'pose' is missing"):
        read_imavatar(clip)
    (clip / "flame_params.json").write_text("{")
    with pytest.raises(InputError, match="not readable JSON"):
        read_imavatar(clip)
    with pytest.raises(InputError, match="is missing"):
        read_imavatar(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"holds no flame_params\.json"):
        read_imavatar_clips(tmp_path / "nowhere")


def test_some_masks_missing_is_an_error_and_none_a_note(clip):
    (clip / "mask/2.png").unlink()
    with pytest.raises(InputError, match=r"2\.png, the mask of frame 1"):
        read_imavatar(clip)
    for number in (1, 3):
        (clip / f"mask/{number}.png").unlink()
    dataset = read_imavatar(clip)
    assert "There are no masks." in dataset.notes
    assert dataset.frames[0].mask is None


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_impossible_rates_are_refused(clip, rate):
    with pytest.raises(InputError, match="frame rate"):
        read_imavatar(clip, rate)
