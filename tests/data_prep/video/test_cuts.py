import numpy as np
import pytest

pytest.importorskip("cv2")

from data_prep.video.cuts import ShotCounter


def view(seed, tint):
    """A blotchy picture."""
    rng = np.random.default_rng(seed)
    blotches = np.kron(rng.integers(20, 200, (6, 8, 1)), np.ones((20, 20, 1)))
    return np.clip(blotches * np.array(tint), 0, 255).astype(np.uint8)


ROOM, STREET = view(1, (1.0, 0.8, 0.6)), view(2, (0.5, 0.8, 1.0))
BLACK = np.zeros_like(ROOM)


def scenes(frames):
    count = ShotCounter()
    found = []
    for frame in frames:
        count(frame)
        found.append(count.scene)
    return found


def test_a_cut_begins_a_shot_and_a_camera_that_returns_keeps_its_number():
    assert scenes([ROOM, ROOM, STREET, STREET, ROOM, view(3, (1.0, 1.0, 0.2))]) == [0, 0, 1, 1, 0, 2]


def test_flicker_black_frames_and_motion_are_no_cuts():
    darker = (ROOM * 0.4).astype(np.uint8)
    frames = [ROOM, darker, ROOM, BLACK, BLACK, ROOM, np.roll(ROOM, 8, axis=1), np.roll(ROOM, 16, axis=1)]
    assert scenes(frames) == [0] * len(frames)


def test_a_cut_across_black_frames_is_seen():
    assert scenes([BLACK, ROOM, BLACK, STREET]) == [0, 0, 0, 1]


def test_after_a_break_the_shots_go_on_counting():
    count = ShotCounter()
    count.resume(np.array([0, 0, 1, 2, 0]), {0: ROOM})
    assert not count(ROOM)
    assert count(STREET)
    assert count.scene == 3


def test_after_a_break_a_camera_that_returns_keeps_its_number():
    count = ShotCounter()
    count.resume(np.array([0, 0, 1, 1]), {0: ROOM, 1: STREET})
    assert count(ROOM)
    assert count.scene == 0


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (2160, 40)])
def test_any_size_of_picture(shape):
    assert scenes([np.full((*shape, 3), 90, np.uint8)]) == [0]
