import numpy as np
import pytest

from data_prep.video.outline import OUTLINE_RAYS, outline

SIDE = 200


def disc(center, radius):
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    return np.clip(radius - np.hypot(x - center[0], y - center[1]) + 0.5, 0, 1).astype(np.float32)


@pytest.mark.parametrize("center", [(100.0, 100.0), (93.3, 108.7)])
@pytest.mark.parametrize("radius", [3.0, 40.25, 80.6])
def test_a_disc_has_its_radius_in_all_directions(center, radius):
    assert outline(disc(center, radius), np.array(center)) == pytest.approx(np.full(OUTLINE_RAYS, radius), abs=0.15)


def test_rays_turn_from_right_to_down():
    alpha = np.zeros((SIDE, SIDE), np.float32)
    alpha[90:150, 60:120] = 1  # reaches 20 right, 50 down, 40 left, 10 up of (100, 100)
    distances = outline(alpha, np.array([100.0, 100.0]))
    assert distances[[0, 18, 36, 54]] == pytest.approx([20, 50, 40, 10], abs=0.05)


def test_a_ray_that_leaves_the_picture_inside_the_mask_is_unknown():
    alpha = np.ones((SIDE, SIDE), np.float32)
    alpha[:50] = 0
    distances = outline(alpha, np.array([100.0, 100.0]))
    assert np.isnan(distances[[0, 18, 36]]).all()
    assert distances[54] == pytest.approx(50, abs=0.1)


@pytest.mark.parametrize("center", [(20.0, 20.0), (-5.0, 3.0), (1e9, 0.0), (np.nan, 4.0)])
def test_a_centre_off_the_mask_has_no_outline(center):
    assert np.isnan(outline(disc((100.0, 100.0), 30.0), np.array(center))).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (2, 2)])
def test_tiny_masks_do_not_fail(shape):
    assert outline(np.ones(shape, np.float32), np.array([0.5, 0.5])).shape == (OUTLINE_RAYS,)
