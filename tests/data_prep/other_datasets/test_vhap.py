import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from body_models.errors import InputError
from data_prep.other_datasets import read_any_dataset, read_vhap, write_vhap
from data_prep.video_dataset import write_video_dataset
from tests.data_prep.video_datasets import HEIGHT, WIDTH, assert_same_tracks, small_dataset, turned_cameras


@pytest.fixture
def folder(tmp_path) -> Path:
    write_vhap(small_dataset(tmp_path / "ours"), tmp_path / "theirs")
    return tmp_path / "theirs"


def index_of(folder: Path) -> dict:
    return json.loads((folder / "transforms.json").read_text())


def edit(folder: Path, **changes: object) -> None:
    (folder / "transforms.json").write_text(json.dumps(index_of(folder) | changes))


def edit_frame(folder: Path, number: int, **changes: object) -> None:
    frames = index_of(folder)["frames"]
    frames[number] |= changes
    edit(folder, frames=frames)


def edit_track(folder: Path, **changes: object) -> None:
    path = folder / "flame_param/00001.npz"
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{key: value for key, value in (arrays | changes).items() if value is not None})


def their_pixel(entry: dict, point: np.ndarray) -> np.ndarray:
    """A world point in the picture of a NeRF camera, which looks along -z with y up."""
    x, y, z, _ = np.linalg.inv(np.array(entry["transform_matrix"])) @ [*point, 1]
    return np.array([entry["cx"] + entry["fl_x"] * x / -z, entry["cy"] - entry["fl_y"] * y / -z])


@pytest.mark.parametrize("turned", [False, True])
def test_round_trip(tmp_path, turned):
    dataset = small_dataset(tmp_path / "ours")
    if turned:
        dataset = replace(dataset, camera_from_world=turned_cameras(3), translations=0.02 * torch.ones(3, 3))
    write_vhap(dataset, tmp_path / "theirs")
    found = read_vhap(tmp_path / "theirs", frame_rate=25.0)
    assert_same_tracks(found, dataset)
    torch.testing.assert_close(found.camera_from_world, dataset.camera_from_world)
    torch.testing.assert_close(found.translations, dataset.translations)
    torch.testing.assert_close(found.intrinsics, dataset.intrinsics)
    assert found.betas.shape == (300,)
    assert found.expressions.shape == (3, 100)
    assert [frame.source for frame in found.frames] == [0, 2, 4]
    assert [frame.time for frame in found.frames] == [0, 0.08, 0.16]
    write_vhap(found, tmp_path / "again")
    assert_same_tracks(read_any_dataset(tmp_path / "again"), found)
    write_video_dataset(found, tmp_path / "copy")
    assert_same_tracks(read_any_dataset(tmp_path / "copy"), found)


@pytest.mark.parametrize("turned", [False, True])
def test_a_point_lands_on_the_same_pixel_by_their_camera_and_by_ours(tmp_path, turned):
    dataset = small_dataset(tmp_path / "ours")
    if turned:
        dataset = replace(dataset, camera_from_world=turned_cameras(3), translations=0.02 * torch.ones(3, 3))
    write_vhap(dataset, tmp_path / "theirs")
    for number, entry in enumerate(index_of(tmp_path / "theirs")["frames"]):
        for point in 0.1 * np.random.default_rng(number).normal(size=(5, 3)):
            world = point + dataset.translations[number].numpy()
            pixel, depth = dataset.camera(number).project(torch.from_numpy(world).float())
            np.testing.assert_allclose(pixel.numpy(), their_pixel(entry, world), atol=1e-3)
            assert depth > 0


def test_the_layout_is_theirs(folder):
    assert (folder / "images/00002_00.png").is_file()
    assert (folder / "fg_masks/00002_00.png").is_file()
    parts = {part: json.loads((folder / f"transforms_{part}.json").read_text()) for part in ("train", "val", "test")}
    assert {part: len(index["frames"]) for part, index in parts.items()} == {"train": 3, "val": 0, "test": 0}
    with np.load(folder / "flame_param/00001.npz") as file:
        shapes = {key: file[key].shape for key in file.files}
    expected = {"translation": (1, 3), "rotation": (1, 3), "neck_pose": (1, 3), "jaw_pose": (1, 3)}
    assert shapes == expected | {"eyes_pose": (1, 6), "expr": (1, 100), "shape": (300,)}
    with np.load(folder / "canonical_flame_param.npz") as file:
        assert np.abs(file["jaw_pose"]).sum() > 0
        assert not file["rotation"].any()


