import math

import imageio.v3 as iio
import numpy as np
import pytest
import torch

import avatars
from avatars.export import VideoOptions, View, head_camera, resting_head, training_motion
from avatars.export.films.cameras import follow_cameras
from avatars.export.films.head_cameras import head_cameras, head_middles
from avatars.export.films.views import orbited
from avatars.models.head_avatar import HeadAvatar
from body_models import InputError
from tests.avatars.head_drivers import acting_head, talker
from tests.avatars.small_avatar import small_avatar
from tests.avatars.small_head import front_camera, small_head

SMALL = {"fps": 2, "size": 40, "resolution": 48, "supersampling": 1}


@pytest.fixture(scope="module")
def head() -> HeadAvatar:
    return acting_head()


def frames_of(folder) -> list[np.ndarray]:
    return [iio.imread(path).astype(int) for path in sorted(folder.iterdir())]


def test_a_driven_head_is_filmed_before_white(head, tmp_path):
    avatars.animate(head, talker(), tmp_path / "film", VideoOptions(**SMALL), quiet=True)
    frames = frames_of(tmp_path / "film")
    assert len(frames) == 4
    assert frames[0].shape == (40, 40, 3)
    assert all((frame[0, 0] == 255).all() for frame in frames)
    assert all((frame < 250).any(-1).mean() > 0.05 for frame in frames)
    assert abs(frames[0] - frames[1]).max() > 30


def test_its_own_video_is_seen_as_it_was(head, tmp_path):
    avatars.animate(head, training_motion(head), tmp_path / "film", VideoOptions(**SMALL), quiet=True)
    seen = head.frame(15).render(head.tracks.camera.resized(40, 40), resolution=48).to_uint8()
    assert abs(frames_of(tmp_path / "film")[1] - seen).max() <= 1


def test_without_motion_the_camera_swings_to_both_sides(head, tmp_path):
    options = VideoOptions(**{**SMALL, "fps": 1}, turntable=True)
    avatars.animate(head, None, tmp_path / "turn", options, quiet=True)
    frames = frames_of(tmp_path / "turn")
    assert len(frames) == 7
    assert abs(frames[1] - frames[5]).max() > 30


def test_exact_frames_resemble_those_of_the_mesh(head, tmp_path):
    frames = []
    for exact in (False, True):
        options = VideoOptions(**{**SMALL, "fps": 1}, exact=exact, end=0.5)
        avatars.animate(head, talker(), tmp_path / f"{exact}", options, quiet=True)
        frames.append(frames_of(tmp_path / f"{exact}")[0])
    assert abs(frames[0] - frames[1]).mean() < 6


def test_another_field_of_view_keeps_the_head_as_large_as_it_was(head):
    rest = resting_head(head)
    middle = head_middles(head, rest.rotation[None], rest.translation[None])[0]
    usual, flat = head_camera(head, 100, View(yaw=20)), head_camera(head, 100, View(yaw=20, fov=5.0))
    assert float(flat.intrinsics[1, 1]) == pytest.approx(50 / math.tan(math.radians(2.5)), rel=1e-4)
    assert torch.allclose(usual.project(middle)[0], flat.project(middle)[0], atol=1e-2)
    sizes = [camera.intrinsics[1, 1] / camera.project(middle)[1] for camera in (usual, flat)]
    assert float(sizes[0] / sizes[1]) == pytest.approx(1.0, rel=1e-4)


def test_the_camera_goes_around_the_head(head):
    rest = resting_head(head)
    middle = head_middles(head, rest.rotation[None], rest.translation[None])[0]
    front, left, above = (head_camera(head, 100, view) for view in (View(), View(yaw=90), View(pitch=30)))
    pixels = [camera.project(middle)[0] for camera in (front, left, above)]
    assert torch.allclose(pixels[0], pixels[1], atol=1e-2)
    assert torch.allclose(pixels[0], pixels[2], atol=1e-2)
    away = front.center - middle
    assert torch.allclose(left.center - middle, torch.stack([away[2], away[1], -away[0]]), atol=1e-5)
    assert float(above.center[1]) > float(front.center[1]) + 0.2


def test_without_a_view_the_camera_is_the_videos(head):
    camera = head_camera(head, 96)
    assert torch.allclose(camera.camera_from_world, front_camera(96).camera_from_world, atol=1e-6)
    assert torch.allclose(camera.intrinsics, front_camera(96).intrinsics)


def test_a_head_with_sliders_at_the_origin_is_seen_where_the_camera_is_told(head):
    posed = head.pose({"jawOpen": 0.7})
    image = posed.render(head_camera(head, 64, place=posed.translation), resolution=48)
    assert float(image.mask.mean()) > 0.05
    elsewhere = head.pose({"jawOpen": 0.7}, translation=torch.tensor([1.0, 2.0, 3.0]))
    moved = elsewhere.render(head_camera(head, 64, place=elsewhere.translation), resolution=48)
    assert float((image.mask - moved.mask).abs().mean()) < 0.01


def test_a_wide_picture_keeps_its_sides():
    head = small_head()
    tracks = head.tracks
    wide = HeadAvatar(
        head.model, tracks.__class__(**{**vars(tracks), "camera": front_camera().resized(96, 48)}), head.info
    )
    camera = head_camera(wide, 64)
    assert (camera.width, camera.height) == (64, 32)


def test_a_head_without_its_videos_camera_is_seen_from_the_front():
    head = small_head()
    blind = HeadAvatar(head.model, head.tracks.__class__(**{**vars(head.tracks), "camera": None}), head.info)
    camera = head_camera(blind, 64)
    assert float(resting_head(blind).render(camera, resolution=48).mask.mean()) > 0.1


@pytest.mark.parametrize(("degrees", "extent"), [(90, math.pi / 4), (360, 2 * math.pi)])
def test_ways_of_a_turntable(degrees, extent):
    yaws = View(degrees=degrees).yaws(360, True, 1.0)
    assert float(yaws[0]) == pytest.approx(0.0)
    assert float(yaws.max()) == pytest.approx(extent, rel=0.01)
    assert not View().yaws(10, False, 360.0).any()


def test_a_turn_all_around_comes_back(head):
    first, last = head_cameras(head, 2, 64, View(degrees=720), turntable=True)
    assert torch.allclose(first.camera_from_world, last.camera_from_world, atol=1e-5)


def test_orbits_are_rigid():
    camera = orbited(front_camera(), torch.tensor([0.1, 0.2, -0.7]), 0.7, -0.3)
    turn = camera.camera_from_world[:3, :3]
    assert torch.allclose(turn @ turn.T, torch.eye(3), atol=1e-6)


def test_bodies_are_seen_from_a_side_too():
    avatar = small_avatar()
    clip = training_motion(avatar).cut(0, 1)
    plain, aside = (follow_cameras(clip, avatar.body(48), 64, False, view)[0] for view in (None, View(yaw=180.0)))
    across = plain.center - aside.center
    assert float(across[[0, 2]].norm()) > 2.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"yaw": 400.0}, "yaw of -360"), ({"pitch": 90}, "pitch"), ({"yaw": math.nan}, "yaw"), ({"degrees": 0}, "around")],
)
def test_views_from_nowhere(wrong, message):
    with pytest.raises(InputError, match=message):
        View(**wrong)


def test_degrees_are_for_a_turntable():
    with pytest.raises(InputError, match="--turntable"):
        VideoOptions(view=View(degrees=90))
