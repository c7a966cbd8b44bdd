from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from trimesh.exchange.gltf import load_glb
from trimesh.exchange.ply import load_ply

from avatars.meshing import TriangleMesh, write_mesh
from body_models.errors import InputError
from data_prep.atomic import replacing


def example() -> TriangleMesh:
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.8)
    return TriangleMesh(torch.tensor(ball.vertices, dtype=torch.float32), torch.tensor(ball.faces))


@pytest.mark.parametrize("name", ["body.ply", "body.obj", "body.glb", "body.stl", "BODY.PLY"])
def test_round_trip(tmp_path, name):
    mesh = example()
    path = write_mesh(mesh, tmp_path / "new folder" / name)
    again = trimesh.load(path, force="mesh", process=False)
    corners = mesh.vertices[mesh.faces].numpy()
    assert np.abs(again.vertices[again.faces] - corners).max() < 1e-6
    assert again.volume == pytest.approx(mesh.to_trimesh().volume, rel=1e-5)
    assert [file.name for file in path.parent.iterdir()] == [name]


def normals_in(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        if path.suffix == ".ply":
            return load_ply(file)["vertex_normals"]
        if path.suffix == ".glb":
            (geometry,) = load_glb(file)["geometry"].values()
            return geometry["vertex_normals"]
    lines = [line.split()[1:] for line in path.read_text().splitlines() if line.startswith("vn ")]
    return np.array(lines, dtype=float)


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb"])
def test_given_normals_are_written(tmp_path, suffix):
    mesh = example()
    normals = torch.nn.functional.normalize(mesh.vertices + torch.tensor([0.0, 0.5, 0.0]), dim=-1)
    path = write_mesh(mesh, tmp_path / f"body{suffix}", vertex_normals=normals)
    assert np.abs(normals_in(path) - normals.numpy()).max() < 1e-5


def test_writing_twice_replaces(tmp_path):
    write_mesh(example(), tmp_path / "body.ply")
    half = TriangleMesh(example().vertices / 2, example().faces)
    path = write_mesh(half, tmp_path / "body.ply")
    assert trimesh.load(path).extents.max() == pytest.approx(0.8, abs=1e-5)


def test_bad_targets_teach(tmp_path):
    with pytest.raises(InputError, match=r"\.ply, \.obj"):
        write_mesh(example(), tmp_path / "body.fbx")
    with pytest.raises(InputError, match="end the name"):
        write_mesh(example(), tmp_path / "body")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="Cannot write"):
        write_mesh(example(), tmp_path / "file" / "body.ply")
    (tmp_path / "body.ply").mkdir()
    with pytest.raises(InputError, match="Cannot write"):
        write_mesh(example(), tmp_path / "body.ply")
    with pytest.raises(InputError, match="no faces"):
        write_mesh(TriangleMesh(torch.rand(3, 3), torch.zeros(0, 3, dtype=torch.int64)), tmp_path / "empty.ply")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["body.ply", "file"]


def test_a_failed_block_leaves_the_old_file_and_no_litter(tmp_path):
    target = tmp_path / "kept.txt"
    target.write_text("old")

    def fail() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_replaces_an_older_folder(tmp_path):
    for text in ("old", "new"):
        with replacing(tmp_path / "frames") as temporary:
            temporary.mkdir()
            (temporary / f"{text}.txt").write_text(text)
    assert [file.name for file in (tmp_path / "frames").iterdir()] == ["new.txt"]
    assert len(list(tmp_path.iterdir())) == 1
