"""Camera files: what is written is read again, as others read it; foreign ones; files that are none."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avatars.export.pictures.camera_files import read_cameras, write_cameras
from body_models import InputError
from data_prep.camera import Camera, look_at
from data_prep.video_dataset import write_video_dataset
from tests.data_prep.video_datasets import small_dataset

UP = torch.tensor([0.0, 1.0, 0.0])
POINT = torch.tensor([0.1, 0.9, -0.2])
BLENDER = [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, -1.0, -4.0], [0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]]
"""A camera of Blender's (Z up) that stands at y = -4, a metre above the ground, and looks along +y."""


def cameras() -> list[Camera]:
    first = look_at(torch.tensor([0.5, 1.0, 3.0]), POINT, UP, 40.0, 640, 480)
    second = look_at(torch.tensor([-3.0, 0.2, 0.4]), POINT, UP, 40.0, 640, 480)
    return [first, second]


def same(ours: Camera, theirs: Camera) -> bool:
    close = torch.allclose(ours.camera_from_world, theirs.camera_from_world, atol=1e-5)
    sizes = (ours.width, ours.height) == (theirs.width, theirs.height)
    return close and sizes and torch.allclose(ours.intrinsics, theirs.intrinsics, rtol=1e-5)


def written(path: Path, **index: object) -> Path:
    path.write_text(json.dumps({"camera_angle_x": 0.7, "frames": [{"transform_matrix": BLENDER}]} | index))
    return path


@pytest.mark.parametrize("differing", [False, True])
def test_round_trip(tmp_path, differing):
    given = cameras()
    if differing:
        intrinsics = given[1].intrinsics.clone()
        intrinsics[0, 0], intrinsics[1, 2] = 900.0, 100.0
        given[1] = replace(given[1], intrinsics=intrinsics, width=300)
    path = write_cameras(given, tmp_path / "transforms.json")
    for found in (read_cameras(path), read_cameras(tmp_path)):
        assert all(same(ours, theirs) for ours, theirs in zip(given, found, strict=True))
    assert ("fl_x" in json.loads(path.read_text())) is not differing


def test_others_see_points_in_the_same_pixels(tmp_path):
    path = write_cameras(cameras(), tmp_path / "transforms.json", [{"file_path": "rgb/a.png"}, {}])
    index = json.loads(path.read_text())
    assert [frame["file_path"] for frame in index["frames"]] == ["rgb/a.png", "frame_00001.png"]
    for camera, frame in zip(cameras(), index["frames"], strict=True):
        x, y, z, _ = np.linalg.inv(np.array(frame["transform_matrix"])) @ [*POINT.tolist(), 1.0]
        pixel = [index["cx"] + index["fl_x"] * x / -z, index["cy"] - index["fl_y"] * y / -z]
        assert pixel == pytest.approx(camera.project(POINT)[0].tolist(), abs=1e-2)


def test_blenders_nerf_files_tell_an_angle_only(tmp_path):
    (camera,) = read_cameras(written(tmp_path / "a.json"), up="z")
    assert (camera.width, camera.height) == (512, 512)
    assert float(camera.intrinsics[0, 0]) == pytest.approx(256 / math.tan(0.35), rel=1e-5)
    assert torch.allclose(camera.center, torch.tensor([0.0, 1.0, 4.0]), atol=1e-6)
    above, depth = camera.project(torch.tensor([0.0, 1.5, 0.0]))
    assert float(depth) == pytest.approx(4.0)
    assert float(above[1]) < 256 == pytest.approx(float(above[0]), abs=1e-3)


def test_as_glTF_has_it_y_is_up(tmp_path):
    (camera,) = read_cameras(written(tmp_path / "a.json"), size=100)
    assert camera.width == 100
    assert torch.allclose(camera.center, torch.tensor([0.0, -4.0, 1.0]), atol=1e-6)


def test_another_size_is_the_longer_sides(tmp_path):
    path = write_cameras(cameras(), tmp_path / "transforms.json")
    found = read_cameras(path, size=320)[0]
    assert (found.width, found.height) == (320, 240)
    assert torch.allclose(found.project(POINT)[0], cameras()[0].project(POINT)[0] / 2, atol=1e-2)


def test_the_cameras_of_a_tracked_video(tmp_path):
    dataset = small_dataset(tmp_path / "video")
    write_video_dataset(dataset, tmp_path / "video")
    found = read_cameras(tmp_path / "video")
    assert len(found) == len(dataset)
    assert torch.allclose(found[1].camera_from_world, dataset.camera_from_world[1])
    assert max(read_cameras(tmp_path / "video", 48)[0].width, 0) <= 48


def test_bent_lenses_are_told(tmp_path, caplog):
    with caplog.at_level("INFO", "avatars"):
        read_cameras(written(tmp_path / "a.json", k1=0.1))
    assert "bends" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "not readable JSON"),
        ("[]", "no list of 'frames'"),
        ('{"frames": []}', "no list of 'frames'"),
        ('{"frames": [3]}', "no list of 'frames'"),
        ('{"poses": [1]}', "transform_matrix"),
        ('{"fl_x": 9, "frames": [{}]}', "frame 0: 'transform_matrix' is missing"),
        ('{"fl_x": 9, "frames": [{"transform_matrix": [[1, 2], [3, 4]]}]}', "has the shape"),
    ],
)
def test_files_that_are_no_camera_files(tmp_path, content, message):
    path = tmp_path / "cameras.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        read_cameras(path)
    assert "cameras.json" in str(error.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"camera_angle_x": 0.0}, "an angle in radians"),
        ({"fl_x": -3.0}, "above 0"),
        ({"fl_x": "wide"}, "does not hold numbers"),
        ({"w": 0, "h": 10}, "cannot be drawn"),
        ({"w": 1e6, "h": 10}, "cannot be drawn"),
        ({"camera_model": "OPENCV_FISHEYE"}, "fisheye"),
        ({"frames": [{"transform_matrix": (2 * np.eye(4)).tolist()}]}, "no rotation with a shift"),
        ({"frames": [{"transform_matrix": np.diag([-1.0, 1, 1, 1]).tolist()}]}, "no rotation with a shift"),
    ],
)
def test_cameras_that_make_no_sense(tmp_path, fields, message):
    with pytest.raises(InputError, match=message):
        read_cameras(written(tmp_path / "a.json", **fields))


def test_no_lens_no_file_no_such_axis_and_no_such_size(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(InputError, match="No camera file"):
        read_cameras(path)
    path.write_text(json.dumps({"frames": [{"transform_matrix": BLENDER}]}))
    with pytest.raises(InputError, match="neither 'fl_x'"):
        read_cameras(path)
    with pytest.raises(InputError, match="use y"):
        read_cameras(path, up="x")
    with pytest.raises(InputError, match="32 to 4096"):
        read_cameras(path, size=3)
    with pytest.raises(InputError, match="no dataset"):
        read_cameras(tmp_path)


def test_skewed_pixels_cannot_be_written(tmp_path):
    camera = cameras()[0]
    camera.intrinsics[0, 1] = 1.0
    with pytest.raises(InputError, match="skewed"):
        write_cameras([camera], tmp_path / "a.json")
    assert not any(tmp_path.iterdir())
