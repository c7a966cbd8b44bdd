import numpy as np
import pytest
from PIL import Image

from body_models.errors import InputError
from data_prep.video.frame_source import FrameOptions
from data_prep.video.frames import open_frames
from data_prep.video.image_folder import natural_key
from tests.data_prep.video.films import corners, grey, places


def save(folder, names, **picture):
    folder.mkdir(exist_ok=True)
    for place, name in enumerate(names):
        Image.fromarray(grey(place, **picture)).save(folder / name)
    return folder


def test_a_folder_in_natural_order(tmp_path):
    folder = save(tmp_path / "shots", ["f1.png", "f2.png", "f10.png", "F11.JPG"])
    (folder / "notes.txt").write_text("no picture")
    (folder / "._f1.png").write_bytes(b"what a Mac leaves behind")
    source = open_frames(folder, FrameOptions(picture_rate=10.0))
    assert places(source.frames()) == [0, 1, 2, 3]
    assert (source.info.frame_rate, source.info.frame_count) == (10.0, 4)
    assert places(source.frames(2)) == [2, 3]
    assert [frame.time for frame in open_frames(folder).frames()] == pytest.approx([0, 0.04, 0.08, 0.12])
    assert places(open_frames(folder, FrameOptions(fps=12.5)).frames()) == [0, 2]
    assert sorted(["b10", "b9", "10", "9", "a"], key=natural_key) == ["9", "10", "a", "b9", "b10"]


def test_pictures_of_cameras_and_scanners(tmp_path):
    tmp_path.joinpath("upright").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(corners()).save(tmp_path / "upright" / "1.png", exif=exif)
    frame = next(open_frames(tmp_path / "upright").frames())
    np.testing.assert_array_equal(frame.rgb, np.rot90(corners(), -1))
    tmp_path.joinpath("deep").mkdir()
    Image.fromarray(np.full((20, 30), 40000, dtype=np.uint16)).save(tmp_path / "deep" / "1.png")
    assert np.unique(next(open_frames(tmp_path / "deep").frames()).rgb) == 40000 // 256


def test_bad_folders(tmp_path):
    folder = save(tmp_path / "shots", ["1.png", "2.png"])
    Image.fromarray(grey(2, 32, 32)).save(folder / "3.png")
    with pytest.raises(InputError, match=r"3.png has 32 x 32 pixels, but 1.png has 64 x 48"):
        open_frames(folder)
    (folder / "3.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"3.png is no readable picture"):
        open_frames(folder)
    with pytest.raises(InputError, match="shots: is it one of these"):
        open_frames(tmp_path)


def test_a_half_written_picture_is_stood_in_for(tmp_path):
    folder = save(tmp_path / "shots", [f"{k}.png" for k in range(4)])
    whole = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(whole[: len(whole) // 2])
    source = open_frames(folder)
    assert places(source.frames()) == [0, 2, 2, 3]
    assert any("1.png" in note for note in source.notes)
