import numpy as np
import pytest

from data_prep.video.advice import REGIONS, advice, ranges
from data_prep.video.detections import FACE_POINTS, nothing_seen
from data_prep.video.face_points import LIPS, mirror_points
from data_prep.video.quality import far_side_weights, head_turn, judge
from tests.data_prep.video.quality_cases import HEIGHT, WIDTH, face, good


def told(detections, sources=None):
    quality = judge(detections, WIDTH, HEIGHT)
    return quality, advice(quality, sources or range(len(detections)))


def only(quality, name):
    """Check that no other flag is set anywhere, and give the flagged frames."""
    assert [key for key, flagged in quality.flags.items() if flagged.any()] == [name]
    return np.flatnonzero(quality.flags[name]).tolist()


def test_a_good_video_needs_no_advice():
    quality, lines = told(good())
    assert quality.use.all()
    assert (quality.landmark_weights == 1).all()
    assert lines == []
    assert quality.names(3) == ()


def test_a_hand_on_the_mouth_leaves_frames_out():
    covered = np.zeros((20, FACE_POINTS), bool)
    covered[5:9, LIPS] = True
    quality, lines = told(good(covered=covered), sources=range(305, 325))
    assert only(quality, "hand") == [5, 6, 7, 8]
    assert np.flatnonzero(~quality.use).tolist() == [5, 6, 7, 8]
    assert lines == ["frames 310-313: a hand covers the mouth; left out"]


def test_a_hand_on_the_cheek_only_silences_its_points():
    covered = np.zeros((20, FACE_POINTS), bool)
    covered[[4, 7], :] = np.isin(np.arange(FACE_POINTS), REGIONS["left cheek"])
    quality, lines = told(good(covered=covered))
    assert quality.use.all()
    assert only(quality, "hand") == [4, 5, 6, 7]  # it does not vanish for two frames
    assert (quality.landmark_weights[4:8, list(REGIONS["left cheek"])] == 0).all()
    assert lines == ["frames 4-7: a hand covers the left cheek; the covered points are not used"]


def test_frames_without_a_face_weigh_nothing():
    landmarks = good().landmarks.copy()
    landmarks[10:12] = nothing_seen().landmarks
    quality, lines = told(good(landmarks=landmarks))
    assert only(quality, "no_face") == [10, 11]
    assert (quality.landmark_weights[10:12] == 0).all()
    assert lines[0].startswith("frames 10-11: no face found; left out")


def test_blur_is_relative_to_the_video():
    for scale in (0.3, 1.0, 10.0):
        sharpness = np.full(20, 0.05 * scale)
        sharpness[3], sharpness[19] = 0.3 * sharpness[0], 0.05 * sharpness[0]
        quality, lines = told(good(sharpness=sharpness))
        assert only(quality, "blur") == [3, 19]
        assert np.flatnonzero(~quality.use).tolist() == [19]
        assert quality.landmark_weights[3].max() == 0.5
        assert len(lines) == 2


def test_a_face_leaving_the_picture_is_left_out():
    landmarks = good().landmarks.copy()
    landmarks[15:] += np.float32([WIDTH / 2 - 10, 0])
    quality, lines = told(good(landmarks=landmarks))
    assert only(quality, "out_of_frame") == [15, 16, 17, 18, 19]
    assert not quality.use[15:].any()
    assert (quality.landmark_weights[15:][landmarks[15:, :, 0] > WIDTH] == 0).all()
    assert "out of the picture" in lines[0]


def test_the_shot_with_most_faces_is_kept():
    scene = np.array([0] * 6 + [1] * 14)
    quality, lines = told(good(scene=scene))
    assert only(quality, "other_shot") == [0, 1, 2, 3, 4, 5]
    assert (quality.use == (scene == 1)).all()
    assert "--start" in lines[0]


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"brightness": np.full(20, 12.0)}, "dark"),
        ({"face_count": np.full(20, 2)}, "two_faces"),
        ({"landmarks": np.repeat((face()[None] - 200) * np.float32(0.15) + 200, 20, 0)}, "small_face"),
    ],
)
def test_what_is_only_worth_a_word_is_used(change, flag):
    quality, lines = told(good(**change))
    assert only(quality, flag) == list(range(20))
    assert quality.use.all()
    assert len(lines) == 1


def test_the_followed_one_of_two_faces_is_named():
    landmarks = good().landmarks - np.float32([120, 0])
    _, lines = told(good(landmarks=landmarks, face_count=np.full(20, 2)))
    assert "the one on the left of the picture is followed" in lines[0]


@pytest.mark.parametrize("turn", [-70, -40, 0, 25, 60])
def test_the_turn_of_the_head_is_where_the_nose_points(turn):
    angle, roll = np.radians(turn), np.radians(20)
    across, nose = np.array([np.cos(angle), 0.0]), np.array([np.sin(angle), 0.1])
    tilt = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    landmarks = np.full((1, FACE_POINTS, 2), np.nan)
    landmarks[0, [234, 454, 4]] = np.stack([-across, across, nose * [1, 0]]) @ tilt.T * 50 + 200
    assert head_turn(landmarks) == pytest.approx([turn], abs=0.01)


def test_a_turned_head_loses_weight_on_its_far_side_only():
    twins = np.array(mirror_points())
    right, left = twins > np.arange(FACE_POINTS), twins < np.arange(FACE_POINTS)
    weights = far_side_weights(np.array([0.0, 60.0, -60.0, np.nan]))
    assert (weights[[0, 3]] == 1).all()
    assert (weights[1, left] < 0.2).all()  # turned to the picture's right: the person's left side is hidden
    assert (weights[1, ~left] == 1).all()
    assert (weights[2, right] < 0.2).all()
    assert (weights[2, ~right] == 1).all()


def test_ranges_bridge_gaps_of_five_frames():
    flagged = np.zeros(40, bool)
    flagged[[3, 9, 20]] = True
    assert [(part[0], part[-1]) for part in ranges(flagged)] == [(3, 9), (20, 20)]
    assert ranges(np.zeros(4, bool)) == []


def test_many_ranges_are_counted_not_listed():
    brightness = np.full(400, 110.0)
    brightness[::20] = 5.0
    _, lines = told(good(400, brightness=brightness))
    assert len(lines) == 11
    assert lines[-1] == "frame 200 and 9 later ranges: the same"


@pytest.mark.parametrize("frames", [0, 1])
def test_a_video_with_hardly_a_frame(frames):
    quality, lines = told(good(frames))
    assert len(quality.use) == frames
    assert lines == []


def test_a_video_without_any_face():
    landmarks = np.full((8, FACE_POINTS, 2), np.nan, np.float32)
    unknown = np.full(8, np.nan)
    quality, lines = told(good(8, landmarks=landmarks, sharpness=unknown, brightness=unknown))
    assert not quality.use.any()
    assert len(lines) == 1
