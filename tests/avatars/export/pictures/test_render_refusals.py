"""Pictures that cannot be made: told before or on the way, and nothing is left behind."""

import math
from dataclasses import replace

import pytest

from avatars.export.driving.motions import training_motion
from avatars.export.films.views import View
from avatars.export.pictures.camera_files import write_cameras
from avatars.export.pictures.render_options import RenderOptions
from avatars.export.pictures.rendered_maps import map_pixels
from avatars.export.pictures.rendering import render
from body_models import InputError
from tests.avatars.export.pictures.small_pictures import OPTIONS, side_camera
from tests.avatars.small_avatar import small_avatar


@pytest.fixture(scope="module")
def body():
    return small_avatar()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"maps": ("rgb", "colour")}, "Unknown map 'colour'.*rgb, normal"),
        ({"maps": ()}, "one or more"),
        ({"maps": ("rgb", "rgb")}, "once"),
        ({"background": "blue"}, "Unknown background 'blue'"),
        ({"light": "sun"}, "Unknown light 'sun'"),
        ({"size": 8}, "32 to 4096"),
        ({"size": 99999}, "32 to 4096"),
        ({"fps": 0}, "frames a second"),
        ({"views": 3}, "--turntable"),
        ({"views": 0, "turntable": True}, "views"),
        ({"resolution": 4}, "16 to 1024"),
        ({"supersampling": 0}, "1 to 8"),
        ({"start": 2.0, "end": 1.0}, "end must come after"),
        ({"view": View(degrees=90)}, "--turntable"),
    ],
)
def test_options_that_make_no_sense(fields, message):
    with pytest.raises(InputError, match=message):
        RenderOptions(**fields)


@pytest.mark.parametrize("fov", [0.0, 170.0, math.nan])
def test_fields_of_view_that_are_none(fov):
    with pytest.raises(InputError, match="field of view"):
        View(fov=fov)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("a.jpg", {}, r"end the name in \.png"),
        ("a.mp4", {"maps": ("depth",)}, "16-bit"),
        ("a.gif", {"maps": ("rgb", "mask")}, "one map"),
        ("a.mp4", {"background": "transparent"}, "cannot be transparent"),
        ("a.png", {"turntable": True}, "many pictures"),
    ],
)
def test_files_that_cannot_show_it(body, tmp_path, name, fields, message):
    with pytest.raises(InputError, match=message):
        render(body, tmp_path / name, replace(OPTIONS, **fields))
    assert not any(tmp_path.iterdir())


def test_what_does_not_go_together(body, tmp_path):
    out, motion = tmp_path / "out", training_motion(body)
    turn = replace(OPTIONS, turntable=True, views=2)
    with pytest.raises(InputError, match="cameras or a turntable"):
        render(body, out, turn, cameras=[side_camera()])
    with pytest.raises(InputError, match="leave --yaw"):
        render(body, out, replace(OPTIONS, view=View(yaw=3)), cameras=[side_camera()])
    with pytest.raises(InputError, match="pose or a motion"):
        render(body, out, OPTIONS, pose=0, motion=motion)
    with pytest.raises(InputError, match="one of a motion"):
        render(body, out, OPTIONS, frame=0)
    with pytest.raises(InputError, match="2 cameras were given for the 3 frames"):
        render(body, out, replace(OPTIONS, fps=2), motion=motion, cameras=[side_camera()] * 2)
    with pytest.raises(InputError, match="a picture a frame"):
        render(body, out, turn, motion=motion)
    with pytest.raises(InputError, match="3 pictures"):
        render(body, tmp_path / "a.png", replace(OPTIONS, fps=2), motion=motion)
    with pytest.raises(InputError, match="No training pose 7"):
        render(body, out, OPTIONS, pose=7)
    with pytest.raises(InputError, match="Unknown pose 'sitting'"):
        render(body, out, OPTIONS, pose="sitting")
    with pytest.raises(InputError, match="no colours"):
        render(body, out, replace(OPTIONS, light="none"), quiet=True)
    with pytest.raises(InputError, match="No cameras"):
        render(body, out, OPTIONS, cameras=[])
    assert not any(tmp_path.iterdir())


def test_other_peoples_folders_stay(body, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/dear.txt").write_text("dear")
    with pytest.raises(InputError, match="would be lost"):
        render(body, tmp_path / "letters", OPTIONS)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        render(body, tmp_path / "file", OPTIONS)
    with pytest.raises(InputError, match="Cannot write"):
        render(body, tmp_path / "file/out", OPTIONS, quiet=True)
    render(body, tmp_path / "out", OPTIONS, quiet=True)
    render(body, tmp_path / "out", replace(OPTIONS, maps=("mask",)), quiet=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"mask", "transforms.json"}


def test_what_fails_on_its_way_leaves_nothing(body, tmp_path, monkeypatch):
    calls = []

    def broken(*given):
        calls.append(given)
        if len(calls) == 2:
            raise InputError("full")
        return map_pixels(*given)

    monkeypatch.setattr("avatars.export.pictures.rendering.map_pixels", broken)
    write_cameras([side_camera()] * 3, tmp_path / "cameras.json")
    with pytest.raises(InputError, match="full"):
        render(body, tmp_path / "out", OPTIONS, cameras=tmp_path / "cameras.json", quiet=True)
    assert {path.name for path in tmp_path.iterdir()} == {"cameras.json"}
