"""Motion that browsers play by themselves: what they are told is what the clock shows."""

from dataclasses import replace

import numpy as np
import pygltflib
import pytest
import torch

from avatars.viewer.clips import clip_of, own_clip
from avatars.viewer.moving_glb import byte_shares, moving_glb
from avatars.viewer.reels import SPARE, STRAYED, WINDOW, Reel
from avatars.viewer.shown import Meshed
from avatars.viewer.state import BONES, EXACT, NORMALS, OWN, PLAIN, Display
from tests.avatars.tiny_bvh import write_bvh
from tests.avatars.viewer.gltf_reader import Glb

CELLS = 40
NEAR = 1e-3
"""Metres by which a browser's picture may differ."""


@pytest.fixture(scope="module")
def walk(body, tmp_path_factory):
    """Eleven frames in a second, all different, with turns everywhere."""
    clip = clip_of(body, write_bvh(tmp_path_factory.mktemp("clips") / "walk.bvh", frames=11))
    torch.manual_seed(1)
    turns = clip.motion.rotations + 0.4 * torch.randn_like(clip.motion.rotations)
    return replace(clip, motion=replace(clip.motion, rotations=turns))


@pytest.fixture(scope="module")
def talk(head):
    """Eleven frames of faces in a second."""
    clip = own_clip(head)
    torch.manual_seed(2)
    turns, places = 0.3 * torch.randn(11, *clip.motion.rotations.shape[1:]), 0.1 * torch.randn(11, 3)
    faces = torch.rand(11, clip.motion.expression.shape[1])
    motion = replace(clip.motion, rotations=turns, translations=places, expression=faces, frame_rate=10.0)
    return replace(clip, motion=motion)


def told(model, reel, moment=0.0):
    """What a browser gets, and how it is drawn."""
    display = Display(resolution=CELLS, colouring=OWN if model.head else BONES)
    return Glb.of(moving_glb(model.rolled(*reel.stances(moment), display))), display


def apart(model, glb, display, reel, seconds, clock):
    """How far the browser's vertices are at most from those of the clock's time (metres)."""
    shown = model.shown(reel.clip.stance(clock, reel.in_place), display)
    assert isinstance(shown, Meshed)
    return np.abs(glb.posed(seconds)[:-2] - shown.vertices.numpy()).max()


@pytest.mark.parametrize(("who", "motion"), [("body", "walk"), ("head", "talk")])
def test_a_browser_poses_as_the_rig_does(who, motion, request):
    model, clip = request.getfixturevalue(who), request.getfixturevalue(motion)
    reel = Reel(clip, 0.4, 0.0, clip.seconds)
    glb, display = told(model, reel)
    for seconds in (0.0, 0.1, 0.3, 0.5, 0.7, 1.0):
        assert apart(model, glb, display, reel, seconds, reel.at(seconds)) < NEAR
    assert glb.times()[-1] == pytest.approx(clip.seconds)


def test_times_between_frames_are_between_their_poses(body, walk):
    reel = Reel(walk, 0.0, 0.0, walk.seconds)
    glb, _ = told(body, reel)
    before, middle, after = (glb.posed(seconds)[:-2] for seconds in (0.3, 0.35, 0.4))
    gap = np.abs(after - before).mean()
    for end in (before, after):
        assert 0.2 * gap < np.abs(middle - end).mean() < 0.8 * gap


@pytest.mark.parametrize(("speed", "moment"), [(0.5, 3.0), (2.0, 0.2), (1.0, 0.95)])
def test_a_reel_goes_on_where_the_clock_is_by_then(body, walk, speed, moment):
    reel = Reel(walk, 0.2, 0.0, walk.seconds, speed=speed)
    clock = (0.2 + speed * moment) % walk.seconds
    assert reel.at(moment) == pytest.approx(clock)
    glb, display = told(body, reel, moment)
    assert glb.times()[-1] == pytest.approx(walk.seconds / speed)
    step = 0.1 / speed
    start = (np.ceil(clock / 0.1 + 1e-6) * 0.1 - clock) / speed  # the next frame
    for seconds in start + step * np.arange(8):
        if not 0.01 < reel.at(moment + seconds) < 0.99:
            continue  # just when it jumps back
        assert apart(body, glb, display, reel, seconds, reel.at(moment + seconds)) < NEAR


