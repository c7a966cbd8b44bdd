import imageio.v3 as iio
import numpy as np
import pytest
import torch

from avatars.cli import main
from avatars.export import VideoOptions, animate, motion_for, training_motion
from avatars.export.films.cameras import facing, follow_cameras
from body_models import InputError
from tests.avatars.small_avatar import small_avatar, small_avatar_file
from tests.avatars.tiny_bvh import write_bvh
from tests.body_models.motion.test_clips import files

SMALL = VideoOptions(fps=10, size=64, resolution=48, supersampling=1)


def test_mp4_has_the_length_of_the_motion(tmp_path):
    path = animate(small_avatar(), write_bvh(tmp_path / "walk.bvh", frames=5), tmp_path / "walk.mp4", SMALL, quiet=True)
    assert iio.imread(path, plugin="pyav").shape == (5, 64, 64, 3)


def test_frames_show_somebody_who_moves(tmp_path):
    animate(small_avatar(), training_motion(small_avatar()), tmp_path / "frames", SMALL, quiet=True)
    frames = [iio.imread(path).astype(int) for path in sorted((tmp_path / "frames").iterdir())]
    assert len(frames) == 11
    assert all((frame < 215).mean() > 0.03 for frame in frames)
    assert abs(frames[0] - frames[-1]).max() > 50


def test_without_motion_the_camera_circles(tmp_path):
    options = VideoOptions(fps=1, size=48, resolution=48, supersampling=1, turntable=True)
    animate(small_avatar(), None, tmp_path / "turn", options, quiet=True)
    front, side = (iio.imread(path) < 215 for path in sorted((tmp_path / "turn").iterdir())[:3:2])
    assert not np.array_equal(front, side)


def test_exact_frames_resemble_skinned_ones(tmp_path):
    pictures = []
    for exact in (False, True):
        options = VideoOptions(fps=1, size=64, resolution=64, supersampling=1, exact=exact, end=0.5)
        animate(small_avatar(), training_motion(small_avatar()), tmp_path / f"{exact}", options, quiet=True)
        pictures.append(iio.imread(next((tmp_path / f"{exact}").iterdir())).astype(int))
    assert abs(pictures[0] - pictures[1]).mean() < 3


def test_start_and_end_cut_the_motion(tmp_path):
    path = write_bvh(tmp_path / "walk.bvh", frames=11)
    options = VideoOptions(fps=10, size=32, resolution=48, supersampling=1, start=0.3, end=0.6)
    animate(small_avatar(), path, tmp_path / "cut", options, quiet=True)
    assert len(list((tmp_path / "cut").iterdir())) == 4


@pytest.mark.parametrize("turntable", [False, True])
def test_the_person_stays_in_the_picture(tmp_path, turntable):
    avatar = small_avatar()
    clip = motion_for(avatar, write_bvh(tmp_path / "far.bvh", frames=60), 48)
    body = avatar.body(48)
    for frame, camera in enumerate(follow_cameras(clip, body, 100, turntable)):
        pixels, depth = camera.project(body.pose_vertices(clip.rotations[frame], clip.translations[frame]))
        assert (depth > 0).all()
        assert (pixels > 0).all()
        assert (pixels < 100).all()


def test_facing_follows_the_root():
    clip = training_motion(small_avatar())
    assert facing(clip.cut(0, 1)) == pytest.approx(0.0, abs=1e-5)
    assert facing(clip.cut(1, 2)) == pytest.approx(torch.pi / 2, abs=1e-5)


def test_training_poses_stand_on_the_ground():
    clip, body = training_motion(small_avatar()), small_avatar().body()
    for pose, place in zip(clip.rotations, clip.translations, strict=True):
        assert float(body.pose_vertices(pose, place)[:, 1].min()) == pytest.approx(0.0, abs=1e-5)


def test_unknown_skeleton_is_named(tmp_path):
    path = write_bvh(tmp_path / "spider.bvh", prefix="spider_")
    with pytest.raises(InputError, match=r"spider.bvh.*joints are not known"):
        animate(small_avatar(), path, tmp_path / "a.mp4", SMALL, quiet=True)
    assert not (tmp_path / "a.mp4").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"fps": 0.0}, "frames a second"), ({"size": 4}, "pixels"), ({"start": 2.0, "end": 1.0}, "end must come after")],
)
def test_impossible_options(options, message):
    with pytest.raises(InputError, match=message):
        VideoOptions(**options)


def test_a_start_beyond_the_end_is_told(tmp_path):
    path = write_bvh(tmp_path / "walk.bvh", frames=3)
    with pytest.raises(InputError, match=r"lasts 0\.20 s"):
        animate(small_avatar(), path, tmp_path / "a.mp4", VideoOptions(start=9.0), quiet=True)


def test_unknown_ending_is_told_before_any_work(tmp_path):
    with pytest.raises(InputError, match=r"\.mp4 or \.gif"):
        animate(small_avatar(), "nowhere.bvh", tmp_path / "a.avi", SMALL, quiet=True)


def test_only_the_head_of_a_body_follows_a_face_and_that_is_told(tmp_path, capsys):
    file_names = {path.name: path for path in files(tmp_path)}
    avatar, out = small_avatar_file(tmp_path), tmp_path / "talk.gif"
    small = ["--size", "32", "--fps", "10"]
    assert main(["animate", str(avatar), "--motion", str(file_names["face.csv"]), "--out", str(out), *small]) == 0
    said = capsys.readouterr().out
    assert "Note: Motion 'face': its 52 named expression parameters mean nothing to the target" in said
    assert "only the head turns" in said


def test_a_rate_can_be_given_to_a_file_without(tmp_path, capsys):
    avatar, path, out = small_avatar_file(tmp_path), tmp_path / "still.npz", tmp_path / "a.gif"
    np.savez(path, poses=np.zeros((3, 72)), trans=np.zeros((3, 3)))
    command = ["animate", str(avatar), "--motion", str(path), "--out", str(out), "--size", "32", "--fps", "10"]
    assert main(command) == 2
    assert "--frame-rate 30" in capsys.readouterr().err
    assert main([*command, "--frame-rate", "10"]) == 0
    mesh = ["export", str(avatar), "--motion", str(path), "--out", str(tmp_path / "a.ply"), "--resolution", "32"]
    assert main([*mesh, "--fast", "--frame-rate", "10"]) == 0