def test_the_parts_together_are_the_whole(tmp_path):
    dataset = small_dataset(tmp_path / "ours", count=10)
    write_vhap(dataset, tmp_path / "theirs")
    assert len(json.loads((tmp_path / "theirs/transforms_test.json").read_text())["frames"]) == 3
    (tmp_path / "theirs/transforms.json").unlink()
    assert_same_tracks(read_any_dataset(tmp_path / "theirs"), dataset)


def two_cameras(folder: Path) -> None:
    """A second camera that looks from straight ahead, the first from the side."""
    frames, extra = index_of(folder)["frames"], []
    for entry in frames:
        side = np.eye(4)
        side[:3, 3] = [1.0, 0.0, 0.2]
        ahead = np.eye(4)
        ahead[2, 3] = 1.0
        name = entry["file_path"].replace("_00", "_08")
        (folder / name).write_bytes((folder / entry["file_path"]).read_bytes())
        extra.append(
            entry | {"camera_index": 8, "file_path": name, "fg_mask_path": None, "transform_matrix": ahead.tolist()}
        )
        entry["transform_matrix"] = side.tolist()
        del extra[-1]["fg_mask_path"]
    edit(folder, frames=frames + extra)


def test_of_several_cameras_the_frontal_one_is_read_unless_told(folder):
    two_cameras(folder)
    dataset = read_vhap(folder)
    assert dataset.frames[0].image == "images/00000_08.png"
    assert dataset.frames[0].mask is None
    assert any(note.startswith("Camera 8 of 2 was read") for note in dataset.notes)
    assert read_vhap(folder, camera=0).frames[0].image == "images/00000_00.png"
    with pytest.raises(InputError, match="no camera 3; the cameras are 0, 8"):
        read_vhap(folder, camera=3)


def test_offsets_of_vertices_are_dropped_with_a_note(folder):
    edit_track(folder, static_offset=np.ones((1, 5143, 3), np.float32))
    assert any("static_offset" in note for note in read_vhap(folder).notes)


def test_transparent_pictures_are_their_own_masks(folder):
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    frames = index_of(folder)["frames"]
    for entry in frames:
        del entry["fg_mask_path"]
        Image.fromarray(pixels).save(folder / entry["file_path"])
    edit(folder, frames=frames)
    dataset = read_vhap(folder)
    np.testing.assert_allclose(dataset.alpha(2), pixels[..., 3] / 255, atol=1e-6)
    np.testing.assert_array_equal(dataset.image(2), pixels[..., :3])


def test_an_angle_of_view_and_a_name_without_suffix_do(folder):
    expected = read_vhap(folder).intrinsics
    index = index_of(folder)
    for part in (index, *index["frames"]):
        for key in ("fl_x", "fl_y", "cx", "cy", "w", "h"):
            part.pop(key)
    for entry in index["frames"]:
        entry["file_path"] = entry["file_path"].removesuffix(".png")
    (folder / "transforms.json").write_text(json.dumps(index))
    found = read_vhap(folder).intrinsics
    torch.testing.assert_close(found[:, 0, 0], expected[:, 0, 0])
    assert found[0, :2, 2].tolist() == [WIDTH / 2, HEIGHT / 2]


