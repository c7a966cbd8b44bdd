import numpy as np
import pytest

from body_models.names import ARKIT_EXPRESSIONS
from data_prep.synthetic_heads.expressions import ORDINARY_LIMIT, STRONG, SUM_LIMIT, strong_faces, talking, vector

TIMES = np.arange(500) / 25
LIDS = [index for index, name in enumerate(ARKIT_EXPRESSIONS) if name.startswith("eyeBlink")]


def without_lids(values):
    return np.delete(values, LIDS, axis=1)


@pytest.mark.parametrize("make", [talking, strong_faces])
def test_coefficients_are_shares_and_move_smoothly(make):
    values = make(TIMES, np.random.default_rng(0))
    assert values.shape == (500, 52)
    assert values.min() >= 0
    assert values.max() <= 1
    assert np.abs(np.diff(without_lids(values), axis=0)).max() < 0.5


def test_ordinary_talking_opens_the_mouth_blinks_and_stays_natural():
    for seed in range(5):
        values = talking(TIMES, np.random.default_rng(seed))
        assert values[:, ARKIT_EXPRESSIONS.index("jawOpen")].max() > 0.25
        assert values[:, LIDS].max() > 0.85
        assert without_lids(values).max() <= ORDINARY_LIMIT
        assert without_lids(values).sum(1).max() <= SUM_LIMIT + 1e-9


def test_strong_faces_are_outside_the_ordinary_range():
    values = strong_faces(TIMES, np.random.default_rng(1))
    assert (values.max(1) > ORDINARY_LIMIT + 0.1).mean() > 0.6
    ordinary = np.concatenate([talking(TIMES, np.random.default_rng(seed)) for seed in range(3)])
    strongest = values.max(0) > ordinary.max(0) + 0.1
    assert strongest.sum() > 15


def test_eyes_are_turned_by_their_joints_alone():
    look = [index for index, name in enumerate(ARKIT_EXPRESSIONS) if name.startswith("eyeLook")]
    for make in (talking, strong_faces):
        assert not make(TIMES, np.random.default_rng(0))[:, look].any()


@pytest.mark.parametrize("face", STRONG)
def test_each_strong_face_exceeds_the_ordinary(face):
    assert vector(face).max() > ORDINARY_LIMIT


def test_a_single_frame_can_be_made():
    assert talking(np.zeros(1), np.random.default_rng(0)).shape == (1, 52)
    assert strong_faces(np.zeros(1), np.random.default_rng(0)).shape == (1, 52)
