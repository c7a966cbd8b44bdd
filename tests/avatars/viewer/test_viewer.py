"""The viewer without a browser: what programs and panels do with it."""

import threading
from dataclasses import replace

import pytest
import torch

pytest.importorskip("viser", reason="viser is not installed: pip install viser")

import itertools
import time

from avatars.viewer import Viewer, view
from avatars.viewer.clips import clip_of, own_clip
from avatars.viewer.models import BodyModel
from avatars.viewer.opening import places
from avatars.viewer.panels.files import FORMATS, write_figure
from avatars.viewer.panels.handling import guarded, number
from avatars.viewer.panels.motion import MotionPanel
from avatars.viewer.panels.pose import NOW, PosePanel
from avatars.viewer.people import PersonModel
from avatars.viewer.stage import picked_joint
from body_models import InputError
from tests.avatars.small_avatar import small_avatar, small_avatar_file
from tests.avatars.small_head import small_head
from tests.avatars.small_prior import small_prior
from tests.avatars.tiny_bvh import write_bvh

CELLS = 48
OURS = ("export", "motion", "player", "prior", "figure 0")
"""Names of threads."""


@pytest.fixture
def viewer():
    with Viewer(port=23_700) as made:
        yield made


def add(viewer, avatar):
    figure = viewer.add(avatar)
    figure.change(resolution=CELLS)
    assert viewer.wait(30.0)
    return figure


def test_two_viewers_take_two_ports():
    with Viewer(port=23_800) as first, Viewer(port=first.port) as second:
        assert first.port < second.port
        assert str(second.port) in second.address


def test_avatars_stand_side_by_side(viewer):
    figures = [add(viewer, small_avatar()) for _ in range(3)]
    boxes = [figure.box() for figure in figures]
    for left, right in itertools.pairwise(boxes):
        assert left[1, 0] < right[0, 0]
    assert viewer.stage.chosen is figures[0]
    viewer.stage.choose(figures[1], alone=True)
    assert [figure.visible for figure in figures] == [False, True, False]
    viewer.stage.choose(figures[1], alone=False)
    assert all(figure.visible for figure in figures)


def test_shadows_can_be_left_out(viewer):
    assert viewer.stage.shadows
    viewer.stage.shadows = False
    assert not viewer.stage.shadows


def test_a_slow_surface_never_holds_up_whoever_asks(viewer, monkeypatch):
    figure = add(viewer, small_avatar())
    begun, go = threading.Event(), threading.Event()
    known = figure.model.shown

    def slowly(stance, display):
        begun.set()
        assert go.wait(20)
        return known(stance, display)

    monkeypatch.setattr(figure.model, "shown", slowly)
    drawn = figure.draws
    figure.change(surface="exact")
    assert begun.wait(10)
    assert viewer.board.works == {figure.name: f"finding the exact surface ({CELLS} cells)"}
    for turn in range(30):
        figure.stand(figure.stance.turned(1, torch.tensor([0.0, 0.0, 0.01 * turn])))
    go.set()
    assert figure.wait(30.0)
    assert figure.draws == drawn + 2  # the one that had begun, and the latest
    assert viewer.board.works == {}


def test_errors_of_drawing_are_shown_and_survived(viewer, monkeypatch):
    figure = add(viewer, small_avatar())
    monkeypatch.setattr(BodyModel, "_exact", lambda *given: (_ for _ in ()).throw(InputError("no surface today")))
    figure.change(surface="exact")
    assert figure.wait(10.0)
    assert viewer.board.last_error.endswith("no surface today")
    drawn = figure.draws
    figure.change(surface="rig")
    assert figure.wait(10.0)
    assert figure.draws == drawn + 1


def test_errors_of_controls_are_shown(viewer):
    def refuse():
        raise InputError("type a path")

    guarded(viewer.board, "Open file", refuse)
    assert viewer.board.last_error == "Open file: type a path"


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


def panel(viewer, kind):
    """One of the tabs of the chosen avatar."""
    return next(panel for panel in viewer._controls._panels if isinstance(panel, kind))


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


def test_a_pose_can_be_chosen_again_after_edits(viewer):
    figure = add(viewer, small_avatar())
    tab = panel(viewer, PosePanel)
    assert tab._start.value == "standing"
    for change in (lambda: figure.stand(figure.stance.turned(3, torch.ones(3))), tab._random):
        change()
        assert tab._start.value == NOW
        tab._start.value = "striding"
        tab._begin("striding")
        assert figure.stance.equals(tab._poses["striding"])
        assert tab._start.value == "striding"
    tab._reset_all()
    assert figure.stance.equals(figure.model.build.neutral)


