from dataclasses import replace

import pytest
import roma
import torch

from avatars.export import drive, resting_head, training_motion
from avatars.export.driving.head_neutral import REST_MOST, neutral_of, own_motion
from avatars.export.films.head_cameras import RADIUS, head_middles
from avatars.models.head_avatar import HeadAvatar
from body_models import InputError, Motion, load_motion, write_arkit, write_head_motion
from body_models.names import ARKIT_EXPRESSIONS
from body_models.skeleton import rotation_matrices
from tests.avatars.head_drivers import acting_head, talker, unnamed_head
from tests.avatars.small_avatar import small_avatar
from tests.avatars.small_head import small_head
from tests.avatars.tiny_bvh import write_bvh

JAW = ARKIT_EXPRESSIONS.index("jawOpen")


@pytest.fixture(scope="module")
def head() -> HeadAvatar:
    return acting_head()


def same(one: Motion, other: Motion, tolerance: float = 1e-4) -> bool:
    turns = rotation_matrices(one.rotations) - rotation_matrices(other.rotations)
    parts = (turns, one.translations - other.translations, one.expression - other.expression)
    return all(float(part.abs().max()) < tolerance for part in parts)


def test_its_own_motion_comes_back_as_it_is(head):
    own = training_motion(head)
    assert same(drive(head, own), own, 1e-9)


def test_one_who_moves_like_the_avatar_gives_the_avatars_motion(head):
    own = own_motion(head)
    twin = replace(own, rest_joints=own.rest_joints + 0.01)
    assert same(drive(head, twin), own)


def test_a_clip_without_a_face_leaves_the_face_at_rest(head):
    driven = drive(head, replace(talker(), expression=None, expression_names=()))
    assert torch.allclose(driven.expression, resting_head(head).expression.expand(len(driven), -1))


def test_the_drivers_habits_do_not_matter(head):
    driver = talker()
    turn = torch.tensor([0.2, -0.5, 0.1])
    habits = replace(
        driver,
        rotations=driver.rotations.clone(),
        translations=driver.translations @ roma.rotvec_to_rotmat(turn).T + torch.tensor([3.0, 1.0, -2.0]),
        expression=driver.expression + 0.05,
    )
    habits.rotations[:, 0] = roma.rotvec_composition([turn.expand(len(driver), 3), driver.rotations[:, 0]])
    assert same(drive(head, habits), drive(head, driver), 1e-3)


def test_the_driven_head_is_at_rest_where_the_driver_is(head):
    driven, rest = drive(head, talker()), resting_head(head)
    quiet = driven.expression[:15] - rest.expression
    assert float(quiet.abs().max()) < 0.01
    assert torch.allclose(neutral_of(driven).turns, rest.rotation, atol=1e-3)
    assert torch.allclose(neutral_of(driven).place, rest.translation, atol=1e-3)
    assert float(driven.expression[30, JAW]) > 0.8


def test_named_actions_stay_in_their_range(head):
    driver = talker()
    driven = drive(head, replace(driver, expression=3 * driver.expression))
    assert float(driven.expression.min()) >= 0
    assert float(driven.expression.max()) <= 1


def test_an_expression_that_is_held_is_no_rest(head):
    driver = talker()
    driver.expression[:, JAW] = 0.9
    driven = drive(head, driver)
    rest = float(resting_head(head).expression[JAW])
    assert float(driven.expression[:, JAW].median()) == pytest.approx(rest + 0.9 - REST_MOST, abs=0.02)


def test_absolute_takes_everything_as_it_is(head):
    driver = talker()
    driven = drive(head, driver, absolute=True)
    order = [ARKIT_EXPRESSIONS.index(name) for name in head.expression_names]
    assert torch.allclose(driven.expression, driver.expression[:, order], atol=1e-6)
    assert torch.allclose(driven.rotations, driver.rotations, atol=1e-5)


def test_a_single_frame_has_no_rest_of_its_own(head):
    still = talker().cut(30, 31)
    driven = drive(head, still)
    assert float(driven.expression[0, JAW]) > 0.85
    change = rotation_matrices(resting_head(head).rotation[:1])[0].T @ rotation_matrices(driven.rotations[0, :1])[0]
    assert torch.allclose(change, rotation_matrices(still.rotations[0, :1])[0], atol=1e-5)


def test_a_neck_that_never_turned_leaves_its_turn_to_the_root(head):
    driver = talker()
    neck = replace(driver, rotations=driver.rotations.clone())
    neck.rotations[:, 1], neck.rotations[:, 0] = driver.rotations[:, 0], 0.0
    assert same(drive(head, neck), drive(head, driver))
    assert float(drive(head, neck).rotations[:, 1].abs().max()) < 1e-3