def test_pictures_made_smaller_scale_the_camera(folder):
    full = read_vhap(folder).intrinsics
    for path in [*(folder / "images").iterdir(), *(folder / "fg_masks").iterdir()]:
        Image.open(path).resize((WIDTH // 2, HEIGHT // 2)).save(path)
    half = read_vhap(folder)
    assert (half.width, half.height) == (WIDTH // 2, HEIGHT // 2)
    torch.testing.assert_close(half.intrinsics[:, :2], full[:, :2] / 2)


def test_datasets_that_they_cannot_hold_are_refused(tmp_path, folder):
    dataset = small_dataset(tmp_path / "ours")
    with pytest.raises(InputError, match="--model flame"):
        write_vhap(replace(dataset, model="anny-head"), tmp_path / "new")
    with pytest.raises(InputError, match="holds something already"):
        write_vhap(dataset, folder)
    assert not (tmp_path / "new").exists()


def test_a_center_off_the_middle_is_said(tmp_path):
    dataset = small_dataset(tmp_path / "ours")
    moved = dataset.intrinsics.clone()
    moved[1, 0, 2] += 4
    (note,) = write_vhap(replace(dataset, intrinsics=moved), tmp_path / "theirs")
    assert "GaussianAvatars" in note
    torch.testing.assert_close(read_vhap(tmp_path / "theirs").intrinsics, moved)


class Trap:
    """An object that would write a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


def test_pickled_objects_are_never_run(folder, tmp_path):
    trap = np.empty(1, dtype=object)
    trap[0] = Trap(tmp_path / "ran")
    edit_track(folder, expr=trap)
    with pytest.raises(InputError, match=r"00001\.npz: no key 'expr' with plain numbers"):
        read_vhap(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expr": None}, "no key 'expr'"),
        ({"expr": np.zeros((1, 49))}, "differ in their numbers"),
        ({"expr": np.zeros((2, 100))}, "'expr' has the shape"),
        ({"eyes_pose": np.zeros((1, 3))}, r"'eyes_pose' has the shape \(1, 3\); expected 1 x 6"),
        ({"translation": np.full((1, 3), np.nan)}, "'translation' holds a value that is not finite"),
        ({"shape": np.array(["x"])}, "'shape' does not hold numbers"),
    ],
)
def test_flame_files_that_make_no_sense_are_refused(folder, changes, message):
    edit_track(folder, **changes)
    with pytest.raises(InputError, match=message):
        read_vhap(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file_path": "../other/images/1.png"}, "outside the folder; give the folder of one sequence"),
        ({"fg_mask_path": "/etc/passwd"}, "outside the folder"),
        ({"flame_param_path": "../x.npz"}, "outside the folder"),
        ({"file_path": "images/gone.png"}, r"gone\.png, the image of frame 1, is missing"),
        ({"fg_mask_path": "gone.png"}, "the mask of frame 1, is missing"),
        ({"flame_param_path": "gone.npz"}, r"gone\.npz: cannot be read"),
        ({"file_path": None}, "'file_path' is None"),
        ({"timestep_index": "x"}, "'timestep_index' is 'x'"),
        ({"timestep_index": 0}, "two frames of the same 'timestep_index'"),
        ({"camera_index": "x"}, "'camera_index' is 'x'"),
        ({"transform_matrix": [[1, 0], [0, 1]]}, "'transform_matrix' has the shape"),
        ({"transform_matrix": np.diag([2.0, 1, 1, 1]).tolist()}, "no rotation with a shift"),
        ({"fl_x": -5}, "focal lengths are -5"),
        ({"fl_x": float("nan")}, "'fl_x' holds a value that is not finite"),
        ({"w": -24}, "'w' and 'h' are -24"),
    ],
)
def test_frames_that_make_no_sense_are_refused(folder, changes, message):
    edit_frame(folder, 1, **changes)
    with pytest.raises(InputError, match=message):
        read_vhap(folder)


def test_missing_and_bad_indices(folder, tmp_path):
    edit(folder, frames=[])
    with pytest.raises(InputError, match="no frames"):
        read_vhap(folder)
    (folder / "transforms.json").write_text("{")
    with pytest.raises(InputError, match="not readable JSON"):
        read_vhap(folder)
    with pytest.raises(InputError, match=r"holds no transforms\.json"):
        read_vhap(tmp_path)


def test_an_unknown_folder_says_what_was_looked_for(tmp_path):
    with pytest.raises(InputError, match=r"dataset\.json.*flame_params\.json.*transforms\.json"):
        read_any_dataset(tmp_path)
    with pytest.raises(InputError, match=r"No dataset folder.*avatars prepare"):
        read_any_dataset(tmp_path / "nowhere")
