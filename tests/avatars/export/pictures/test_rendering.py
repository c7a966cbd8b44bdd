"""Pictures: they agree with the exported mesh, with each other and with their cameras; what cannot be made is told."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from avatars.export.driving.motions import training_motion
from avatars.export.films.views import View
from avatars.export.meshes import export
from avatars.export.pictures.camera_files import read_cameras
from avatars.export.pictures.painter import Painter
from avatars.export.pictures.rendered_maps import depth_pixels
from avatars.export.pictures.rendering import render
from avatars.export.pictures.shots import posed_as, shots_of_pose
from body_models import InputError
from data_prep.camera import Camera, look_at
from data_prep.surface import Surface
from data_prep.video_maps import read_normals
from tests.avatars.export.pictures.small_pictures import OPTIONS, UP, side_camera
from tests.avatars.head_drivers import acting_head
from tests.avatars.models.test_colour_file import coloured
from tests.avatars.small_avatar import small_avatar
from tests.avatars.small_nerface import small_nerface

EVERY = ("rgb", "normal", "world-normal", "depth", "mask")


@pytest.fixture(scope="module")
def body():
    return small_avatar()


@pytest.fixture(scope="module")
def head():
    return acting_head(12)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture).astype(int)


def test_a_picture_has_its_maps_beside_it(body, tmp_path):
    options = replace(OPTIONS, maps=EVERY)
    assert render(body, tmp_path / "a.png", options, quiet=True) == tmp_path / "a.png"
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"a.png", "a_normal.png", "a_world-normal.png", "a_depth.png", "a_mask.png"}
    rgb, mask, depth = (pixels(tmp_path / f"a{name}.png") for name in ("", "_mask", "_depth"))
    assert rgb.shape == (48, 48, 4)
    assert (rgb[..., 3] == mask).all()
    assert set(np.unique(mask)) == {0, 255}
    assert ((depth > 0) == (mask > 0)).all()
    with Image.open(tmp_path / "a_depth.png") as picture:
        assert picture.mode == "I;16"


@pytest.mark.parametrize("pose", [None, "canonical", 1])
def test_pictures_show_the_mesh_that_is_exported_where_it_lies(body, tmp_path, pose):
    camera = side_camera()
    options = replace(OPTIONS, maps=("mask", "depth", "world-normal"))
    render(body, tmp_path / "a.png", options, pose, cameras=[camera])
    export(body, tmp_path / "a.ply", pose, resolution=48, exact=False)
    mesh = trimesh.load(tmp_path / "a.ply", process=False)
    surface = Surface(torch.tensor(mesh.vertices).float(), torch.tensor(mesh.faces))
    origins, directions = (rays.reshape(-1, 3) for rays in camera.rays())
    hits = surface.cast(origins, directions)
    seen = (hits.face >= 0).reshape(40, 60).numpy()
    assert (seen == (pixels(tmp_path / "a.png") > 0)).mean() > 0.999
    along = (hits.distance * (directions @ camera.camera_from_world[2, :3])).reshape(40, 60).numpy()
    off = (pixels(tmp_path / "a_depth.png") / 1000 - along)[seen]
    assert np.median(np.abs(off)) < 1e-3
    normals = read_normals(tmp_path / "a_world-normal.png")[seen]
    agree = (normals * surface.face_normals[hits.face[hits.face >= 0]].numpy()).sum(1)
    assert np.median(agree) > 0.95


def test_normals_of_both_frames_agree(body, tmp_path):
    camera = side_camera()
    render(body, tmp_path / "a.png", replace(OPTIONS, maps=("normal", "world-normal")), cameras=[camera])
    in_camera, in_world = read_normals(tmp_path / "a.png"), read_normals(tmp_path / "a_world-normal.png")
    upright = camera.camera_from_world[:3, :3].numpy() * [[1], [-1], [-1]]
    assert np.abs(in_world @ upright.T - in_camera).max() < 0.03
    known = np.linalg.norm(in_camera, axis=2) > 0
    assert in_camera[known][:, 2].min() > -0.4  # smooth ones at the rim look a little away


def test_a_background_is_what_the_transparent_picture_is_laid_on(body, tmp_path):
    shown = {}
    for name in ("transparent", "white", "black", "grey"):
        options = replace(OPTIONS, background=name, supersampling=2)
        shown[name] = pixels(render(body, tmp_path / f"{name}.png", options))
    colour, alpha = shown["transparent"][..., :3], shown["transparent"][..., 3:] / 255
    assert ((alpha > 0) & (alpha < 1)).any()
    for name, level in (("white", 255), ("black", 0), ("grey", 127.5)):
        assert np.abs(colour * alpha + level * (1 - alpha) - shown[name]).max() <= 1.5


def test_a_folder_has_pictures_and_their_cameras(body, tmp_path):
    options = replace(OPTIONS, maps=("rgb", "depth", "mask", "normal"), turntable=True, views=4, view=View(pitch=20))
    render(body, tmp_path / "turn", options, pose=1, quiet=True)
    index = json.loads((tmp_path / "turn/transforms.json").read_text())
    assert len(index["frames"]) == 4
    assert index["frames"][2]["file_path"] == "rgb/frame_00002.png"
    for frame in index["frames"]:
        for key in ("file_path", "depth_file_path", "mask_path", "normal_file_path"):
            assert (tmp_path / "turn" / frame[key]).is_file()
    shots = shots_of_pose(body, body.training_pose(1), options)
    for ours, theirs in zip(shots.cameras, read_cameras(tmp_path / "turn"), strict=True):
        assert torch.allclose(ours.camera_from_world, theirs.camera_from_world, atol=1e-5)
        assert torch.allclose(ours.intrinsics, theirs.intrinsics, rtol=1e-5)


def test_cameras_of_a_folder_make_the_same_pictures_again(body, tmp_path):
    options = replace(OPTIONS, turntable=True, views=3)
    render(body, tmp_path / "turn", options, quiet=True)
    render(body, tmp_path / "again", OPTIONS, cameras=tmp_path / "turn", quiet=True)
    for name in ("frame_00000.png", "frame_00002.png"):
        first, second = (pixels(tmp_path / folder / "rgb" / name) for folder in ("turn", "again"))
        assert np.abs(first - second).mean() < 0.5


@pytest.mark.parametrize("light", ["camera", "world"])
def test_views_that_disagree_about_the_light_are_told(body, tmp_path, caplog, light):
    with caplog.at_level("INFO", "avatars"):
        render(body, tmp_path / "turn", replace(OPTIONS, turntable=True, views=2, light=light), quiet=True)
    assert ("--light world" in caplog.text) is (light == "camera")


def test_depths_of_all_views_meet_on_the_surface(body, tmp_path):
    """What a NeRF trainer does: pixels and depths of every view, lifted into the world by transforms.json alone."""
    options = replace(OPTIONS, maps=("rgb", "depth"), turntable=True, views=3, view=View(pitch=15))
    render(body, tmp_path / "turn", options, pose=1, quiet=True)
    mesh = body.training_pose(1).mesh(48, exact=False)
    surface = Surface(mesh.vertices, mesh.faces)
    index = json.loads((tmp_path / "turn/transforms.json").read_text())
    for frame in index["frames"]:
        depth = pixels(tmp_path / "turn" / frame["depth_file_path"]) / 1000
        row, column = np.nonzero(depth)
        z = depth[row, column]
        x = (column + 0.5 - index["cx"]) / index["fl_x"] * z
        y = (row + 0.5 - index["cy"]) / index["fl_y"] * z
        lifted = np.stack([x, -y, -z, np.ones_like(z)], 1) @ np.array(frame["transform_matrix"]).T
        points = torch.tensor(lifted[:, :3]).float()
        assert float(surface.closest(points).distance.max()) < 2e-3


def test_a_motion_gives_a_picture_a_frame(body, tmp_path):
    motion = training_motion(body)
    options = replace(OPTIONS, fps=4, maps=("mask",))
    render(body, tmp_path / "walk", options, motion=motion, quiet=True)
    index = json.loads((tmp_path / "walk/transforms.json").read_text())
    times = [frame["time"] for frame in index["frames"]]
    assert times == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0])
    video = render(body, tmp_path / "walk.mp4", replace(options, maps=("normal",)), motion=motion, quiet=True)
    assert video.stat().st_size > 1000
    render(body, tmp_path / "one.png", options, motion=motion, frame=0)
    assert pixels(tmp_path / "one.png").shape == (48, 48)


def test_fast_frames_are_those_of_fresh_painters(body):
    painter, camera = Painter(OPTIONS), side_camera()
    for pose in (0, 1, 0):
        kept = painter.picture(body.training_pose(pose), camera)
        fresh = Painter(OPTIONS).picture(body.training_pose(pose), camera)
        assert torch.allclose(kept.mask, fresh.mask)
        assert torch.allclose(kept.rgb, fresh.rgb, atol=1e-4)


def test_the_exact_surface_is_near_the_skinned_one(body):
    camera = side_camera()
    fast, exact = (
        Painter(replace(OPTIONS, exact=exact, resolution=64)).picture(body.training_pose(1), camera)
        for exact in (False, True)
    )
    both = (fast.mask > 0) & (exact.mask > 0)
    assert float(both.sum()) > 0.9 * float(fast.mask.sum())
    assert float((fast.depth - exact.depth)[both].abs().median()) < 0.02


def test_yaw_pitch_and_field_of_view(body):
    def eye(view: View) -> tuple[torch.Tensor, Camera]:
        camera = shots_of_pose(body, posed_as(body, None), replace(OPTIONS, view=view)).cameras[0]
        points = body.pose(body.model.canonical_pose).mesh(48, exact=False).vertices
        middle = (points.amin(0) + points.amax(0)) / 2
        pixel, _ = camera.project(points)
        assert float(pixel.min()) >= 0
        assert float(pixel.max()) <= 48
        return torch.nn.functional.normalize(camera.center - middle, dim=0), camera

    assert torch.allclose(eye(View())[0], torch.tensor([0.0, 0.0, 1.0]), atol=0.03)
    assert torch.allclose(eye(View(yaw=90))[0], torch.tensor([1.0, 0.0, 0.0]), atol=0.03)
    assert float(eye(View(pitch=30))[0][1]) == pytest.approx(0.5, abs=0.03)
    wide = eye(View(fov=60))[1]
    assert float(wide.intrinsics[1, 1]) == pytest.approx(24 / math.tan(math.radians(30)))


def test_cameras_inside_behind_and_beyond(body):
    inside = look_at(torch.tensor([0.0, 0.2, 0.0]), torch.tensor([0.0, 0.3, 1.0]), UP, 70.0, 30, 30)
    away = look_at(torch.tensor([0.0, 0.2, 3.0]), torch.tensor([0.0, 0.2, 9.0]), UP, 40.0, 30, 30)
    aside = look_at(torch.tensor([9.0, 0.2, 3.0]), torch.tensor([9.0, 0.2, 0.0]), UP, 20.0, 30, 30)
    shares = [float(Painter(OPTIONS).picture(posed_as(body, None), c).mask.mean()) for c in (inside, away, aside)]
    assert shares[0] > 0.9
    assert shares[1:] == [0.0, 0.0]


def test_heads_rest_before_the_camera_of_their_video(head, tmp_path):
    options = replace(OPTIONS, maps=EVERY)
    render(head, tmp_path / "a.png", options)
    mask = pixels(tmp_path / "a_mask.png") > 0
    assert 0.05 < mask.mean() < 0.9
    normals = read_normals(tmp_path / "a_normal.png")
    assert normals[mask][:, 2].mean() > 0.5
    for pose in ("canonical", 3):
        other = pixels(render(head, tmp_path / f"{pose}.png", replace(OPTIONS, maps=("mask",)), pose)) > 0
        assert (mask & other).sum() > 0.7 * mask.sum()


def test_heads_turn_and_move(head, tmp_path):
    render(head, tmp_path / "turn", replace(OPTIONS, turntable=True, views=3, maps=("mask",)), quiet=True)
    assert len(read_cameras(tmp_path / "turn")) == 3
    render(head, tmp_path / "own", replace(OPTIONS, fps=10, end=0.2), motion=training_motion(head), quiet=True)
    first = pixels(tmp_path / "own/rgb/frame_00000.png")
    assert first.shape[2] == 4
    one = render(head, tmp_path / "one.png", OPTIONS, motion=training_motion(head), frame=0)
    assert np.abs(pixels(one) - first).mean() < 1


def test_volumes_are_rendered_too(tmp_path):
    head = small_nerface()
    options = replace(OPTIONS, size=32, maps=("rgb", "mask", "depth"), background="white")
    shown = pixels(render(head, tmp_path / "a.png", options))
    posed = posed_as(head, None)
    camera = shots_of_pose(head, posed, options).cameras[0]
    assert np.abs(shown - posed.render(camera, background=1.0).to_uint8()).max() <= 2


def test_depth_is_in_millimetres_and_zero_where_there_is_none():
    depth = torch.tensor([[0.0, 1.2344, 65.535, 65.6, torch.inf, -1.0]])
    assert depth_pixels(depth).tolist() == [[0, 1234, 65535, 0, 0, 0]]


def test_colours_are_looked_up_within_faces_and_clay_leaves_them_away(tmp_path):
    avatar = coloured()
    seen = {}
    for name, options in (("colours", OPTIONS), ("clay", replace(OPTIONS, colours=False))):
        render(avatar, tmp_path / f"{name}.png", options, quiet=True)
        seen[name] = pixels(tmp_path / f"{name}.png")
    assert (seen["colours"][..., 3] == seen["clay"][..., 3]).all()
    bright = {name: picture[..., :3][picture[..., 3] > 0] for name, picture in seen.items()}
    grey = {name: float((colour.max(1) - colour.min(1)).max()) for name, colour in bright.items()}
    assert grey["clay"] < 40 < 60 < grey["colours"]
    painter = Painter(replace(OPTIONS, light="none"))
    camera = side_camera()
    flat = painter.picture(avatar.training_pose(0), camera)
    found = flat.mask == 1
    points = (
        camera.center
        + (flat.depth / (camera.rays()[1] @ camera.camera_from_world[2, :3]))[..., None] * camera.rays()[1]
    )
    expected = avatar.training_pose(0).colours(points[found])
    assert float((flat.rgb[found] - expected).abs().median()) < 0.02
    with pytest.raises(InputError, match="Clay without light"):
        replace(OPTIONS, light="none", colours=False)