@pytest.mark.parametrize("begin", [0.004, 0.35, 0.7, 0.9995, 0.9999])
def test_a_loop_is_one_round_with_a_jump_at_its_end(walk, begin):
    times, places = Reel(walk, begin, 0.0, walk.seconds).keys(0.0)
    assert (np.diff(times.float().numpy()) > 0).all()
    assert times[0] == 0
    assert float(times[-1]) == pytest.approx(walk.seconds)
    assert float(places[0]) == pytest.approx(begin)
    assert float((places[-1] - places[0]).abs()) < 1e-9
    back = (places.diff() < 0).nonzero().flatten()
    assert len(back) == 1
    assert float(times.diff()[back[0]]) < 4e-3
    steps = places.diff()[places.diff() > 0]
    assert steps.max() < 0.11


def test_from_its_start_a_loop_ends_at_its_end(walk):
    for begin in (0.0, 0.001):
        times, places = Reel(walk, begin, 0.0, walk.seconds).keys(0.0)
        assert torch.equal(times, places)
        assert float(times[-1]) == pytest.approx(walk.seconds)


def test_who_has_a_shorter_motion_waits_for_the_others(body, walk):
    reel = Reel(walk, 0.5, 0.0, 3.0)
    glb, display = told(body, reel)
    assert glb.times()[-1] == pytest.approx(3.0)
    for seconds in (0.5, 1.5, 2.4):
        assert apart(body, glb, display, reel, seconds, walk.seconds) < NEAR
    assert apart(body, glb, display, reel, 2.7, 0.2) < NEAR


def test_without_a_loop_the_end_stays(body, walk):
    reel = Reel(walk, 0.5, 0.0, walk.seconds, loop=False)
    assert not reel.whole
    assert reel.at(9.0) == walk.seconds
    glb, display = told(body, reel)
    for seconds in (0.5, 5.0, WINDOW):
        assert apart(body, glb, display, reel, seconds, walk.seconds) < NEAR


def test_bodies_in_place_stay_there(body, walk):
    reel = Reel(walk, 0.0, 0.0, walk.seconds, in_place=True)
    glb, display = told(body, reel)
    for seconds in (0.2, 0.8):
        assert apart(body, glb, display, reel, seconds, seconds) < NEAR
    gone, _ = told(body, replace(reel, in_place=False))
    assert np.abs(gone.posed(0.8).mean(0) - glb.posed(0.8).mean(0))[2] > 0.2


def test_long_motion_is_told_in_pieces(walk):
    long = replace(walk, motion=replace(walk.motion, frame_rate=0.1))
    reel = Reel(long, 10.0, 0.0, long.seconds)
    assert not reel.whole
    times, places = reel.keys(0.0)
    assert float(times[-1]) == pytest.approx(WINDOW + SPARE)
    assert float(places[-1]) == pytest.approx(10.0 + WINDOW + SPARE)
    late = Reel(long, 90.0, 0.0, long.seconds).keys(0.0)[1]  # it comes round
    assert float(late[-1]) == pytest.approx(90.0 + WINDOW + SPARE - long.seconds)
    assert reel.leads_to(replace(reel, moment=WINDOW - 1.0, seconds=WINDOW + 9.0))
    assert not reel.leads_to(replace(reel, moment=WINDOW + 1.0, seconds=WINDOW + 11.0))


def test_long_motion_without_a_loop_is_cut_where_it_is(walk):
    _, places = Reel(walk, 0.0, 0.0, 100.0, loop=False).keys(0.0)
    assert places[-1] == pytest.approx(WINDOW + SPARE)
    assert (places.diff() < 0.11).all()


