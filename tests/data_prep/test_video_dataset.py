import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from body_models.anny import load_anny_head
from body_models.errors import InputError
from body_models.motion import load_head_motion, transfer_expression, write_head_motion
from body_models.names import ARKIT_EXPRESSIONS, HEAD_SKELETON
from data_prep.video_dataset import VideoDataset, read_video_dataset, write_video_dataset
from tests.data_prep.video_datasets import HEIGHT, WIDTH, assert_same_tracks, small_dataset


@pytest.fixture
def written(tmp_path) -> Path:
    write_video_dataset(small_dataset(tmp_path / "alice"), tmp_path / "alice")
    return tmp_path / "alice"


def edit(folder: Path, **changes: object) -> None:
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_frame(folder: Path, number: int, **changes: object) -> None:
    frames = json.loads((folder / "dataset.json").read_text())["frames"]
    frames[number] |= changes
    edit(folder, frames=frames)


def edit_tensor(folder: Path, name: str, value: torch.Tensor) -> None:
    path = folder / "tracks.safetensors"
    save_file({key: v.clone() for key, v in load_file(path).items()} | {name: value}, path)


def anny_dataset(folder: Path) -> VideoDataset:
    plain = small_dataset(folder, model="anny-head")
    expressions = torch.rand(len(plain), len(ARKIT_EXPRESSIONS), generator=torch.Generator().manual_seed(1))
    return replace(plain, expressions=expressions, expression_names=ARKIT_EXPRESSIONS)


def test_round_trip(written):
    found, expected = read_video_dataset(written), small_dataset(written)
    for field in ("frames", "frame_rate", "model", "expression_names", "warnings", "notes", "kind", "folder"):
        assert getattr(found, field) == getattr(expected, field)
    for field in ("intrinsics", "camera_from_world", "translations", "landmarks", "landmark_weights"):
        assert torch.equal(getattr(found, field), getattr(expected, field))
    assert_same_tracks(found, expected)


def test_unseen_landmarks_are_kept_as_nan(tmp_path):
    dataset = small_dataset(tmp_path)
    landmarks = dataset.landmarks.clone()
    landmarks[1] = torch.nan
    write_video_dataset(replace(dataset, landmarks=landmarks), tmp_path)
    assert torch.equal(read_video_dataset(tmp_path).landmarks.isnan(), landmarks.isnan())


def test_a_copy_elsewhere_has_our_names_and_the_same_pixels(written, tmp_path):
    dataset = read_video_dataset(written).subset([2, 0])
    write_video_dataset(dataset, tmp_path / "copy")
    copy = read_video_dataset(tmp_path / "copy")
    assert [frame.image for frame in copy.frames] == ["frames/000000.png", "frames/000001.png"]
    assert [frame.source for frame in copy.frames] == [4, 0]
    assert_same_tracks(copy, dataset)
    assert len(read_video_dataset(written)) == 3


def test_subset_picks_rows_of_everything(written):
    dataset = read_video_dataset(written)
    part = dataset.subset([2])
    assert part.frames == (dataset.frames[2],)
    assert torch.equal(part.poses[0], dataset.poses[2])
    assert torch.equal(part.betas, dataset.betas)
    for wrong in ([], [3], [-4]):
        with pytest.raises(InputError, match="give some of 0 to 2"):
            dataset.subset(wrong)


def test_motion_drives_other_heads_and_is_written(tmp_path):
    dataset, head = anny_dataset(tmp_path / "alice"), load_anny_head()
    motion = dataset.motion()
    assert (motion.name, motion.skeleton, motion.frame_rate) == ("alice", HEAD_SKELETON, 12.5)
    assert motion.expression_names == ARKIT_EXPRESSIONS
    body = head.body(dataset.betas)
    torch.testing.assert_close(motion.joint_positions(), body.pose_joints(dataset.poses, dataset.translations))
    moved = transfer_expression(motion, head.body())
    torch.testing.assert_close(moved.expression, dataset.expressions)
    write_head_motion(tmp_path / "alice.npz", motion)
    torch.testing.assert_close(load_head_motion(tmp_path / "alice.npz").rotations, dataset.poses)


