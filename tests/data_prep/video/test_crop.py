import numpy as np
import pytest
import torch
from PIL import Image

from body_models.errors import InputError
from data_prep.video.crop import CORE_TO_FACE, Crops, cut_out, fixed_crop, head_crops, whole_picture
from tests.shared_data import shared

WIDTH, HEIGHT = 640, 480


def boxes_at(centers, side):
    side = np.broadcast_to(np.asarray(side, dtype=float), len(centers))[:, None]
    return np.concatenate([centers - side / 2, centers + side / 2], axis=1)


def wandering(frames, spread, seed=0, side=80.0, noise=1.0):
    """Boxes of a face that wanders `spread` pixels about the middle, measured with noise."""
    times = np.arange(frames) / 25
    path = np.stack([np.sin(1.3 * times), 0.4 * np.sin(0.9 * times + 1)], axis=1) * spread
    rng = np.random.default_rng(seed)
    return boxes_at(np.array([WIDTH / 2, HEIGHT / 2]) + path + rng.normal(0, noise, path.shape), side)


def assert_heads_are_inside(crops, boxes, width=WIDTH, height=HEIGHT):
    """The part of every head that the picture shows lies in its crop."""
    seen = np.isfinite(boxes).all(axis=1)
    middle, side = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    half = side[:, None] * CORE_TO_FACE / 2 - 0.15 * side[:, None]
    low, high = np.maximum(middle - half, 0), np.minimum(middle + half, [width, height])
    corner = crops.centers - crops.sides[:, None] / 2
    assert (corner[seen] <= low[seen] + 1e-6).all()
    assert (corner[seen] + crops.sides[seen, None] >= high[seen] - 1e-6).all()


def test_a_calm_head_gets_one_square():
    boxes = wandering(200, 8.0)
    crops = head_crops(boxes, WIDTH, HEIGHT, 256)
    assert crops.fixed
    assert np.ptp(crops.centers, axis=0).max() == np.ptp(crops.sides) == 0
    assert crops.centers[0, 1] < HEIGHT / 2
    assert 1.7 * 80 < crops.sides[0] < 2.4 * 80
    assert_heads_are_inside(crops, boxes)


@pytest.mark.parametrize("spread", [60.0, 150.0])
def test_a_wandering_head_is_followed_smoothly(spread):
    boxes = wandering(300, spread, noise=2.0)
    crops = head_crops(boxes, WIDTH, HEIGHT, 256)
    assert not crops.fixed
    assert_heads_are_inside(crops, boxes)
    jerk = np.abs(np.diff(boxes[:, :2], 2, axis=0)).max()
    assert np.abs(np.diff(crops.centers, 2, axis=0)).max() < 0.1 * jerk
    assert np.abs(np.diff(crops.sides, 2)).max() < 0.1 * jerk
    assert crops.sides.max() < 3.2 * 80


def test_following_does_not_lag():
    boxes = wandering(300, 100.0, noise=0.0)
    crops = head_crops(boxes, WIDTH, HEIGHT, 256)
    backwards = head_crops(boxes[::-1].copy(), WIDTH, HEIGHT, 256)
    np.testing.assert_allclose(crops.centers, backwards.centers[::-1], atol=1e-6)


def test_shifting_the_video_shifts_the_crops():
    boxes = wandering(100, 60.0)
    near = head_crops(boxes + 5000.0, 20000, 20000, 256)
    far = head_crops(boxes + 5700.0, 20000, 20000, 256)
    np.testing.assert_allclose(near.centers + 700, far.centers)
    np.testing.assert_allclose(near.sides, far.sides)


def test_frames_without_a_face_borrow_from_their_neighbours():
    whole = wandering(200, 80.0, noise=0.0)
    gappy = whole.copy()
    gappy[:5], gappy[90:105], gappy[-1:] = np.nan, np.nan, np.nan
    crops, reference = head_crops(gappy, WIDTH, HEIGHT, 256), head_crops(whole, WIDTH, HEIGHT, 256)
    assert np.isfinite(crops.centers).all()
    assert np.isfinite(crops.sides).all()
    assert np.abs(crops.centers - reference.centers).max() < 20


def test_one_slip_of_the_detector_moves_nothing():
    boxes = wandering(200, 8.0)
    slipped = boxes.copy()
    slipped[77] += 250.0
    assert head_crops(slipped, WIDTH, HEIGHT, 256).fixed
    np.testing.assert_allclose(
        head_crops(slipped, WIDTH, HEIGHT, 256).centers, head_crops(boxes, WIDTH, HEIGHT, 256).centers, atol=3.0
    )


def test_nothing_glides_across_a_cut():
    boxes = boxes_at(np.repeat([[150.0, 200.0], [480.0, 250.0]], 50, axis=0), np.repeat([80.0, 60.0], 50))
    crops = head_crops(boxes, WIDTH, HEIGHT, 256, scenes=np.repeat([0, 1], 50))
    assert np.ptp(crops.centers[:50], axis=0).max() < 1e-9
    assert np.ptp(crops.centers[50:], axis=0).max() < 1e-9
    assert np.abs(crops.centers[49] - crops.centers[50]).max() > 300


@pytest.mark.parametrize("center", [[30.0, 40.0], [630.0, 470.0], [320.0, 10.0]])
def test_squares_move_into_the_picture(center):
    boxes = boxes_at(np.tile(center, (20, 1)), 100.0)
    crops = head_crops(boxes, WIDTH, HEIGHT, 256)
    corners = crops.centers - crops.sides[:, None] / 2
    assert (corners >= -1e-9).all()
    assert (corners + crops.sides[:, None] <= np.array([WIDTH, HEIGHT]) + 1e-9).all()
    assert_heads_are_inside(crops, boxes)


