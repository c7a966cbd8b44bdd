"""The page in a real browser: what somebody does there is seen there."""

import io
import math
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
import torch
import trimesh

pytest.importorskip("viser", reason="viser is not installed: pip install viser")

from avatars.viewer import Viewer
from avatars.viewer.clips import clip_of
from avatars.viewer.opening import places
from avatars.viewer.state import BONES, EXACT
from tests.avatars.small_avatar import small_avatar, small_avatar_file
from tests.avatars.small_head import small_head
from tests.avatars.small_prior import small_prior
from tests.avatars.tiny_bvh import write_bvh
from tests.avatars.viewer.pages import browser, changes, choose, opened, picture, real, slide, turn_to

CELLS = 48


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


@pytest.fixture
def viewer():
    with Viewer(port=23_500) as made:
        yield made


def show(viewer, avatar, **display):
    """Somebody on the page, drawn."""
    figure = viewer.add(avatar)
    figure.change(**{"resolution": CELLS, **display})
    assert viewer.wait(30.0)
    return figure


def test_a_slider_moves_the_body(chromium, viewer):
    figure = show(viewer, small_avatar())
    tab, errors = opened(chromium, viewer.address, 1000)
    before, stance = picture(tab), figure.stance
    slide(tab, "Turn about z", 0.9)
    assert changes(tab, before)
    assert not figure.stance.equals(stance)
    assert real(errors) == []
    tab.close()


def test_a_slider_moves_the_face(chromium, viewer):
    figure = show(viewer, small_head())
    tab, errors = opened(chromium, viewer.address, 1000)
    before = picture(tab)
    slide(tab, "jaw open", 0.9)
    assert changes(tab, before)
    assert figure.stance.expression[figure.model.build.expression_names.index("jawOpen")] > 0.7
    assert real(errors) == []
    tab.close()


def test_every_way_to_draw_can_follow_every_other(chromium, viewer):
    figure = show(viewer, small_avatar())
    tab, errors = opened(chromium, viewer.address, 1000)
    turn_to(tab, "View")
    before = picture(tab)
    choose(tab, "Colours", "weights of all bones")
    assert changes(tab, before)
    changed: list[dict] = [{"surface": EXACT}, {"colouring": "plain"}, {"surface": "rig"}, {"resolution": 40}]
    changed += [{"canonical": True}, {"colouring": BONES}, {"colouring": "normals"}, {"colouring": "plain"}]
    for display in changed:
        figure.change(**display)
        assert figure.wait(30.0)
        tab.wait_for_timeout(300)
    assert viewer.board.last_error == ""
    assert real(errors) == []
    tab.close()


def test_motion_plays_in_two_browsers_and_one_may_leave(chromium, viewer, tmp_path):
    figure = show(viewer, small_avatar())
    (first, errors), (second, others) = (opened(chromium, viewer.address, 400, 300) for _ in range(2))
    before = picture(first)
    viewer.play(write_bvh(tmp_path / "walk.bvh", frames=30))
    assert viewer.loader.wait(30.0)
    second.close()  # in the middle of updates
    drawn = figure.draws
    assert changes(first, before)
    first.wait_for_timeout(500)
    assert figure.draws > drawn
    assert viewer.player.playing
    viewer.player.pause()
    assert real(errors) == real(others) == []
    assert viewer.board.last_error == ""
    first.close()


def test_motion_in_colour_goes_on_though_nothing_is_sent(chromium, viewer, tmp_path, monkeypatch):
    monkeypatch.setattr("avatars.viewer.viewer.SETTLED", 0.1)
    body, head = show(viewer, small_avatar(), colouring=BONES), show(viewer, small_head())
    tab, errors = opened(chromium, viewer.address, 400, 300)
    body.clip = clip_of(body.model, write_bvh(tmp_path / "walk.bvh", frames=60))
    head.clip = clip_of(head.model, turning(head.model.own_motion()))
    viewer.player.play()
    tab.wait_for_timeout(1000)
    assert body.rolling
    assert head.rolling
    drawn = body.draws, head.draws
    assert changes(tab, picture(tab))
    tab.mouse.move(130, 150)  # the outline of what is below the pointer is drawn by other means
    assert changes(tab, picture(tab))
    assert (body.draws, head.draws) == drawn
    viewer.player.pause()
    tab.wait_for_timeout(1000)
    before = picture(tab)
    tab.wait_for_timeout(200)
    assert np.abs(picture(tab) - before).max() < 40
    assert real(errors) == []
    tab.close()


def turning(motion):
    """A head that looks to and fro in six seconds, its mouth open and shut."""
    phase = torch.linspace(0, 2 * torch.pi, 61)
    rotations = torch.zeros(61, *motion.rotations.shape[1:])
    rotations[:, 0, 1] = 0.6 * phase.sin()
    faces = torch.zeros(61, motion.expression.shape[1])
    faces[:, :8] = 0.5 - 0.5 * phase.cos()[:, None]
    places = torch.zeros(61, 3)
    return replace(motion, rotations=rotations, translations=places, expression=faces, frame_rate=10.0)


