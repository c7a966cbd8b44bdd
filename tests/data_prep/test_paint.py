"""Colours of meshes: whatever a file gives them by, points of its surface have the right ones."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from data_prep.cleaning import clean
from data_prep.mesh_files import RawMesh, read_meshes
from data_prep.mesh_paint import parse_materials
from data_prep.paint import Paint, PaintedPart, PaintedPoints, coded_bytes, draw_paint
from data_prep.scans import load_scans
from data_prep.textures import CLAMP, LINEAR_OF_BYTE, LONGEST_SIDE, MIRROR, REPEAT, Texture, read_texture
from tests.shared_data import shared

RED, GREEN, BLUE = (200, 20, 30), (10, 180, 60), (40, 50, 220)


def ball() -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=3)


def halves() -> np.ndarray:
    """Red where x is negative, green elsewhere."""
    return np.where(ball().vertices[:, :1] < 0, RED, GREEN).astype(np.uint8)


def painted(path: Path, count: int = 4000) -> PaintedPoints:
    (mesh,) = read_meshes(path, colours=count)
    assert mesh.colours is not None, mesh.notes
    assert np.abs(np.linalg.norm(mesh.colours.points, axis=1) - 1).max() < 0.02
    return mesh.colours


def assert_halves(colours: PaintedPoints) -> None:
    for sign, colour in ((-1, RED), (1, GREEN)):
        assert_colour(colours, 0, sign, colour)


def assert_colour(colours: PaintedPoints, axis: int, sign: int, colour: tuple[int, int, int]) -> None:
    """Away from the middle, where vertices mix, and from the rim, where textures begin again."""
    place = sign * colours.points[:, axis]
    side = (place > 0.25) & (place < 0.95)
    assert side.sum() > 100
    assert np.abs(colours.coded[side].astype(int) - colour).max() <= 2


def write_obj(folder: Path, picture: str = "skin.png", map_line: str | None = None) -> Path:
    """A ball whose texture's left half is red, its right half green; u follows x."""
    mesh = ball()
    lines = ["mtllib ball.mtl", "usemtl skin"]
    lines += [f"v {x} {y} {z}" for x, y, z in mesh.vertices]
    lines += [f"vt {(x + 1) / 2} {(y + 1) / 2}" for x, y, _ in mesh.vertices]
    lines += ["f " + " ".join(f"{corner + 1}/{corner + 1}" for corner in face) for face in mesh.faces]
    (folder / "ball.obj").write_text("\n".join(lines) + "\n")
    (folder / "ball.mtl").write_text(f"newmtl skin\nKd 1 1 1\n{map_line or 'map_Kd ' + picture}\n")
    return folder / "ball.obj"


def picture() -> np.ndarray:
    pixels = np.empty((64, 64, 3), np.uint8)
    pixels[:, :32], pixels[:, 32:] = RED, GREEN
    return pixels