def test_motion_of_a_head_without_its_model_file_has_typical_joints(tmp_path, monkeypatch):
    monkeypatch.setenv("AVATARS_MODELS", str(tmp_path / "none"))
    motion = small_dataset(tmp_path).motion()
    assert motion.rest_joints.shape == (5, 3)
    assert len(motion) == 3
    assert motion.expression_names == ()


def test_a_body_needs_its_model(tmp_path):
    dataset = replace(small_dataset(tmp_path), joint_names=("a", "b", "c", "d", "e"), model="anny-head")
    assert dataset.kind == "body"
    with pytest.raises(InputError, match="joints of this dataset"):
        dataset.motion()


def test_a_missing_mask_says_how_to_make_one(written):
    edit_frame(written, 1, mask=None)
    dataset = read_video_dataset(written)
    with pytest.raises(InputError, match=r"has no mask.*avatars prepare"):
        dataset.alpha(1)
    assert 0 <= dataset.alpha(0).min() <= dataset.alpha(0).max() <= 1


def test_a_picture_with_transparency_is_its_own_mask(written):
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(written / "frames/000000.png")
    edit_frame(written, 0, mask="frames/000000.png")
    dataset = read_video_dataset(written)
    np.testing.assert_array_equal(dataset.image(0), pixels[..., :3])
    np.testing.assert_allclose(dataset.alpha(0), pixels[..., 3] / 255, atol=1e-6)


def test_pictures_without_a_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="in memory only"):
        replace(small_dataset(tmp_path), folder=None).image(0)


def test_a_failed_write_leaves_the_folder_incomplete(written, monkeypatch):
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    dataset = read_video_dataset(written)
    monkeypatch.setattr("data_prep.tensor_files.save_file", full_disk)
    with pytest.raises(InputError, match="No space left"):
        write_video_dataset(dataset, written)
    with pytest.raises(InputError, match=r"not written to its end.*avatars prepare"):
        read_video_dataset(written)


def test_writing_without_the_pictures_is_refused(tmp_path):
    dataset = replace(small_dataset(tmp_path / "a"), folder=None)
    with pytest.raises(InputError, match=r"000000\.png, the image of frame 0, is missing"):
        write_video_dataset(dataset, tmp_path / "b")