def test_a_motion_of_less_than_a_millisecond_has_times_that_rise(walk):
    times, places = Reel(walk, 0.0, 0.0, 5e-4).keys(0.0)
    assert (times.diff() > 0).all()
    assert places.max() <= 5e-4


def test_fast_motion_is_thinned_out(walk):
    dense = replace(walk, motion=replace(walk.motion, frame_rate=1000.0))
    times = Reel(dense, 0.0, 0.0, 5.0, speed=2.0).keys(0.0)[0]
    assert len(times) < 2.5 * 30 + 5


def test_a_reel_leads_to_what_nobody_touched(walk):
    reel = Reel(walk, 0.2, 5.0, walk.seconds)
    assert reel.leads_to(replace(reel, moment=5.5, seconds=0.7 + 0.5 * STRAYED))
    assert reel.leads_to(replace(reel, moment=5.9, seconds=0.1))
    assert reel.leads_to(replace(reel, moment=5.79, seconds=0.0))  # across the end
    for change in ({"seconds": 0.9}, {"seconds": 0.7, "speed": 0.5}, {"seconds": 0.7, "length": 2.0},
                   {"seconds": 0.7, "loop": False}, {"seconds": 0.7, "in_place": True},
                   {"seconds": 0.7, "clip": replace(walk)}):  # fmt: skip
        assert not reel.leads_to(replace(reel, moment=5.5, **change))


def test_only_morph_targets_in_use_are_told(head, talk):
    still = replace(talk, motion=replace(talk.motion, expression=torch.zeros_like(talk.motion.expression)))
    glb, display = told(head, Reel(still, 0.0, 0.0, still.seconds))
    assert "targets" not in glb.primitive
    assert apart(head, glb, display, Reel(still, 0.0, 0.0, 1.0), 0.3, 0.3) < NEAR
    one = talk.motion.expression.clone()
    one[:, 1:] = 0
    glb, _ = told(head, Reel(replace(talk, motion=replace(talk.motion, expression=one)), 0.0, 0.0, talk.seconds))
    assert len(glb.primitive["targets"]) == 1


def test_which_displays_a_browser_can_move_by_itself(body, head):
    assert body.rolls(Display(colouring=BONES))
    assert head.rolls(Display(colouring=OWN))
    for display in (Display(colouring=NORMALS), Display(colouring=PLAIN), Display(colouring=BONES, surface=EXACT),
                    Display(colouring=BONES, canonical=True), Display(colouring=OWN)):  # fmt: skip
        assert not body.rolls(display)


def test_colours_are_those_of_the_still_mesh(head, talk):
    glb, display = told(head, Reel(talk, 0.0, 0.0, talk.seconds))
    colours = glb.array(glb.primitive["attributes"]["COLOR_0"])[:-2, :3]
    assert np.abs(colours - head.shown(talk.stance(0.0), display).colours.numpy()).max() < 1e-4
    assert "KHR_materials_unlit" in glb.document["extensionsUsed"]


def test_wherever_it_goes_it_is_in_its_room(body, walk):
    """Browsers look for it between the last two vertices."""
    glb, _ = told(body, Reel(walk, 0.0, 0.0, walk.seconds))
    for seconds in (0.0, 0.5, 0.99):
        posed = glb.posed(seconds)
        low, high = posed[-2:].min(0), posed[-2:].max(0)
        assert (posed[:-2] > low).all()
        assert (posed[:-2] < high).all()


def test_other_readers_take_the_file(body, walk):
    reel = Reel(walk, 0.4, 0.0, walk.seconds)
    data = moving_glb(body.rolled(*reel.stances(0.0), Display(resolution=CELLS, colouring=BONES)))
    read = pygltflib.GLTF2.load_from_bytes(data)
    assert len(read.skins[0].joints) == len(body.build.skeleton) + 1
    assert len(read.animations) == 1


def test_shares_of_bones_sum_to_one():
    weights = np.random.default_rng(0).dirichlet([0.2] * 4, 500)
    shares = byte_shares(weights)
    assert (shares.sum(1, dtype=int) == 255).all()
    assert np.abs(shares / 255 - weights).max() < 0.01