def test_scrubbing_moves_the_body_to_that_time(chromium, viewer, tmp_path):
    show(viewer, small_avatar())
    tab, errors = opened(chromium, viewer.address, 1000)
    turn_to(tab, "Motion")
    viewer.play(write_bvh(tmp_path / "walk.bvh", frames=30))
    assert viewer.loader.wait(30.0)
    tab.get_by_role("button", name="Pause").wait_for()
    slide(tab, "Time (s)", 0.5)
    tab.get_by_role("button", name="Play").wait_for()
    tab.wait_for_timeout(300)
    assert viewer.player.seconds == pytest.approx(viewer.player.length / 2, abs=0.15)
    assert real(errors) == []
    tab.close()


def test_pictures_and_files_are_downloaded(chromium, viewer):
    show(viewer, small_avatar())
    tab, errors = opened(chromium, viewer.address, 1000)
    turn_to(tab, "Save")
    with tab.expect_download() as waiting:
        tab.get_by_role("button", name="Screenshot").click()
    seen = iio.imread(waiting.value.path().read_bytes(), extension=".png")
    assert seen.shape[2] == 3
    assert seen.std() > 1
    tab.get_by_label("Clear background").check(force=True)
    with tab.expect_download() as waiting:
        tab.get_by_role("button", name="Screenshot").click()
    clear = iio.imread(waiting.value.path().read_bytes(), extension=".png")
    assert clear.shape[2] == 4
    assert 0.5 < (clear[..., 3] == 0).mean() < 0.99  # neither ground nor backdrop, but somebody
    assert not ((clear[..., 0] > 200) & (clear[..., 1:3].max(-1) < 90) & (clear[..., 3] > 127)).any()  # nor red rings
    choose(tab, "Format", "PLY, this pose")
    with tab.expect_download() as waiting:
        tab.get_by_role("button", name="Export").click()
    mesh = trimesh.load(io.BytesIO(waiting.value.path().read_bytes()), file_type="ply")
    assert mesh.is_watertight
    assert abs(mesh.bounds[0, 1]) < 0.05
    assert real(errors) == []
    tab.close()


def test_a_click_in_the_gallery_opens_somebody(chromium, viewer, tmp_path):
    first = small_avatar_file(tmp_path)
    (tmp_path / "other.avatar").write_bytes(first.read_bytes())
    gallery = viewer.show_gallery(places(tmp_path))
    tab, errors = opened(chromium, viewer.address, 1000)
    assert gallery.complete.wait(60.0)
    assert viewer.wait(30.0)
    tab.wait_for_timeout(1000)
    figures = viewer.stage.figures
    assert [figure.visible for figure in figures] == [True, True]
    tab.get_by_role("button", name="Show this one alone").click()
    tab.get_by_role("button", name="Show all").wait_for()
    assert [figure.visible for figure in figures] == [True, False]
    tab.get_by_role("button", name="Show all").click()
    tab.get_by_role("button", name="Show this one alone").wait_for()
    assert [figure.visible for figure in figures] == [True, True]
    gallery.show(0)  # all go and come back
    assert gallery.complete.wait(60.0)
    assert viewer.wait(30.0)
    tab.wait_for_timeout(500)
    assert real(errors) == []
    assert viewer.board.last_error == ""
    tab.close()


def test_codes_make_somebody_else(chromium):
    with Viewer(port=23_500, prior=small_prior()) as viewer:
        figure = show(viewer, small_prior().person())
        tab, errors = opened(chromium, viewer.address, 1000)
        turn_to(tab, "Person")
        before, model = picture(tab), figure.model
        tab.get_by_role("button", name="build").click()
        assert changes(tab, before)
        assert figure.model is not model
        assert real(errors) == []
        tab.close()


def test_the_rings_turn_the_joint(chromium, viewer):
    figure = show(viewer, small_avatar())
    tab, errors = opened(chromium, viewer.address, 1000)
    elbow, stance = figure.model.build.skeleton.index("left_elbow"), figure.stance
    turns, places = figure.model.frames(stance)
    for radius in (0.12, 0.14, 0.16, 0.18, 0.2, 0.22):  # a ring is a thin line: look for it
        ring = places[elbow] + turns[elbow] @ torch.tensor([0.7 * radius, 0.7 * radius, 0.0])
        across, down = pixel(viewer, tab, ring)
        tab.mouse.move(across, down)
        tab.wait_for_timeout(150)
        tab.mouse.down()
        tab.mouse.move(across + 30, down + 20, steps=6)
        tab.mouse.up()
        tab.wait_for_timeout(300)
        if not figure.stance.equals(stance):
            break
    differs = (figure.stance.rotations - stance.rotations).norm(dim=1) > 1e-3
    assert differs.nonzero().flatten().tolist() == [elbow]
    assert real(errors) == []
    tab.close()


def pixel(viewer, tab, place):
    """Where a place in the world is seen (pixels)."""
    camera = next(iter(viewer._server.get_clients().values())).camera
    position, middle = (torch.tensor(value).float() for value in (camera.position, camera.look_at))
    back = torch.nn.functional.normalize(position - middle, dim=0)
    right = torch.nn.functional.normalize(torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]), back), dim=0)
    towards, height = place - position, tab.viewport_size["height"]
    scale = height / 2 / math.tan(camera.fov / 2) / float(-towards @ back)
    across, up = float(towards @ right) * scale, float(towards @ torch.linalg.cross(back, right)) * scale
    return tab.viewport_size["width"] / 2 + across, height / 2 - up
