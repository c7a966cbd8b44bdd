import av
import numpy as np
import pytest
from PIL import Image

from body_models.errors import InputError
from data_prep.video.frames import open_frames
from tests.data_prep.video.films import HEIGHT, WIDTH, corners, grey, write


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