class TestFiles:
    @pytest.mark.parametrize("suffix", ["ply", "obj"])
    def test_vertex_colours_are_coded(self, tmp_path, suffix):
        trimesh.Trimesh(ball().vertices, ball().faces, vertex_colors=halves(), process=False).export(
            tmp_path / f"ball.{suffix}"
        )
        assert_halves(painted(tmp_path / f"ball.{suffix}"))

    def test_face_colours(self, tmp_path):
        mesh = ball()
        colours = np.where(mesh.triangles_center[:, :1] < 0, RED, GREEN).astype(np.uint8)
        trimesh.Trimesh(mesh.vertices, mesh.faces, face_colors=colours, process=False).export(tmp_path / "ball.ply")
        assert_halves(painted(tmp_path / "ball.ply"))

    def test_a_texture_beside_an_obj(self, tmp_path):
        Image.fromarray(picture()).save(tmp_path / "skin.png")
        assert_halves(painted(write_obj(tmp_path)))

    @pytest.mark.parametrize(
        "line", ["map_Kd -s 1 1 1 -clamp on skin.png", "map_kd C:\\scans\\Skin.PNG", 'map_Kd "tex/skin.png"']
    )
    def test_textures_named_as_other_programs_do(self, tmp_path, line):
        Image.fromarray(picture()).save(tmp_path / "skin.png")
        assert_halves(painted(write_obj(tmp_path, map_line=line)))

    def test_v_points_up_in_an_obj(self, tmp_path):
        Image.fromarray(np.rot90(picture(), -1).copy()).save(tmp_path / "skin.png")  # red above
        colours = painted(write_obj(tmp_path))
        assert_colour(colours, 1, 1, RED)

    def test_a_missing_texture_or_material_file_is_a_note(self, tmp_path):
        path = write_obj(tmp_path)
        (mesh,) = read_meshes(path, colours=100)
        assert mesh.colours is None
        assert "'skin.png' is not beside it" in mesh.notes[0]
        (tmp_path / "ball.mtl").unlink()
        (mesh,) = read_meshes(path, colours=100)
        assert mesh.colours is None
        assert "'ball.mtl'" in mesh.notes[0]
        assert read_meshes(path)[0].notes == ()  # nothing is looked for unless asked

    def test_a_damaged_texture_is_a_note(self, tmp_path):
        (tmp_path / "skin.png").write_bytes(b"\x89PNG no picture at all")
        (mesh,) = read_meshes(write_obj(tmp_path), colours=100)
        assert mesh.colours is None
        assert "'skin.png' cannot be read" in mesh.notes[0]

    def test_glb_textures_and_factors(self, tmp_path):
        mesh = ball()
        material = trimesh.visual.material.PBRMaterial(
            baseColorTexture=Image.fromarray(picture()), baseColorFactor=[255, 255, 255, 255]
        )
        mesh.visual = trimesh.visual.TextureVisuals(uv=(mesh.vertices[:, :2] + 1) / 2, material=material)
        mesh.export(tmp_path / "ball.glb")
        assert_halves(painted(tmp_path / "ball.glb"))

    def test_glb_vertex_colours_are_linear(self, tmp_path):
        import torch

        from avatars.export.coloured_meshes import write_coloured_mesh
        from avatars.meshing import TriangleMesh

        mesh = TriangleMesh(torch.from_numpy(ball().vertices).float(), torch.from_numpy(ball().faces))
        write_coloured_mesh(mesh, torch.from_numpy(LINEAR_OF_BYTE[halves()]), tmp_path / "ball.glb")
        assert_halves(painted(tmp_path / "ball.glb"))

    def test_a_plain_surface_has_no_colours(self, tmp_path):
        white = np.full((len(ball().vertices), 3), 255, np.uint8)
        trimesh.Trimesh(ball().vertices, ball().faces, vertex_colors=white, process=False).export(tmp_path / "w.ply")
        ball().export(tmp_path / "b.glb")
        assert read_meshes(tmp_path / "w.ply", colours=500)[0].colours is None
        assert read_meshes(tmp_path / "b.glb", colours=500)[0].colours is None

    def test_points_are_shared_by_the_meshes_of_a_file_and_none_by_default(self):
        path = shared("rigged_cesium_man") / "CesiumMan.glb"
        walk = read_meshes(path, frames=4, colours=4000)
        assert all(len(mesh.colours.points) == 1000 for mesh in walk)
        assert not np.allclose(walk[0].colours.points, walk[1].colours.points)
        assert read_meshes(path, frames=2)[0].colours is None

    def test_a_scanned_head_has_the_colour_of_skin(self):
        colours = read_meshes(shared("head_lee_perry_smith") / "LeePerrySmith.obj", colours=3000)[0].colours
        red, green, blue = colours.coded.mean(0)
        assert red > green > blue > 80

    def test_a_texture_and_the_vertex_colours_baked_from_it_agree(self):
        folder = shared("valid_black_m2")
        texture, vertices = (
            read_meshes(folder / name, colours=20_000)[0].colours for name in ("rest_textured.glb", "pose_00.ply")
        )
        assert np.abs(texture.coded.mean(0) - vertices.coded.mean(0)).max() < 4


