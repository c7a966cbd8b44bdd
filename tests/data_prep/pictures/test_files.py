import av
import numpy as np
import pytest
from PIL import Image

from body_models.errors import InputError
from data_prep.pictures import tile, write_image, write_video


def frames(count: int = 6, height: int = 48, width: int = 64) -> list[np.ndarray]:
    x = np.broadcast_to(np.linspace(0, 200, width), (height, width))
    return [np.stack([x, x[:, ::-1], np.full_like(x, 30 * k)], axis=-1).astype(np.uint8) for k in range(count)]


@pytest.mark.parametrize(("height", "width"), [(48, 64), (47, 63)])
def test_mp4_round_trip(tmp_path, height, width):
    written = frames(height=height, width=width)
    path = write_video(iter(written), tmp_path / "new" / "clip.mp4", fps=12.5)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert float(stream.average_rate) == pytest.approx(12.5)
        read = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(read) == 6
    assert read[0].shape == (height + height % 2, width + width % 2, 3)
    for before, after in zip(written, read, strict=True):
        assert np.abs(before.astype(int) - after[:height, :width]).mean() < 6
    assert [file.name for file in path.parent.iterdir()] == ["clip.mp4"]


def test_mp4_keeps_colours(tmp_path):
    patches = [np.full((32, 32, 3), color, dtype=np.uint8) for color in ([200, 40, 40], [30, 180, 60], [40, 60, 220])]
    path = write_video([np.concatenate(patches, axis=1)] * 3, tmp_path / "clip.mp4")
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.colorspace == 1
        shown = next(container.decode(video=0)).to_ndarray(format="rgb24")
    for k, patch in enumerate(patches):
        assert np.abs(shown[8:24, 32 * k + 8 : 32 * k + 24].astype(int) - patch[8:24, 8:24]).max() <= 5


def test_gif_round_trip(tmp_path):
    path = write_video(frames(), tmp_path / "clip.gif", fps=10)
    with Image.open(path) as image:
        assert image.n_frames == 6
        assert image.info["duration"] == 100
        image.seek(4)
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - frames()[4]).mean() < 6


def test_folder_round_trip_and_replacement(tmp_path):
    write_video(frames(9), tmp_path / "shots", fps=10)
    path = write_video(frames(6), tmp_path / "shots", fps=10)
    files = sorted(path.iterdir())
    assert [file.name for file in files] == [f"frame_{k:05d}.png" for k in range(6)]
    assert np.array_equal(np.asarray(Image.open(files[3])), frames()[3])


def test_a_folder_with_other_files_is_kept(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="would be lost"):
        write_video(frames(), tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_png_round_trip(tmp_path):
    path = write_image(frames()[2], tmp_path / "new" / "one.png")
    assert np.array_equal(np.asarray(Image.open(path)), frames()[2])


@pytest.mark.parametrize("name", ["clip.mp4", "clip.gif", "clip"])
def test_a_failing_source_leaves_nothing(tmp_path, name):
    def failing():
        yield frames()[0]
        raise RuntimeError("renderer stopped")

    with pytest.raises(RuntimeError, match="renderer stopped"):
        write_video(failing(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["clip.mp4", "clip.gif", "clip"])
def test_bad_frames_teach_and_leave_nothing(tmp_path, name):
    with pytest.raises(InputError, match="no frames"):
        write_video([], tmp_path / name)
    with pytest.raises(InputError, match="differ in size"):
        write_video([frames()[0], frames()[0][:-4]], tmp_path / name)
    with pytest.raises(InputError, match="usable rate"):
        write_video(frames(), tmp_path / name, fps=0.0)
    assert list(tmp_path.iterdir()) == []


def test_bad_targets_teach(tmp_path):
    with pytest.raises(InputError, match=r"\.mp4 or \.gif"):
        write_video(frames(), tmp_path / "clip.avi")
    with pytest.raises(InputError, match=r"end the name in \.png"):
        write_image(frames()[0], tmp_path / "one.jpg")
    (tmp_path / "file").write_text("in the way")
    for name in ("clip.mp4", "clip.gif", "clip"):
        with pytest.raises(InputError, match="Cannot write"):
            write_video(frames(), tmp_path / "file" / name)
    with pytest.raises(InputError, match="Cannot write"):
        write_image(frames()[0], tmp_path / "file" / "one.png")


def test_tile_places_pictures_in_rows():
    images = frames(5)
    sheet = tile(images, columns=2)
    assert sheet.shape == (3 * 48, 2 * 64, 3)
    assert np.array_equal(sheet[48:96, 64:], images[3])
    assert (sheet[96:, 64:] == 255).all()


def test_tile_labels_and_centres():
    big, small = frames(1, 60, 80)[0], frames(1, 20, 40)[0]
    sheet = tile([big, small], columns=4, labels=["first", "a very long label that must shrink to fit in here"])
    assert sheet.shape == (60 + 16, 160, 3)
    assert np.array_equal(sheet[20:40, 100:140], small)
    assert (sheet[60:, :80] < 128).any()
    assert (sheet[60:, 80:] < 128).any()


def test_bad_tiles_teach():
    with pytest.raises(InputError, match="0 pictures"):
        tile([], 2)
    with pytest.raises(InputError, match="1 labels"):
        tile(frames(2), 2, ["one"])