def test_gaze_is_not_taken_twice(head):
    driver = talker()
    driver.rotations[:, 3:] = 0.3
    assert float(drive(head, driver).rotations[:, 3:].abs().max()) < 1e-3


def test_files_drive_as_the_clip_does(head, tmp_path):
    driver = replace(talker(), translations=torch.zeros(60, 3))  # ARKit has no place for them
    write_arkit(tmp_path / "face.csv", driver)
    write_head_motion(tmp_path / "face.npz", driver)
    assert same(drive(head, tmp_path / "face.npz"), drive(head, driver))
    assert same(drive(head, tmp_path / "face.csv", frame_rate=30.0), drive(head, driver), 5e-3)


def test_other_spellings_are_understood_and_strangers_told(head, caplog):
    driver = talker()
    names = tuple(f"brow_{name}" if name == "tongueOut" else name.replace("Left", "_L") for name in ARKIT_EXPRESSIONS)
    with caplog.at_level("INFO"):
        driven = drive(head, replace(driver, expression_names=names))
    place = head.expression_names.index("tongueOut")
    assert torch.allclose(driven.expression[:, place], resting_head(head).expression[place])
    assert "brow_tongueOut" in caplog.text


@pytest.mark.parametrize("way", [0, 1, 2])
def test_the_head_stays_in_the_picture(head, way, caplog):
    driver = talker()
    driver.translations[30:, way] += 3.0
    with caplog.at_level("INFO"):
        driven = drive(head, driver)
    pixels, depth = head.tracks.camera.project(head_middles(head, driven.rotations, driven.translations))
    assert float(depth.min()) > RADIUS
    assert float(pixels.min()) > 0
    assert float(pixels.max()) < 96
    assert "stay in the picture" in caplog.text


def test_a_body_turns_the_head_where_it_turns_its_own(head, tmp_path):
    walk = load_motion(write_bvh(tmp_path / "walk.bvh", frames=20))
    rotations = walk.rotations.clone()
    rotations[:, walk.skeleton.index("Head"), 1] = torch.linspace(-0.4, 0.4, 20)
    driven = drive(head, replace(walk, rotations=rotations))
    turned = rotation_matrices(driven.rotations[[0, -1], 0])
    assert float(roma.rotmat_geodesic_distance(turned[0], turned[1])) == pytest.approx(0.8, abs=0.02)
    assert float(driven.translations.std(0).max()) < 1e-5


def test_a_body_that_holds_its_head_still_is_refused(head, tmp_path):
    with pytest.raises(InputError, match=r"head does not turn.*avatars prepare"):
        drive(head, write_bvh(tmp_path / "walk.bvh"))


def test_unknown_joints_are_refused(head, tmp_path):
    with pytest.raises(InputError, match="joints are not known"):
        drive(head, write_bvh(tmp_path / "spider.bvh", prefix="spider_"))


def test_names_and_components_do_not_go_together(head):
    driver = talker()
    with pytest.raises(InputError, match=r"without names.*avatars prepare VIDEO"):
        drive(head, replace(driver, expression_names=()))
    with pytest.raises(InputError, match=r"fitted with flame_neutral.*tracked with flame"):
        drive(unnamed_head(), driver)
    with pytest.raises(InputError, match="none of its 52 expression parameters"):
        drive(head, replace(driver, expression_names=tuple(f"strange{number}" for number in range(52))))


def test_components_of_the_same_model_are_taken_by_number():
    driver, head = replace(talker(), expression_names=()), unnamed_head()
    some = drive(head, replace(driver, expression=driver.expression[:, :10]), absolute=True)
    assert torch.allclose(some.expression[:, :10], driver.expression[:, :10])
    assert not some.expression[:, 10:].any()
    with pytest.raises(InputError, match="other things"):
        drive(head, replace(driver, expression=torch.rand(60, 60)))


def test_a_head_that_does_not_know_its_camera_is_driven():
    head = acting_head()
    blind = HeadAvatar(head.model, replace(head.tracks, camera=None), head.info)
    assert len(drive(blind, talker())) == 60


def test_motion_of_a_body_avatar_does_not_fit(head):
    body = training_motion(small_avatar())
    with pytest.raises(InputError, match="head does not turn"):
        drive(head, body)


def test_two_frames_are_enough_for_a_rest():
    rest = resting_head(small_head())
    assert torch.allclose(rest.rotation[0], torch.tensor([0.0, 0.25, 0.0]), atol=1e-5)