class TestTextures:
    @pytest.mark.parametrize("mode", ["L", "LA", "P", "CMYK", "RGBA", "1", "I;16", "I", "F", "YCbCr"])
    def test_every_mode(self, tmp_path, mode):
        suffix = "tiff" if mode in ("F", "CMYK", "YCbCr", "I") else "png"
        if mode == "I;16":
            image = Image.fromarray(np.full((8, 6), 257 * 128, np.uint16))
        elif mode == "I":
            image = Image.fromarray(np.full((8, 6), 257 * 128, np.int32))
        elif mode == "F":
            image = Image.fromarray(np.full((8, 6), 128 / 255, np.float32))
        else:
            image = Image.fromarray(np.full((8, 6, 3), 128, np.uint8)).convert(mode)
        image.save(tmp_path / f"a.{suffix}")
        pixels = read_texture(tmp_path / f"a.{suffix}", "a").pixels
        assert pixels.shape == (8, 6, 4)
        assert (pixels[..., 3] == 255).all()
        assert mode == "1" or np.abs(pixels[..., :3].astype(int) - 128).max() <= (30 if mode == "P" else 2)

    def test_huge_pictures_are_made_smaller(self, tmp_path):
        Image.new("RGB", (LONGEST_SIDE * 2, 4), RED).save(tmp_path / "wide.png")
        pixels = read_texture(tmp_path / "wide.png", "wide").pixels
        assert max(pixels.shape) <= LONGEST_SIDE
        assert (pixels[..., :3] == RED).all()

    def test_places_wrap(self):
        pixels = np.zeros((2, 4, 4), np.uint8)
        pixels[:, :, 0] = [0, 80, 160, 255]
        middle = np.array([[0.125, 0.5], [0.875, 0.5]])
        values = LINEAR_OF_BYTE[[0, 255]]
        for wrap, beyond in ((REPEAT, values), (MIRROR, values[::-1]), (CLAMP, values[[1, 1]])):
            texture = Texture(pixels, (wrap, wrap))
            np.testing.assert_allclose(texture.at(middle)[:, 0], values, atol=1e-6)
            np.testing.assert_allclose(texture.at(middle + np.array([1, 0]))[:, 0], beyond, atol=1e-6)
        assert np.isfinite(texture.at(np.array([[np.nan, np.inf]]))).all()

    def test_coding_and_decoding_agree(self):
        every = np.arange(256)
        assert (coded_bytes(LINEAR_OF_BYTE) == every).all()


class TestDrawing:
    def test_points_are_drawn_by_area_and_transparent_ones_left_out(self):
        vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [3, 0, 0], [0, 3, 0]])
        faces = np.array([[0, 1, 2], [0, 3, 4]])
        corners = np.arange(6).reshape(2, 3)
        colours = np.zeros((6, 4))
        colours[:3], colours[3:] = (1, 0, 0, 1), (0, 1, 0, 1)
        part = PaintedPart(vertices, faces, Paint(corners, np.ones(4), colours))
        drawn = draw_paint([part], 5000, np.random.default_rng(0))
        assert drawn is not None
        assert abs((drawn.coded[:, 1] > 0).mean() - 0.9) < 0.02
        colours[:3, 3] = 0.2
        seen = draw_paint(
            [PaintedPart(vertices, faces, Paint(corners, np.ones(4), colours, cutoff=0.5))],
            500,
            np.random.default_rng(0),
        )
        assert seen is None  # only one colour is left

    def test_broken_corners_are_never_drawn(self):
        mesh = ball()
        vertices = np.array(mesh.vertices)
        vertices[7] = np.nan
        colours = np.concatenate([halves() / 255.0, np.ones((len(vertices), 1))], axis=1)
        drawn = draw_paint(
            [PaintedPart(vertices, mesh.faces, Paint(mesh.faces, np.ones(4), colours))], 2000, np.random.default_rng(0)
        )
        assert drawn is not None
        assert len(drawn.points) == 2000
        assert np.isfinite(drawn.points).all()

    def test_nothing_painted_gives_nothing(self):
        assert draw_paint([], 10, np.random.default_rng(0)) is None
        assert draw_paint([PaintedPart(np.eye(3), np.array([[0, 1, 2]]), None)], 10, np.random.default_rng(0)) is None


