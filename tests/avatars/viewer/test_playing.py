"""Motion on the page: whom it fits, how the clock goes, and what is said where it does not fit."""

import time
from dataclasses import replace

import pytest
import torch

pytest.importorskip("viser", reason="viser is not installed: pip install viser")

from avatars.viewer import Viewer
from avatars.viewer.clips import clip_of, own_clip
from avatars.viewer.panels.expression import ExpressionPanel
from avatars.viewer.panels.motion import MotionPanel
from avatars.viewer.panels.pose import PosePanel
from avatars.viewer.state import BONES, NORMALS
from tests.avatars.small_avatar import small_avatar
from tests.avatars.small_head import small_head
from tests.avatars.small_prior import small_prior
from tests.avatars.tiny_bvh import write_bvh
from tests.avatars.viewer.figures import add, panel


def test_motion_moves_those_that_it_fits(viewer, tmp_path):
    body, head = add(viewer, small_avatar()), add(viewer, small_head())
    viewer.play(write_bvh(tmp_path / "walk.bvh", frames=12))
    assert viewer.loader.wait(30.0)
    assert body.clip is not None
    assert viewer.player.length == pytest.approx(1.1, abs=0.01)
    viewer.player.seek(0.0)
    start = body.stance.translation
    viewer.player.seek(1.1)
    assert (body.stance.translation - start)[2] > 0.3
    viewer.player.in_place = True
    viewer.player.show()
    assert body.stance.translation[2] == body.model.build.neutral.translation[2]
    assert head.name == "a.mp4"


def test_the_clock_loops_or_stops_at_the_end(viewer, tmp_path):
    figure = add(viewer, small_avatar())
    figure.clip = clip_of(figure.model, write_bvh(tmp_path / "walk.bvh", frames=11))
    player = viewer.player
    player.speed = 2.0
    player.advance(0.3)
    assert player.seconds == pytest.approx(0.6)
    player.advance(0.3)
    assert player.seconds == pytest.approx(0.2)
    player.loop = False
    player.advance(9.0)
    assert player.seconds == player.length
    assert not player.playing


def test_without_anybody_to_move_the_clock_stands(viewer, tmp_path):
    figure = add(viewer, small_avatar())
    figure.clip = clip_of(figure.model, write_bvh(tmp_path / "walk.bvh", frames=11))
    viewer.player.play()
    figure.clip = None
    viewer.player.advance(0.1)
    assert not viewer.player.playing


@pytest.mark.parametrize("playing", [False, True])
def test_scrubbing_goes_where_the_slider_is_and_stays_there(viewer, tmp_path, playing):
    figure = add(viewer, small_avatar())
    figure.clip = clip_of(figure.model, write_bvh(tmp_path / "walk.bvh", frames=11))
    tab = panel(viewer, MotionPanel)
    (viewer.player.play if playing else viewer.player.pause)()
    tab.refresh(None)
    tab._time.value = 0.7
    tab._scrub()
    time.sleep(0.1)
    assert viewer.player.seconds == pytest.approx(0.7)
    assert tab._time.value == pytest.approx(0.7)
    assert not viewer.player.playing
    assert tab._play.label == "Play"


def test_motions_that_go_far_are_played_in_place(viewer, tmp_path):
    add(viewer, small_avatar())
    for frames, in_place in ((40, True), (3, False)):
        viewer.play(write_bvh(tmp_path / "walk.bvh", frames=frames))
        assert viewer.loader.wait(30.0)
        assert viewer.player.in_place == panel(viewer, MotionPanel)._in_place.value == in_place


def test_rings_are_hidden_while_motion_plays(viewer, tmp_path):
    figure = add(viewer, small_avatar())
    figure.clip = clip_of(figure.model, write_bvh(tmp_path / "walk.bvh", frames=11))
    tab = panel(viewer, PosePanel)
    assert tab._gizmo.visible
    viewer.player.play()
    assert not tab._gizmo.visible
    viewer.player.pause()
    assert tab._gizmo.visible


def test_a_head_says_that_a_body_moves_but_its_neck(viewer, tmp_path, monkeypatch):
    head = add(viewer, small_head())
    monkeypatch.setattr("avatars.viewer.panels.motion.clip_of", lambda model, source: still(own_clip(model)))
    viewer.play(tmp_path / "walk.bvh")
    assert viewer.loader.wait(30.0)
    assert viewer.player.playing
    said = viewer.board.notices["Motion of heads"]
    assert head.name in said
    assert "turns of its neck" in said


def still(clip):
    """A clip in which a face never moves."""
    return replace(clip, motion=replace(clip.motion, expression=torch.zeros_like(clip.motion.expression)))


def test_heads_play_their_own_video_and_people_have_none():
    with Viewer(port=23_700, prior=small_prior()) as viewer:
        head, person = add(viewer, small_head()), add(viewer, small_prior().person())
        viewer.loader.load_own([head, person])
        assert viewer.loader.wait(30.0)
        assert head.clip is not None
        assert len(head.clip.motion) == 2
        assert person.clip is None
        assert "drawn from a prior" in viewer.board.last_error


@pytest.mark.parametrize("name", ["none.bvh", "text.bvh"])
def test_motion_that_cannot_be_read_is_told_on_the_page(viewer, tmp_path, name):
    (tmp_path / "text.bvh").write_text("hello")
    figure = add(viewer, small_avatar())
    viewer.play(tmp_path / name)
    assert viewer.loader.wait(30.0)
    assert figure.clip is None
    assert name in viewer.board.last_error


def test_a_file_from_a_browser_is_read_and_forgotten(viewer, tmp_path):
    figure = add(viewer, small_avatar())
    content = write_bvh(tmp_path / "walk.bvh").read_bytes()
    viewer.loader.load_upload("..\\..\\walk.bvh", content, [figure])
    assert viewer.loader.wait(30.0)
    assert figure.clip is not None
    assert viewer.board.last_error == ""


