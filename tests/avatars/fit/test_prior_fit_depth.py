"""Depth pictures as partial scans: they lie on what was seen, and bad files are told."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from avatars.cli import main
from avatars.fit import prior_fit_scans
from avatars.fit.prior_fit_depth import read_camera, read_depth
from avatars.fit.prior_fit_points import SeenScan, gather
from avatars.models import load
from avatars.models import person as person_module
from body_models import InputError
from data_prep.camera import Camera
from data_prep.registration.partial import OPEN, openness, register_partial
from data_prep.registration.register import scan_surface
from data_prep.surface import Surface
from tests.avatars.small_body import small_body
from tests.avatars.small_prior import small_prior_file

SIZE = 160
CAMERA = {"fx": 180.0, "fy": 180.0, "cx": 80.0, "cy": 80.0}
STANDING = torch.tensor([0.0, -0.9, -2.2])
"""Where the person stands before the camera, which looks along -z (metres)."""


def body_surface() -> Surface:
    """The free body before the camera, in the camera's frame with Y up."""
    vertices = small_body().canonical()
    return Surface(vertices - vertices.mean(0) + STANDING + torch.tensor([0.0, 0.9, 0.0]), small_body().faces)


def rendered() -> tuple[np.ndarray, np.ndarray]:
    """Depths along the axis (metres, 0 beside the person) and normals of the free body."""
    camera = Camera(
        torch.tensor([[180.0, 0.0, 80.0], [0.0, 180.0, 80.0], [0.0, 0.0, 1.0]]),
        torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0])), SIZE, SIZE,
    )  # fmt: skip
    surface = body_surface()
    origins, directions = (rays.reshape(-1, 3) for rays in camera.rays())
    hits = surface.cast(origins, directions)
    seen = hits.face >= 0
    depth = torch.where(seen, hits.distance * -directions[:, 2], torch.zeros(()))
    normals = torch.zeros_like(directions)
    normals[seen] = surface.face_normals[hits.face[seen]]
    return depth.reshape(SIZE, SIZE).numpy(), normals.reshape(SIZE, SIZE, 3).numpy()


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Folder of depth.npy, depth.png, normals.npy and camera.json."""
    folder = tmp_path_factory.mktemp("depth")
    depth, normals = rendered()
    np.save(folder / "depth.npy", depth)
    Image.fromarray((1000 * depth).round().astype(np.uint16)).save(folder / "depth.png")
    np.save(folder / "normals.npy", normals)
    (folder / "camera.json").write_text(json.dumps(CAMERA))
    return folder


@pytest.mark.parametrize("name", ["depth.npy", "depth.png"])
def test_points_lie_on_what_was_seen(files, name):
    picture = read_depth(files / name, files / "camera.json")
    vertices = torch.as_tensor(picture.scan.vertices)
    assert body_surface().closest(vertices).distance.max() < 2e-3
    assert torch.allclose(picture.eye, torch.zeros(3))
    surface = scan_surface(picture.scan)
    assert openness(surface) > OPEN
    towards = (surface.face_normals * -surface.vertices[surface.faces].mean(1)).sum(1)
    assert (towards > 0).all(), "all faces look at the camera"
    assert surface.vertices[:, 1].max() - surface.vertices[:, 1].min() > 1.5, "head is up"


def test_normals_of_a_map_are_kept(files):
    picture = read_depth(files / "depth.npy", files / "camera.json", files / "normals.npy")
    assert picture.normals is not None
    seen = SeenScan(picture.scan, True, picture.eye, picture.normals)
    evidence = gather([seen], 0, pool=500, samples=500)
    nearest = body_surface().closest(evidence.surface[0])
    cosine = (body_surface().face_normals[nearest.face] * evidence.normals[0]).sum(1)
    assert cosine.mean() > 0.97


def test_a_camera_that_stands_elsewhere(files, tmp_path):
    moved = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    moved[:3, 3] = moved[:3, :3] @ -torch.tensor([1.0, 2.0, 3.0])
    (tmp_path / "camera.json").write_text(json.dumps(CAMERA | {"camera_from_world": moved.tolist()}))
    first, other = (
        read_depth(files / "depth.npy", path / "camera.json").scan.vertices for path in (files, tmp_path)
    )  # fmt: skip
    assert np.allclose(first + np.array([1.0, 2.0, 3.0]), other, atol=1e-5)


def test_the_person_is_found_in_the_picture(files):
    picture = read_depth(files / "depth.npy", files / "camera.json")
    from body_models import load_anny

    found = register_partial(load_anny(), [picture.scan])
    assert float(found.residuals_mm[0]) < 10
    posed = found.body.pose_vertices(found.poses[0], found.translations[0])
    assert (posed.amax(0) - body_surface().vertices.amax(0)).abs().max() < 0.06


class TestErrors:
    def test_files_that_are_no_pictures(self, files, tmp_path):
        (tmp_path / "depth.npy").write_text("hello")
        with pytest.raises(InputError, match="cannot be read as a depth picture"):
            read_depth(tmp_path / "depth.npy", files / "camera.json")
        with pytest.raises(InputError, match="cannot be read as a depth picture"):
            read_depth(tmp_path / "gone.png", files / "camera.json")

    def test_pictures_of_other_shapes(self, files, tmp_path):
        np.save(tmp_path / "depth.npy", np.ones((4, 4, 3)))
        with pytest.raises(InputError, match="rows and columns only"):
            read_depth(tmp_path / "depth.npy", files / "camera.json")
        np.save(tmp_path / "normals.npy", np.ones((4, 4, 3)))
        with pytest.raises(InputError, match="needs normals of"):
            read_depth(files / "depth.npy", files / "camera.json", tmp_path / "normals.npy")

    def test_an_empty_picture(self, files, tmp_path):
        np.save(tmp_path / "depth.npy", np.full((SIZE, SIZE), np.nan))
        with pytest.raises(InputError, match="shows too little"):
            read_depth(tmp_path / "depth.npy", files / "camera.json")

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"fx": "wide"}', '{"intrinsics": [1, 2]}'])
    def test_no_camera(self, tmp_path, text):
        (tmp_path / "camera.json").write_text(text)
        with pytest.raises(InputError, match="is no camera"):
            read_camera(tmp_path / "camera.json", 10, 10)

    def test_a_camera_of_another_size(self, files, tmp_path):
        (tmp_path / "camera.json").write_text(json.dumps(CAMERA | {"width": 640, "height": 480}))
        with pytest.raises(InputError, match="640 x 480"):
            read_depth(files / "depth.npy", tmp_path / "camera.json")

    @pytest.mark.parametrize("extra", [["--partial"], ["--no-finetune"], ["--camera", "a.json"]])
    def test_options_that_need_a_prior(self, files, tmp_path, capsys, extra):
        assert main(["fit-scans", str(files), "--out", str(tmp_path / "a.avatar"), *extra]) == 2
        assert "go with --prior" in capsys.readouterr().err

    def test_a_prior_that_is_none(self, files, tmp_path, capsys):
        arguments = ["fit-scans", str(files), "--out", str(tmp_path / "a.avatar"), "--prior"]
        assert main([*arguments, str(files / "camera.json")]) == 2
        assert "prior" in capsys.readouterr().err
        assert main([*arguments, "a.prior", "b.prior"]) == 2
        assert "one file or none" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []


def test_a_depth_picture_becomes_an_avatar(files, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(prior_fit_scans, "RESOLUTION", 64)
    monkeypatch.setattr(person_module, "BAKED_SPACING", 0.03)
    out, prior = tmp_path / "bea.avatar", small_prior_file(tmp_path)
    arguments = ["fit-scans", str(files / "depth.npy"), "--camera", str(files / "camera.json"), "--out", str(out)]
    assert main([*arguments, "--steps", "3", "--no-finetune", "--prior", str(prior)]) == 0
    assert "bea.person.json" in capsys.readouterr().out
    assert load(out).info.names == ("depth",)