def test_materials_are_parsed():
    found = parse_materials("newmtl a b\nKd 0.1 0.2 0.3\nnewmtl c\nKd x y z\nmap_Kd -bm 1.0 tex file.png\n")
    assert found["a b"].diffuse == (0.1, 0.2, 0.3)
    assert found["a b"].picture is None
    assert found["c"].picture == "tex file.png"


def test_cleaning_keeps_colours():
    points = PaintedPoints(np.zeros((4, 3), np.float32), np.zeros((4, 3), np.uint8))
    mesh, _ = clean(RawMesh("scan", np.array(ball().vertices), np.array(ball().faces), points))
    assert mesh.colours is points


def test_a_few_points_a_face_are_enough_without_a_texture(tmp_path):
    mesh = ball()
    trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=halves(), process=False).export(tmp_path / "a.ply")
    assert len(painted(tmp_path / "a.ply", 100_000).points) == 4 * len(mesh.faces)
    Image.fromarray(picture()).save(tmp_path / "skin.png")
    assert len(painted(write_obj(tmp_path), 100_000).points) == 100_000


class TestScans:
    def test_colours_come_in_the_frame_of_the_scan(self, tmp_path):
        scale = np.array([300.0, 300, 1750]) / 2  # millimetres, Z up
        coloured = trimesh.Trimesh(ball().vertices * scale, ball().faces, vertex_colors=halves(), process=False)
        coloured.export(tmp_path / "a.ply")
        trimesh.Trimesh(ball().vertices * scale, ball().faces, process=False).export(tmp_path / "b.ply")
        folder = load_scans(tmp_path, unit="mm", up="z", colours=50_000)
        first, second = folder.scans
        assert second.colours is None
        assert any("1 of 2 scans have colours; b: shape only" in note for note in folder.notes)
        for values in (
            first.colours.points.min(0) - first.vertices.min(0),
            first.colours.points.max(0) - first.vertices.max(0),
        ):
            assert np.abs(values).max() < 0.02
        assert load_scans(tmp_path, unit="mm", up="z").scans[0].colours is None

    def test_what_is_missing_is_noted(self, tmp_path):
        write_obj(tmp_path)
        folder = load_scans(tmp_path, unit="m", up="y", colours=100)
        assert any("its texture 'skin.png'" in note for note in folder.notes)
        assert folder.scans[0].colours is None


class TestGltfMaterials:
    def test_transforms_alpha_and_extensions(self, tmp_path):
        mesh = ball()
        material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(picture()))
        mesh.visual = trimesh.visual.TextureVisuals(uv=(mesh.vertices[:, :2] + 1) / 2, material=material)
        files = trimesh.Scene(mesh).export(file_type="gltf")
        document = json.loads(files["model.gltf"])
        info = document["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
        info["extensions"] = {"KHR_texture_transform": {"scale": [-1, 1], "offset": [1, 0]}}
        files["model.gltf"] = json.dumps(document).encode()
        for name, data in files.items():
            (tmp_path / name).write_bytes(data)
        colours = painted(tmp_path / "model.gltf")
        assert_colour(colours, 0, 1, RED)
        document["images"][0] = {"uri": "gone.png"}
        (tmp_path / "model.gltf").write_text(json.dumps(document))
        (bare,) = read_meshes(tmp_path / "model.gltf", colours=50)
        assert bare.colours is None
        assert "is not beside it" in bare.notes[0]