@pytest.fixture
def rolling(viewer, tmp_path, monkeypatch):
    """A body whose motion a browser plays by itself."""
    figure = add(viewer, small_avatar())
    figure.change(colouring=BONES)
    figure.clip = clip_of(figure.model, write_bvh(tmp_path / "walk.bvh", frames=31))
    monkeypatch.setattr(viewer.player, "_watched", lambda: True)
    viewer.player.play()
    assert soon(lambda: figure.rolling)
    assert figure.wait(20.0)
    return figure


def soon(happened, seconds=10.0):
    """Whether something comes to be."""
    end = time.monotonic() + seconds
    while not happened() and time.monotonic() < end:
        time.sleep(0.02)
    return happened()


def test_motion_in_colour_is_told_once(viewer, rolling):
    drawn, clock = rolling.draws, viewer.player.seconds
    time.sleep(0.5)
    assert rolling.draws == drawn
    assert viewer.player.seconds > clock
    assert not rolling.stance.equals(rolling.clip.stance(clock))  # programs see it move


def test_a_pause_is_shown_though_browsers_were_to_be_told_anew(viewer, rolling):
    drawn = rolling.draws
    with viewer.player._lock:  # before the next step of the clock
        viewer.player.renew()
        viewer.player.pause()
    assert rolling.wait(20.0)
    assert rolling.draws > drawn
    assert not rolling.rolling


def test_at_no_speed_the_clock_lives_on(viewer, rolling):
    viewer.player.speed = 0.0
    assert soon(lambda: not rolling.rolling)
    seconds = viewer.player.seconds
    viewer.player.speed = 1.0
    assert soon(lambda: viewer.player.seconds != seconds)


@pytest.mark.parametrize("change", ["speed", "in_place", "seek", "clip", "resolution", "renew"])
def test_what_changes_motion_is_told(viewer, rolling, change):
    drawn, player = rolling.draws, viewer.player
    if change == "seek":
        player.seek((player.seconds + 1.5) % player.length)
    elif change == "renew":
        player.renew()
    elif change == "clip":
        rolling.clip = replace(rolling.clip)
    elif change == "resolution":
        rolling.change(resolution=40)
    else:
        setattr(player, change, {"speed": 0.5, "in_place": True}[change])
    assert soon(lambda: rolling.draws > drawn)
    assert rolling.rolling


def test_a_pause_shows_the_pose_of_the_clock(viewer, rolling):
    drawn = rolling.draws
    viewer.player.pause()
    assert not rolling.rolling
    assert rolling.wait(20.0)
    assert rolling.draws == drawn + 1
    clock = viewer.player.seconds
    assert rolling.stance.equals(rolling.clip.stance(clock, viewer.player.in_place))
    time.sleep(0.1)
    assert viewer.player.seconds == clock


def test_the_end_of_motion_without_a_loop_is_drawn(viewer, rolling):
    viewer.player.loop, viewer.player.speed = False, 2.0
    assert soon(lambda: not viewer.player.playing)
    assert soon(lambda: not rolling.rolling)
    assert rolling.stance.equals(rolling.clip.stance(rolling.clip.seconds))


def test_normals_follow_the_pose_and_are_told_all_the_time(viewer, rolling):
    rolling.change(colouring=NORMALS)
    assert soon(lambda: not rolling.rolling)
    drawn = rolling.draws
    assert soon(lambda: rolling.draws > drawn + 3)
    rolling.change(canonical=True)  # which does not move
    assert rolling.wait(20.0)
    time.sleep(0.1)
    drawn = rolling.draws
    time.sleep(0.3)
    assert rolling.draws == drawn


def test_who_is_hidden_meanwhile_is_shown_as_the_clock_says(viewer, rolling):
    other = add(viewer, small_avatar())
    viewer.stage.choose(other, alone=True)
    assert not rolling.rolling
    viewer.player.pause()
    viewer.stage.choose(rolling, alone=True)
    assert not rolling.rolling
    assert rolling.wait(20.0)


@pytest.mark.parametrize("edit", ["slider", "start", "random", "rings"])
def test_an_edit_of_a_pose_stops_the_motion_and_stays(viewer, rolling, edit):
    tab = panel(viewer, PosePanel)
    before = rolling.stance
    if edit == "slider":
        tab._sliders[0].value = 50.0
        tab._turn()
    elif edit == "start":
        tab._begin("striding")
    elif edit == "random":
        tab._random()
    else:
        tab._gizmo.wxyz = (0.0, 1.0, 0.0, 0.0)
        tab._dragged(tab._gizmo)
    assert not viewer.player.playing
    edited = rolling.stance
    assert not edited.equals(before)
    time.sleep(0.2)
    assert rolling.stance is edited
    assert not rolling.rolling


def test_an_edit_of_somebody_who_has_no_motion_leaves_the_others_moving(viewer, rolling):
    other = add(viewer, small_avatar())
    viewer.stage.choose(other)
    panel(viewer, PosePanel)._random()
    assert viewer.player.playing


def test_an_edit_of_a_face_stops_the_motion(viewer, monkeypatch):
    head = add(viewer, small_head())
    monkeypatch.setattr(viewer.player, "_watched", lambda: True)
    viewer.loader.load_own([head])
    assert viewer.loader.wait(30.0)
    viewer.player.speed = 0.1
    assert soon(lambda: head.rolling)
    panel(viewer, ExpressionPanel)._set(3, 0.8)
    assert not viewer.player.playing
    time.sleep(0.1)
    assert head.stance.expression[3] == pytest.approx(0.8)
