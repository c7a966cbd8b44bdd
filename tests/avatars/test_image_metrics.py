import math

import numpy as np
import pytest

from avatars.image_metrics import (
    hull_region,
    lpips_missing,
    mean_absolute,
    peak_ratio,
    perceptual,
    structural,
    structural_published,
)
from body_models import InputError

METRICS = (mean_absolute, peak_ratio, structural, structural_published)


def picture(seed=0, size=48):
    smooth = np.random.default_rng(seed).random((size // 8, size // 8, 3)).repeat(8, 0).repeat(8, 1)
    return (0.2 + 0.6 * smooth).astype(np.float32)


def disc(size=48, radius=15):
    y, x = np.mgrid[:size, :size]
    return (x - size / 2) ** 2 + (y - size / 2) ** 2 < radius**2


def test_the_same_picture_is_perfect():
    one = picture()
    assert mean_absolute(one, one, disc()) == 0
    assert peak_ratio(one, one, disc()) == math.inf
    assert structural(one, one, disc()) == pytest.approx(1)
    assert structural_published(one, one, disc()) == pytest.approx(1)


@pytest.mark.parametrize("sigma", [0.02, 0.1])
def test_known_noise_has_the_known_ratio(sigma):
    one, region = picture(size=200), disc(200, 90)
    other = (one + np.random.default_rng(1).normal(0, sigma, one.shape)).astype(np.float32)
    assert peak_ratio(other, one, region) == pytest.approx(-20 * math.log10(sigma), abs=0.1)
    assert mean_absolute(other, one, region) == pytest.approx(sigma * math.sqrt(2 / math.pi), rel=0.02)


def test_an_even_shift_of_colour():
    one = picture()
    assert mean_absolute(one + np.float32(0.1), one, disc()) == pytest.approx(0.1, abs=1e-6)
    assert peak_ratio(one + np.float32(0.1), one, disc()) == pytest.approx(20, abs=1e-3)


def test_only_the_region_counts():
    one, region = picture(), disc()
    other = np.where(region[..., None], one, 0).astype(np.float32)
    assert mean_absolute(one, other, region) == 0
    assert peak_ratio(one, other, region) == math.inf
    assert structural_published(one, other, region) == pytest.approx(1)
    inner = disc(radius=7)  # windows of eleven pixels stay inside the larger disc
    assert structural(one, other, inner) == pytest.approx(1)
    assert structural(one, other, ~region) < 0.9


def test_noise_lowers_similarity_and_the_whole_picture_dilutes_it():
    one = picture()
    other = (one + np.random.default_rng(2).normal(0, 0.05, one.shape)).astype(np.float32)
    mild, strong = structural(other, one, disc()), structural(one + 4 * (other - one), one, disc())
    assert strong < mild < 1
    assert structural_published(other, one, disc(radius=8)) > structural(other, one, disc(radius=8))


def test_metrics_do_not_care_about_order():
    one, other = picture(0), picture(1)
    for metric in METRICS:
        assert metric(one, other, disc()) == pytest.approx(metric(other, one, disc()))


def test_hull_holds_its_points_and_is_convex():
    points = np.random.default_rng(0).uniform(5, 35, (20, 2))
    region = hull_region(points, 40, 50)
    assert region.shape == (40, 50)
    inner = points.mean(0) + 0.6 * (points - points.mean(0))
    assert region[tuple(np.floor(inner[:, ::-1]).astype(int).T)].all()
    for line in (*region, *region.T):
        assert (np.diff(np.flatnonzero(line)) == 1).all()


def test_hull_of_a_rectangle_counts_its_pixels():
    corners = np.array([[3.0, 2.0], [13.0, 2.0], [13.0, 8.0], [3.0, 8.0], [np.nan, 30.0]])
    region = hull_region(corners, 20, 20)
    assert region.sum() == 60
    assert region[2:8, 3:13].all()


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.ones((2, 2)), np.arange(10.0).reshape(5, 2)])
def test_no_hull_without_a_triangle(points):
    assert not hull_region(points, 9, 9).any()


@pytest.mark.parametrize("metric", METRICS)
def test_bad_pictures(metric):
    one, region = picture(), disc()
    with pytest.raises(InputError, match="empty"):
        metric(one, one, np.zeros_like(region))
    with pytest.raises(InputError, match="cannot be compared"):
        metric(one, picture(size=40), region)
    with pytest.raises(InputError, match="not finite"):
        metric(one * np.float32(np.nan), one, region)


def test_too_small_for_windows():
    with pytest.raises(InputError, match="too small"):
        structural(picture(size=8), picture(size=8), np.ones((8, 8), bool))


def test_lpips_says_why_it_is_missing_and_downloads_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    missing = lpips_missing()
    assert missing
    with pytest.raises(InputError, match="LPIPS cannot be computed"):
        perceptual(picture(), picture(), disc())
    assert not list(tmp_path.iterdir())