def test_numbers_beyond_a_controls_ends_are_brought_back_and_shown_so(viewer):
    add(viewer, small_avatar())
    tab = panel(viewer, MotionPanel)
    tab._speed.value = 0.0
    tab._set_speed()
    assert viewer.player.speed == tab._speed.value == pytest.approx(0.1)
    seed = viewer._server.gui.add_number("Seed", 0, min=0, max=9, step=1)
    seed.value = -1
    assert number(seed) == seed.value == 0


def test_threads_end_with_the_page():
    before = set(threading.enumerate())
    with Viewer(port=23_700) as viewer:
        add(viewer, small_avatar())
        assert "export" in {thread.name for thread in set(threading.enumerate()) - before}
    left = [thread for thread in set(threading.enumerate()) - before if thread.name in OURS]
    for thread in left:
        thread.join(5.0)
    assert not [thread.name for thread in left if thread.is_alive()]


def test_there_is_one_message_a_topic_until_it_goes_well(viewer):
    board = viewer.board
    for text in ("first", "second " * 100):
        board.error("Motion", InputError(text))
    assert list(board.notices) == ["Motion"]
    assert board.notices["Motion"].startswith("second")
    assert len(board.notices["Motion"]) < 300
    assert board.last_error.count("second") == 100
    guarded(board, "Motion", lambda: None)
    assert board.notices == {}


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


def test_the_gallery_says_how_to_go_on(viewer, tmp_path):
    path = small_avatar_file(tmp_path)
    (tmp_path / "other.avatar").write_bytes(path.read_bytes())
    gallery, chooser = viewer.show_gallery(places(tmp_path)), viewer._chooser
    assert gallery.complete.wait(60.0)
    for alone in (True, False, True):
        viewer.stage.choose(viewer.stage.figures[0], alone=alone)
        assert (chooser._all.visible, chooser._one.visible) == (alone, not alone)
        assert ("Show all" in gallery._text.content) == alone


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


def test_a_ray_through_a_joint_picks_it(viewer):
    figure = add(viewer, small_avatar())
    place = figure.model.frames(figure.stance)[1] + torch.tensor([float(x) for x in figure.frame.position])
    for joint in (0, 15, 20):
        origin = torch.tensor([0.3, 1.5, 6.0])
        assert picked_joint(figure, origin, place[joint] - origin) == joint


def test_people_of_a_prior_stay_where_they_stand():
    prior = small_prior()
    with Viewer(port=23_700, prior=prior) as viewer:
        figure = add(viewer, prior.person())
        assert isinstance(figure.model, PersonModel)
        assert figure.prior is viewer.prior
        figure.stand(figure.model.build.poses()["striding"])
        figure.become(PersonModel("other", viewer.prior.varied(figure.model.person, ("betas",), 3, 1.0)))
        assert figure.wait(30.0)
        assert figure.model.name == "other"
        assert viewer.board.last_error == ""


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if "pose" in kind])
def test_poses_are_written_as_meshes(viewer, tmp_path, kind):
    figure = add(viewer, small_head())
    path = write_figure(figure, tmp_path, kind)
    assert path.suffix == FORMATS[kind]
    assert path.stat().st_size > 1000


def test_the_door_takes_files_and_avatars(tmp_path):
    path = small_avatar_file(tmp_path)
    with view([path, small_avatar()], write_bvh(tmp_path / "walk.bvh"), port=23_700) as viewer:
        assert [figure.name for figure in viewer.stage.figures] == ["small", "standing"]
        assert viewer.loader.wait(30.0)
        assert all(figure.clip is not None for figure in viewer.stage.figures)


def test_the_door_closes_after_bad_input(tmp_path):
    with pytest.raises(InputError, match="No avatar file"):
        view(tmp_path / "none.avatar", port=23_700)
    with pytest.raises(InputError, match="nothing to show"):
        view([], port=23_700)
    assert not [thread for thread in threading.enumerate() if thread.name == "player" and thread.is_alive()]


def test_galleries_come_in_pages_and_tell_what_cannot_be_read(viewer, tmp_path, monkeypatch):
    from avatars.viewer import gallery as module

    monkeypatch.setattr(module, "SHOWN", 2)
    first = small_avatar_file(tmp_path)
    (tmp_path / "b.avatar").write_bytes(first.read_bytes())
    (tmp_path / "c.avatar").write_text("no avatar")
    gallery = viewer.show_gallery(places(tmp_path))
    assert gallery.complete.wait(60.0)
    assert gallery.pages == 2
    assert [figure.name for figure in viewer.stage.figures] == ["b"]
    assert "c.avatar" in viewer.board.last_error
    gallery.show(1)
    assert gallery.complete.wait(60.0)
    assert [figure.name for figure in viewer.stage.figures] == ["small"]