def test_missing_and_foreign_folders(tmp_path):
    with pytest.raises(InputError, match=r"No dataset folder.*avatars prepare"):
        read_video_dataset(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no dataset"):
        read_video_dataset(tmp_path)
    (tmp_path / "dataset.json").write_text('{"kind": "scans", "version": 1}')
    with pytest.raises(InputError, match="of scans"):
        read_video_dataset(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": "x"}', "\x00\xff", "[" * 100_000])
def test_a_garbled_index_is_refused(written, text):
    (written / "dataset.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"dataset\.json.*avatars prepare"):
        read_video_dataset(written)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "its format is 'other'"),
        ({"version": 99}, "pip install --upgrade"),
        ({"kind": "body"}, "its kind is 'body'"),
        ({"frames": []}, "at least one frame"),
        ({"frames": 3}, "'frames' is '3'"),
        ({"frames": [3, 4, 5]}, "frame 0"),
        ({"width": -4}, "-4 x 20"),
        ({"height": 0}, "'height'"),
        ({"width": 24.5}, "'width'"),
        ({"width": True}, "'width'"),
        ({"frame_rate": 0}, "'frame_rate'"),
        ({"frame_rate": float("nan")}, "'frame_rate'"),
        ({"joint_names": ["root", "root", "jaw", "left_eye", "right_eye"]}, "'joint_names' repeat"),
        ({"joint_names": ["root"]}, "'poses' has the shape"),
        ({"expression_names": ["a"]}, "1 'expression_names' do not go with 50"),
        ({"expression_names": [1]}, "'expression_names' holds"),
        ({"model": ""}, "'model'"),
        ({"model": None}, "'model'"),
        ({"notes": None}, "'notes'"),
        ({"width": 25}, "24 x 20 pixels instead of 25 x 20"),
    ],
)
def test_an_index_that_makes_no_sense_is_refused(written, changes, message):
    edit(written, **changes)
    with pytest.raises(InputError, match=message) as raised:
        read_video_dataset(written)
    assert str(written) in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": "../frames/000001.png"}, "outside"),
        ({"image": "/etc/passwd"}, "outside"),
        ({"mask": "C:\\mask.png"}, "outside"),
        ({"image": "frames/gone.png"}, "gone.png.*is missing"),
        ({"mask": "masks/gone.png"}, "the mask of frame 1, is missing"),
        ({"image": "frames/000000.png"}, "same image"),
        ({"mask": "masks/000000.png"}, "same mask"),
        ({"source": 0}, "same source"),
        ({"source": -1}, "'source' -1"),
        ({"time": float("inf")}, "'time'"),
        ({"time": "x"}, "'time' of frame 1"),
        ({"use": 1}, "'use' of frame 1"),
        ({"flags": "blur"}, "'flags' of frame 1"),
        ({"image": "dataset.json"}, "no readable PNG"),
    ],
)
def test_a_frame_that_makes_no_sense_is_refused(written, changes, message):
    edit_frame(written, 1, **changes)
    with pytest.raises(InputError, match=message) as raised:
        read_video_dataset(written)
    assert str(written) in str(raised.value)


def test_a_frame_without_a_field_is_refused(written):
    frames = json.loads((written / "dataset.json").read_text())["frames"]
    del frames[2]["mask"]
    edit(written, frames=frames)
    with pytest.raises(InputError, match="'mask' of frame 2 is missing"):
        read_video_dataset(written)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("poses", torch.zeros(3, 4, 3), "'poses' has the shape"),
        ("poses", torch.full((3, 5, 3), torch.nan), "'poses' holds"),
        ("landmarks", torch.full((3, 478, 2), torch.inf), "'landmarks' holds"),
        ("landmark_weights", torch.full((3, 478), 2.0), "from 0 to 1"),
        ("landmark_weights", torch.zeros(3, 9), "instead of"),
        ("translations", torch.zeros(2, 3), "'translations'"),
        ("betas", torch.zeros(10, dtype=torch.int64), "'betas' holds"),
        ("intrinsics", -torch.eye(3).repeat(3, 1, 1), "'intrinsics' of frame 0"),
        ("camera_from_world", 2 * torch.eye(4).repeat(3, 1, 1), "'camera_from_world' of frame 0"),
        ("camera_from_world", torch.diag(torch.tensor([-1.0, 1, 1, 1])).repeat(3, 1, 1), "no rotation"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(written, name, value, message):
    edit_tensor(written, name, value)
    with pytest.raises(InputError, match=message):
        read_video_dataset(written)


@pytest.mark.parametrize("kept", [None, 0, 5, 100, -1])
def test_truncated_or_missing_tracks_are_refused(written, kept):
    path = written / "tracks.safetensors"
    content = path.read_bytes()
    path.unlink()
    if kept is not None:
        path.write_bytes(content[:kept])
    with pytest.raises(InputError, match=r"tracks\.safetensors.*avatars prepare"):
        read_video_dataset(written)


def test_damaged_pictures_are_refused(written):
    dataset = read_video_dataset(written)
    path = written / "frames/000000.png"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"000000\.png is damaged"):
        dataset.image(0)
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint16)).save(written / "masks/000001.png")
    with pytest.raises(InputError, match="8 bits"):
        dataset.alpha(1)
