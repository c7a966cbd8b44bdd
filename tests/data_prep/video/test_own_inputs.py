import numpy as np
import pytest
from PIL import Image

from body_models.errors import InputError
from data_prep.video.face_points import LANDMARKS_68
from data_prep.video.own_inputs import as_detections, read_landmarks, read_masks
from data_prep.video.quality import judge

WIDTH, HEIGHT, FRAMES = 200, 100, 12


def save(folder, **arrays):
    np.savez(folder / "own.npz", **arrays)
    return folder / "own.npz"


def points(count):
    return np.random.default_rng(0).uniform(5, 95, (FRAMES, count, 2)).astype(np.float32)


def test_a_whole_mesh_comes_back_as_it_is(tmp_path):
    mesh = points(478)
    mesh[3] = np.nan
    read = read_landmarks(save(tmp_path, landmarks=mesh), FRAMES, WIDTH, HEIGHT)
    assert np.array_equal(read, mesh, equal_nan=True)
    assert as_detections(read).found.tolist() == [frame != 3 for frame in range(FRAMES)]


def test_68_points_go_to_their_places_in_the_mesh(tmp_path):
    few = points(68)
    read = read_landmarks(save(tmp_path, landmarks=few), FRAMES, WIDTH, HEIGHT)
    assert np.array_equal(read[:, list(LANDMARKS_68)], few)
    assert np.isfinite(read).all(axis=2).sum() == FRAMES * 68
    quality = judge(as_detections(read), WIDTH, HEIGHT)
    assert (quality.landmark_weights > 0).any(axis=1).all()
    assert np.isfinite(quality.landmark_weights).all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"points": points(478)}, "no array `landmarks`, only: points"),
        ({"landmarks": points(70)}, "12 x 70 x 2"),
        ({"landmarks": points(478)[0]}, "478 x 2"),
        ({"landmarks": points(478)[:5]}, "5 frames, but 12 frames"),
        ({"landmarks": points(478) / 200}, "multiply them"),
        ({"landmarks": points(478) * 30}, "far outside"),
        ({"landmarks": points(478) * np.nan}, "all NaN"),
        ({"landmarks": np.full((FRAMES, 68, 2), "a")}, "of <U1"),
        ({"landmarks": np.full((FRAMES, 68, 2), None)}, "Cannot read"),
    ],
)
def test_landmarks_that_do_not_fit_are_explained(tmp_path, arrays, message):
    with pytest.raises(InputError, match=message):
        read_landmarks(save(tmp_path, **arrays), FRAMES, WIDTH, HEIGHT)


@pytest.mark.parametrize("content", [None, b"", b"no archive", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_npz(tmp_path, content):
    path = tmp_path / "own.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="landmarks"):
        read_landmarks(path, FRAMES, WIDTH, HEIGHT)


def masks(folder, name="mask_{}.png", count=FRAMES, size=(WIDTH, HEIGHT), mode="L"):
    for frame in range(count):
        value = 20 * frame
        filled = {"L": value, "RGBA": (9, 9, 9, value), "LA": (9, value), "I;16": 257 * value, "RGB": (value,) * 3}
        Image.new(mode, size, filled[mode]).save(folder / name.format(frame))
    return folder


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "I;16", "RGB"])
@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), (50, 25)])
def test_masks_are_read_in_the_order_of_their_numbers(tmp_path, mode, size):
    read = read_masks(masks(tmp_path, mode=mode, size=size), FRAMES, WIDTH, HEIGHT)
    for frame in range(FRAMES):
        alpha = read(frame)
        assert alpha.shape == (HEIGHT, WIDTH)
        assert np.abs(alpha - 20 * frame / 255).max() < 1e-4


def test_black_and_white_masks(tmp_path):
    Image.fromarray(np.arange(WIDTH)[None].repeat(HEIGHT, 0) < 50).save(tmp_path / "0.png")
    alpha = read_masks(tmp_path, 1, WIDTH, HEIGHT)(0)
    assert alpha.min() == 0
    assert alpha.max() == 1


def test_masks_that_do_not_fit_are_explained(tmp_path):
    with pytest.raises(InputError, match="is no folder"):
        read_masks(tmp_path / "none", FRAMES, WIDTH, HEIGHT)
    with pytest.raises(InputError, match="0 masks, but 12 frames"):
        read_masks(tmp_path, FRAMES, WIDTH, HEIGHT)
    masks(tmp_path, size=(HEIGHT, WIDTH))
    with pytest.raises(InputError, match="other proportions"):
        read_masks(tmp_path, FRAMES, WIDTH, HEIGHT)
    (tmp_path / "mask_0.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="Cannot read the mask"):
        read_masks(tmp_path, FRAMES, WIDTH, HEIGHT)
