import numpy as np
import pytest
from PIL import Image

pytest.importorskip("mediapipe")

from data_prep.video.matting import guided_coefficients, refine_alpha
from data_prep.video.people import PersonSegmenter, connected
from tests.shared_data import shared

SIDE = 128


def stripes():
    """A dark half with thin dark hairs that reach into the bright half."""
    truth = np.zeros((SIDE, SIDE), np.float32)
    truth[:, :64] = 1
    truth[40:42, 64:68] = truth[80:82, 64:68] = 1
    rgb = np.where(truth[..., None] > 0, [40, 30, 20], [200, 210, 220]).astype(np.uint8)
    return rgb, truth


def test_a_coarse_mask_takes_the_edges_of_the_picture():
    rgb, truth = stripes()
    coarse = np.clip((65 - np.arange(SIDE)) / 6 + 0.5, 0, 1).astype(np.float32)[None].repeat(SIDE, 0)
    refined = refine_alpha(rgb, coarse, reach=0.04)
    assert refined.min() >= 0
    assert refined.max() <= 1
    assert np.abs(refined - truth).mean() < 0.65 * np.abs(coarse - truth).mean()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_even_mask_stays_as_it_is(value):
    rgb = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    assert refine_alpha(rgb, np.full((60, 90), value, np.float32)) == pytest.approx(np.full((60, 90), value), abs=1e-6)


def test_nothing_far_inside_the_mask_becomes_a_hole():
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[20:, 30:100] = 1
    rgb = np.full((SIDE, SIDE, 3), 180, np.uint8)
    rgb[60:70, 60:70] = 0
    assert refine_alpha(rgb, mask)[55:75, 55:75].min() == 1


def test_a_mask_linear_in_colour_is_reproduced_by_the_filter():
    guide = np.random.default_rng(1).random((40, 50, 3)).astype(np.float32)
    mask = guide @ np.array([0.2, 0.5, 0.1], np.float32) + 0.1
    slopes, offsets = guided_coefficients(guide, mask, radius=3, softness=1e-7)
    assert (guide * slopes).sum(-1) + offsets == pytest.approx(mask, abs=2e-3)


def test_only_the_part_with_the_head_is_kept():
    inside = np.zeros((50, 50), bool)
    inside[5:20, 5:20] = inside[30:45, 30:45] = True
    kept = connected(inside, np.array([10.0, 10.0]))
    assert kept[5:20, 5:20].all()
    assert kept.sum() == 225
    assert connected(inside, np.array([10.0, 22.0])).sum() == 225  # just beside it
    for nowhere in ([48.0, 3.0], [np.nan, np.nan]):
        assert not connected(inside, np.array(nowhere)).any()


def test_the_astronaut_is_cut_out_the_same_whatever_came_before():
    rgb = np.asarray(Image.open(shared("photo_astronaut") / "skimage_astronaut.png").convert("RGB"))[:400, 30:430]
    center = np.array([195.0, 120.0])
    with PersonSegmenter() as segment:
        first = segment(rgb, center)
        segment(np.ascontiguousarray(rgb[:, ::-1]), center)
        assert (segment(rgb, center) == first).all()
        assert not segment(np.zeros_like(rgb), center).any()
    assert first[90:160, 165:225].min() == 1  # the face
    assert first[:100, :60].max() < 0.1  # the wall
    assert 0.3 < first.mean() < 0.8