def test_a_head_larger_than_the_picture_covers_it():
    crops = head_crops(boxes_at(np.tile([320.0, 240.0], (3, 1)), 400.0), WIDTH, HEIGHT, 256)
    np.testing.assert_allclose(crops.sides, WIDTH)
    np.testing.assert_allclose(crops.centers[:, 0], WIDTH / 2)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_few_frames(frames):
    assert head_crops(wandering(frames, 5.0), WIDTH, HEIGHT, 256, frame_rate=1.0).fixed
    assert len(head_crops(wandering(frames, 500.0, noise=90.0), WIDTH, HEIGHT, 256).sides) == frames


def test_no_face_at_all():
    with pytest.raises(InputError, match="No frame shows a face"):
        head_crops(np.full((4, 4), np.nan), WIDTH, HEIGHT, 256)


def moving_crops():
    return Crops(np.array([[100.5, 80.25], [30.0, 300.0]]), np.array([90.0, 333.3]), 128, False)


def test_points_come_back():
    points = np.random.default_rng(0).uniform(0, 400, (2, 7, 2))
    crops = moving_crops()
    np.testing.assert_allclose(crops.from_crop(crops.to_crop(points)), points)
    corners = crops.centers[:, None] + crops.sides[:, None, None] / 2 * np.array([[-1, -1], [1, 1]])
    np.testing.assert_allclose(crops.to_crop(corners), np.tile([[0.0, 0.0], [128.0, 128.0]], (2, 1, 1)), atol=1e-9)


def test_intrinsics_project_where_points_go():
    intrinsics = torch.tensor([[700.0, 0, 320], [0, 710.0, 240], [0, 0, 1]], dtype=torch.float64)
    points = torch.randn(7, 3, dtype=torch.float64) + torch.tensor([0, 0, 5.0])
    whole, cropped = points @ intrinsics.T, points @ moving_crops().intrinsics(intrinsics).mT
    expected = moving_crops().to_crop((whole[:, :2] / whole[:, 2:]).expand(2, -1, -1).numpy())
    np.testing.assert_allclose((cropped[..., :2] / cropped[..., 2:]).numpy(), expected)


@pytest.mark.parametrize(("side", "size"), [(100.0, 100), (133.7, 64), (300.3, 32), (41.9, 128)])
@pytest.mark.parametrize("center", [[250.3, 199.8], [251.0, 200.0]])
def test_a_ramp_is_cut_out_exactly(side, size, center):
    x, y = np.meshgrid(np.arange(512) + 0.5, np.arange(400) + 0.5)
    ramp = np.stack([x / 2.5, y / 2, (x + y) / 5], axis=-1)
    found = cut_out(np.round(ramp).astype(np.uint8), np.array(center), side, size)
    pixels = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), axis=-1)
    there = (pixels - size / 2) * side / size + center
    expected = np.stack([there[..., 0] / 2.5, there[..., 1] / 2, there.sum(-1) / 5], axis=-1)
    assert np.abs(found - expected).max() < 1.1


def test_a_square_of_whole_pixels_is_copied():
    rgb = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    np.testing.assert_array_equal(cut_out(rgb, np.array([30.0, 25.0]), 32.0, 32), rgb[9:41, 14:46])


@pytest.mark.parametrize("center", [[0.0, 0.0], [80.0, 30.0], [40.0, 70.0], [500.0, -500.0]])
def test_edges_are_repeated_outside(center):
    rgb = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    wide = np.pad(rgb, [(600, 600), (600, 600), (0, 0)], mode="edge")
    low = np.array(center, dtype=int) + 600 - 20
    expected = wide[low[1] : low[1] + 40, low[0] : low[0] + 40]
    np.testing.assert_array_equal(cut_out(rgb, np.array(center), 40.0, 40), expected)


def test_whole_picture_and_fixed_square():
    crops = whole_picture(1080, 1920, 3, 512)
    corners = crops.from_crop(np.tile([[0.0, 0.0], [512.0, 512.0]], (3, 1, 1)))
    np.testing.assert_allclose(corners[0], [[-420, 0], [1500, 1920]])
    assert crops.fixed
    crops = fixed_crop(100.0, 50.0, 200.0, WIDTH, HEIGHT, 3, 512)
    np.testing.assert_allclose(crops.from_crop(np.zeros((3, 1, 2)))[:, 0], np.tile([100.0, 50.0], (3, 1)))
    assert crops.sides.tolist() == [200.0] * 3


@pytest.mark.parametrize(
    ("x", "y", "side"), [(700.0, 0.0, 50.0), (-60.0, 0.0, 50.0), (0.0, 0.0, 0.0), (0.0, float("nan"), 9.0)]
)
def test_squares_that_show_nothing(x, y, side):
    with pytest.raises(InputError, match="640 x 480"):
        fixed_crop(x, y, side, WIDTH, HEIGHT, 3, 512)


def test_size_must_show_something():
    with pytest.raises(InputError, match="--size"):
        whole_picture(WIDTH, HEIGHT, 3, 0)


def test_a_portrait_keeps_its_likeness():
    photo = next(shared("photo_astronaut").glob("*.[jp][pn]g"))
    rgb = np.asarray(Image.open(photo).convert("RGB"))
    small = cut_out(rgb, np.array([rgb.shape[1] / 2, rgb.shape[0] / 2]), float(min(rgb.shape[:2])), 64)
    assert np.abs(small.mean((0, 1)) - rgb.mean((0, 1))).max() < 3
