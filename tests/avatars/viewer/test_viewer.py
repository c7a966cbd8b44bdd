"""The viewer without a browser: what programs and panels do with it."""

import threading

import pytest
import torch

pytest.importorskip("viser", reason="viser is not installed: pip install viser")

import itertools

from avatars.viewer import Viewer, view
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
from tests.avatars.viewer.figures import CELLS, add, panel

OURS = ("export", "motion", "player", "prior", "figure 0")
"""Names of threads."""


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


def test_the_gallery_says_how_to_go_on(viewer, tmp_path):
    path = small_avatar_file(tmp_path)
    (tmp_path / "other.avatar").write_bytes(path.read_bytes())
    gallery, chooser = viewer.show_gallery(places(tmp_path)), viewer._chooser
    assert gallery.complete.wait(60.0)
    for alone in (True, False, True):
        viewer.stage.choose(viewer.stage.figures[0], alone=alone)
        assert (chooser._all.visible, chooser._one.visible) == (alone, not alone)
        assert ("Show all" in gallery._text.content) == alone


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
