"""Maps of classes and of normals in a tracked video: files, reading, handing over."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from body_models.errors import InputError
from data_prep.add_maps import add_maps
from data_prep.other_datasets import read_imavatar, write_imavatar
from data_prep.video_dataset import VideoDataset, read_video_dataset, write_video_dataset
from data_prep.video_maps import (
    FACE_PARSING,
    FaceClass,
    coded_normals,
    read_classes,
    read_normals,
    resized_classes,
    resized_normals,
)
from tests.data_prep.video_datasets import HEIGHT, WIDTH, small_dataset, turned_cameras

FRAMES = 3


@pytest.fixture
def plain(tmp_path) -> VideoDataset:
    """A dataset without maps, on disk."""
    write_video_dataset(small_dataset(tmp_path / "plain"), tmp_path / "plain")
    return read_video_dataset(tmp_path / "plain")


@pytest.fixture
def maps(tmp_path) -> Path:
    """`semantics` and `normals`, each with a picture for each frame, the tenth after the second."""
    random = np.random.default_rng(3)
    for number in (1, 2, 10):
        save(random.integers(0, 19, (HEIGHT, WIDTH), dtype=np.uint8), tmp_path / f"semantics/map_{number}.png")
        save(coded_normals(facing(random)), tmp_path / f"normals/map_{number}.png")
    return tmp_path


def facing(random: np.random.Generator) -> np.ndarray:
    """Normals that face the camera."""
    normals = random.normal((0, 0, 3), 1.0, (HEIGHT, WIDTH, 3))
    return (normals / np.linalg.norm(normals, axis=2, keepdims=True)).astype(np.float32)


def save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_each_number_of_face_parsing_has_one_class():
    assert sorted(number for numbers in FACE_PARSING.values() for number in numbers) == list(range(19))
    assert [FaceClass(value).name for value in range(9)] == [face_class.name for face_class in FACE_PARSING]


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA"])
def test_numbers_are_read_from_every_kind_of_picture_that_keeps_them(tmp_path, mode):
    numbers = np.array([[17, 16, 11, 6], [0, 1, 4, 13]], np.uint8)
    picture = Image.fromarray(numbers)
    if mode == "P":
        picture.putpalette([255, 0, 0] * 256)
    Image.Image.save(picture if mode == "P" else picture.convert(mode), tmp_path / "map.png")
    classes = read_classes(tmp_path / "map.png", (4, 2))
    expected = ["HAIR", "CLOTH", "MOUTH", "MOUTH", "BACKGROUND", "SKIN", "EYES", "LOWER_LIP"]
    assert [FaceClass(value).name for value in classes.flatten()] == expected


def test_normals_come_back_and_what_is_none_is_zero(tmp_path):
    normals = facing(np.random.default_rng(0))
    coded = coded_normals(normals)
    coded[0, 0], coded[0, 1], coded[0, 2] = 0, 128, 255
    save(coded, tmp_path / "map.png")
    found = read_normals(tmp_path / "map.png")
    assert not found[0, :3].any()
    np.testing.assert_allclose(found[1:], normals[1:], atol=0.01)
    np.testing.assert_allclose(np.linalg.norm(found[1:], axis=2), 1, atol=1e-5)


def test_smaller_maps_keep_classes_and_unit_normals():
    classes = np.repeat(np.repeat(np.array([[6, 7], [3, 8]], np.uint8), 6, 0), 6, 1)
    np.testing.assert_array_equal(resized_classes(classes, (2, 2)), [[6, 7], [3, 8]])
    normals = np.zeros((4, 8, 3), np.float32)
    normals[:, :2], normals[:, 2:4] = [0, 0.6, 0.8], [0, -0.6, 0.8]
    small = resized_normals(normals, (2, 1))
    np.testing.assert_allclose(small[0], [[0, 0, 1], [0, 0, 0]], atol=1e-6)


def test_datasets_without_maps_are_written_as_ever(plain):
    entry = json.loads((plain.folder / "dataset.json").read_text())["frames"][0]
    assert set(entry) == {"source", "time", "image", "mask", "flags", "use"}
    assert plain.semantic(0) is None
    assert plain.normal(0) is None


def test_maps_are_added_in_the_order_of_their_names(plain, maps):
    heard = []
    add_maps(plain.folder, maps / "semantics", maps / "normals", lambda *steps: heard.append(steps))
    found = read_video_dataset(plain.folder)
    assert found.frames[2].semantic == "semantics/000002.png"
    for frame, number in enumerate((1, 2, 10)):
        np.testing.assert_array_equal(found.semantic(frame), read_classes(maps / f"semantics/map_{number}.png"))
        np.testing.assert_allclose(found.normal(frame), read_normals(maps / f"normals/map_{number}.png"), atol=0.02)
    assert heard[-1] == (12, 12)


def test_maps_of_one_kind_leave_the_other(plain, maps):
    add_maps(plain.folder, semantics=maps / "semantics")
    add_maps(plain.folder, normals=maps / "normals")
    found = read_video_dataset(plain.folder)
    assert found.frames[1].files.keys() == {"image", "mask", "semantic", "normal"}


def test_maps_of_another_size_are_scaled(plain, maps):
    for file in [*(maps / "semantics").iterdir(), *(maps / "normals").iterdir()]:
        picture = Image.open(file)
        picture.resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.NEAREST).save(file)
    dataset = add_maps(plain.folder, maps / "semantics", maps / "normals")
    small = np.asarray(Image.open(maps / "semantics/map_1.png"))[::2, ::2]
    np.testing.assert_array_equal(np.asarray(Image.open(dataset.path("semantics/000000.png"))), small)
    np.testing.assert_allclose(np.linalg.norm(dataset.normal(0), axis=2), 1, atol=1e-5)


def test_a_copy_takes_the_maps_along(plain, maps, tmp_path):
    dataset = add_maps(plain.folder, maps / "semantics", maps / "normals")
    write_video_dataset(dataset.subset([2, 0]), tmp_path / "copy")
    copy = read_video_dataset(tmp_path / "copy")
    np.testing.assert_array_equal(copy.semantic(0), dataset.semantic(2))
    np.testing.assert_array_equal(copy.normal(1), dataset.normal(0))


def spoil(kind: str, maps: Path) -> None:
    """Make the maps unfit in one way."""
    semantic, normal = maps / "semantics/map_2.png", maps / "normals"
    match kind:
        case "missing":
            semantic.unlink()
        case "text":
            semantic.write_text("no picture")
        case "class":
            save(np.full((HEIGHT, WIDTH), 37, np.uint8), semantic)
        case "colours":
            save(np.random.default_rng(0).integers(0, 19, (HEIGHT, WIDTH, 3), dtype=np.uint8), semantic)
        case "proportions":
            save(np.zeros((HEIGHT, HEIGHT), np.uint8), semantic)
        case "grey":
            save(np.zeros((HEIGHT, WIDTH), np.uint8), normal / "map_1.png")
        case "black":
            for file in normal.iterdir():
                save(np.zeros((HEIGHT, WIDTH, 3), np.uint8), file)
        case "turned":
            for file in normal.iterdir():
                save(255 - np.asarray(Image.open(file)), file)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("missing", "holds 2 maps, but the dataset has 3 frames"),
        ("text", r"map_2\.png, a map of classes, is no readable PNG"),
        ("class", r"map_2\.png holds the number 37, .*BiSeNet"),
        ("colours", r"map_2\.png is a coloured picture.*one channel"),
        ("proportions", r"20 x 20 pixels, the frames are 24 x 20: other proportions.*frames"),
        ("grey", r"map_1\.png has pixels of the kind 'L'.*RGB"),
        ("black", r"hold no normals.*x right, y up"),
        ("turned", r"point away from the camera.*255 - blue"),
    ],
)
def test_unfit_maps_are_refused_before_anything_is_written(plain, maps, kind, told):
    spoil(kind, maps)
    with pytest.raises(InputError, match=told):
        add_maps(plain.folder, maps / "semantics", maps / "normals")
    assert not (plain.folder / "semantics").exists()
    assert read_video_dataset(plain.folder).frames == plain.frames


def test_no_maps_no_folder_and_foreign_datasets(plain, maps, tmp_path):
    with pytest.raises(InputError, match="--semantics or with --normals"):
        add_maps(plain.folder)
    with pytest.raises(InputError, match=r"--normals .* is no folder"):
        add_maps(plain.folder, normals=tmp_path / "nowhere")
    with pytest.raises(InputError, match="dataset convert"):
        add_maps(maps, semantics=maps / "semantics")


def test_maps_that_went_missing_or_changed_size_are_told(plain, maps):
    dataset = add_maps(plain.folder, semantics=maps / "semantics")
    save(np.zeros((4, 4), np.uint8), dataset.path("semantics/000001.png"))
    with pytest.raises(InputError, match=r"semantic of frame 1, is 4 x 4 pixels instead of 24 x 20.*add-maps"):
        read_video_dataset(plain.folder)
    with pytest.raises(InputError, match=r"000001\.png, a map of classes, is 4 x 4 pixels instead of 24 x 20"):
        dataset.semantic(1)
    dataset.path("semantics/000001.png").unlink()
    with pytest.raises(InputError, match=r"semantic of frame 1, is missing.*add-maps"):
        read_video_dataset(plain.folder)


@pytest.mark.parametrize("moving", [False, True])
def test_imavatar_keeps_the_classes(plain, maps, tmp_path, moving):
    dataset = add_maps(plain.folder, maps / "semantics", maps / "normals")
    if moving:
        intrinsics = dataset.intrinsics.clone()
        intrinsics[1, 0, 2] += 4
        dataset = replace(dataset, intrinsics=intrinsics, camera_from_world=turned_cameras(FRAMES))
    notes = write_imavatar(dataset, tmp_path, "a", "b")
    assert any("normals were left out" in note for note in notes)
    found = read_imavatar(tmp_path / "a/a/b")
    assert found.frames[0].semantic == "semantic/1.png"
    if not moving:
        np.testing.assert_array_equal(found.semantic(1), dataset.semantic(1))
    (tmp_path / "a/a/b/semantic/2.png").unlink()
    assert read_imavatar(tmp_path / "a/a/b").semantic(1) is None
