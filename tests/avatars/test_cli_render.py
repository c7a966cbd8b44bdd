"""The verb `render`: what it writes and says, and what it refuses before it loads an avatar."""

import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tyro
from PIL import Image

from avatars.cli.rendering import Render
from avatars.models import save
from body_models import InputError
from tests.avatars.head_drivers import acting_head
from tests.avatars.small_avatar import small_avatar_file
from tests.avatars.tiny_bvh import write_bvh

FAST = ("--size", "40", "--resolution", "48")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("avatars")
    save(acting_head(8), folder / "head.avatar")
    return {
        "body": small_avatar_file(folder),
        "head": folder / "head.avatar",
        "motion": write_bvh(folder / "walk.bvh"),
    }


def said(*arguments: str | Path) -> str:
    style = (tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone)
    return tyro.cli(Render, args=[str(argument) for argument in arguments], config=style).run()


def refused(*arguments: str | Path) -> str:
    with pytest.raises(InputError) as error:
        said(*arguments)
    return str(error.value)


def test_a_picture_with_maps(files, tmp_path):
    out = tmp_path / "a.png"
    answer = said(files["body"], "--out", out, "--maps", "rgb", "normal,depth", *FAST)
    assert answer == f"Picture: {out}, with a_normal.png, a_depth.png beside it"
    with Image.open(out) as picture:
        assert (picture.size, picture.mode) == ((40, 40), "RGBA")


def test_a_turntable_into_a_folder_and_its_cameras_again(files, tmp_path):
    out = tmp_path / "turn"
    answer = said(files["body"], "--out", f"{out}/", "--turntable", "--views", "3", "--maps", "mask", *FAST)
    assert answer == f"Pictures: {out} (3 of mask; cameras in transforms.json)"
    again = tmp_path / "again"
    said(files["body"], "--out", again, "--cameras", out / "transforms.json", "--size", "80", "--resolution", "48")
    assert json.loads((again / "transforms.json").read_text())["w"] == 80
    first, second = (np.asarray(Image.open(path)) for path in sorted(again.glob("rgb/*"))[:2])
    assert first.shape == (80, 80, 4)
    assert (first != second).any()


def test_a_motion_as_a_video_and_one_frame_of_it(files, tmp_path):
    said(files["body"], "--out", tmp_path / "a.mp4", "--motion", files["motion"], "--fps", "10", *FAST)
    assert len(iio.imread(tmp_path / "a.mp4")) == 4
    answer = said(files["body"], "--out", tmp_path / "a.png", "--motion", files["motion"], "--frame", "2", *FAST)
    assert "Note: " in answer
    assert "cm" in answer or "centimetres" in answer


def test_a_head_in_its_video(files, tmp_path):
    said(files["head"], "--out", tmp_path / "a.png", "--pose", "2", "--background", "white", *FAST)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == "RGB"
        corner, middle = picture.getpixel((0, 0)), picture.getpixel((20, 20))
    assert corner == (255, 255, 255) != middle


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "a.png", "--maps", "rgb", "colour"), "Unknown map 'colour'"),
        (("--out", "a.mp4", "--maps", "depth"), "16-bit pictures"),
        (("--out", "a.png", "--pose", "1", "--canonical"), "Give one of --pose and --canonical, not both"),
        (("--out", "a.png", "--pose", "1", "--motion", "a.bvh", "--training-poses"), "not all"),
        (("--out", "a.png", "--frame", "1"), "--frame 1 is one of a motion"),
        (("--out", "a", "--up", "z"), "add --cameras"),
        (("--out", "a", "--views", "3"), "add --turntable"),
        (("--out", "a.png", "--size", "7"), "32 to 4096"),
        (("--out", "a.png", "--light", "none", "--clay"), "Clay without light"),
        (("--out", "a.png", "--fov", "179"), "field of view"),
        (("--out", "a.png", "--cameras", "nowhere.json"), "No camera file 'nowhere.json'"),
        (
            (
                "--out",
                "a.txt",
            ),
            "end the name in .png",
        ),
        (("--out", "a.png"), "No avatar file"),
    ],
)
def test_refusals_before_anything_is_loaded(arguments, message):
    assert message in refused("nobody.avatar", *arguments)


def test_a_turntable_and_cameras(files, tmp_path):
    (tmp_path / "a.json").write_text('{"fl_x": 9, "frames": [{"transform_matrix": ' + str(np.eye(4).tolist()) + "}]}")
    message = refused(files["body"], "--out", tmp_path / "a", "--turntable", "--cameras", tmp_path / "a.json")
    assert "cameras or a turntable" in message
