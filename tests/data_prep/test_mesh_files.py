from pathlib import Path

import numpy as np
import pytest
import trimesh

from body_models.errors import InputError
from data_prep.mesh_files import read_meshes
from tests.shared_data import shared


def _sphere() -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=3)


@pytest.mark.parametrize("suffix", ["obj", "ply", "stl", "off", "glb", "gltf", "PLY"])
def test_every_format_keeps_the_surface(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"ball.{suffix}"
    if suffix == "gltf":
        for name, data in trimesh.Scene(_sphere()).export(file_type="gltf").items():
            (tmp_path / ("ball.gltf" if name.endswith(".gltf") else name)).write_bytes(data)
    else:
        path.write_bytes(_as_bytes(_sphere().export(file_type=suffix.lower())))
    (mesh,) = read_meshes(path)
    assert mesh.name == "ball"
    assert mesh.vertices.dtype == np.float64
    assert len(mesh.faces) == len(_sphere().faces)
    np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), np.ptp(_sphere().vertices, axis=0), atol=1e-5)


def _as_bytes(data: object) -> bytes:
    assert isinstance(data, str | bytes)
    return data.encode() if isinstance(data, str) else data


def test_scene_transforms_are_applied_and_parts_merged(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    scene.add_geometry(_sphere(), transform=trimesh.transformations.translation_matrix([0, 5, 0]))
    scene.add_geometry(_sphere(), transform=np.diag([2.0, 2, 2, 1]))
    scene.export(tmp_path / "two.glb")
    (mesh,) = read_meshes(tmp_path / "two.glb")
    assert len(mesh.faces) == 2 * len(_sphere().faces)
    np.testing.assert_allclose(mesh.vertices.max(0), [2, 6, 2], atol=0.05)
    np.testing.assert_allclose(mesh.vertices.min(0), [-2, -2, -2], atol=0.05)


def test_polygons_become_triangles(tmp_path: Path) -> None:
    (tmp_path / "quad.obj").write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\n")
    assert len(read_meshes(tmp_path / "quad.obj")[0].faces) == 2


def test_missing_material_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text("mtllib gone.mtl\nusemtl skin\nv 0 0 0\nv 1 0 0\nv 1 1 0\nf 1 2 3\n")
    assert len(read_meshes(tmp_path / "a.obj")[0].faces) == 1


@pytest.mark.parametrize("suffix", ["obj", "ply", "stl", "off", "glb"])
@pytest.mark.parametrize("share", [0.0, 0.4, 0.9])
def test_cut_files_are_refused_by_name(tmp_path: Path, suffix: str, share: float) -> None:
    data = _as_bytes(_sphere().export(file_type=suffix))
    cut = int(len(data) * share)
    while suffix == "obj" and data[cut - 1 : cut] == b"\n":
        cut -= 1
    (tmp_path / f"cut.{suffix}").write_bytes(data[:cut])
    with pytest.raises(InputError, match=rf"cut\.{suffix}"):
        read_meshes(tmp_path / f"cut.{suffix}")


def test_cut_text_ply_is_refused(tmp_path: Path) -> None:
    data = _as_bytes(_sphere().export(file_type="ply", encoding="ascii"))
    (tmp_path / "cut.ply").write_bytes(data[: int(len(data) * 0.9)])
    with pytest.raises(InputError, match="cut short"):
        read_meshes(tmp_path / "cut.ply")


@pytest.mark.parametrize("suffix", ["obj", "ply", "stl", "off", "glb", "gltf"])
@pytest.mark.parametrize("data", [b"Dear reader, this is a letter.\n" * 9, bytes(range(256)) * 9, b'{"a": 1}'])
def test_garbage_is_refused(tmp_path: Path, suffix: str, data: bytes) -> None:
    (tmp_path / f"garbage.{suffix}").write_bytes(data)
    with pytest.raises(InputError, match=rf"garbage\.{suffix}"):
        read_meshes(tmp_path / f"garbage.{suffix}")


def test_faces_beyond_the_vertices_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n")
    with pytest.raises(InputError, match="damaged"):
        read_meshes(tmp_path / "a.off")


def test_point_cloud_missing_file_format_and_frames(tmp_path: Path) -> None:
    trimesh.PointCloud(_sphere().vertices).export(tmp_path / "points.ply")
    (tmp_path / "a.fbx").write_bytes(b"x")
    with pytest.raises(InputError, match=r"points\.ply"):
        read_meshes(tmp_path / "points.ply")
    with pytest.raises(InputError, match="no file"):
        read_meshes(tmp_path / "none.ply")
    with pytest.raises(InputError, match="export it as"):
        read_meshes(tmp_path / "a.fbx")
    with pytest.raises(InputError, match="frames"):
        read_meshes(tmp_path / "points.ply", frames=0)


def test_huge_files_are_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "huge.ply").open("wb") as file:
        file.truncate(3 * 1024**3)  # sparse: takes no disk
    with pytest.raises(InputError, match="decimate"):
        read_meshes(tmp_path / "huge.ply")


def test_real_scan_matches_its_textured_copy() -> None:
    folder = shared("valid_black_m2")
    ply, glb = read_meshes(folder / "pose_00.ply")[0], read_meshes(folder / "rest_textured.glb")[0]
    np.testing.assert_allclose(ply.vertices.min(0), glb.vertices.min(0), atol=1e-4)
    np.testing.assert_allclose(ply.vertices.max(0), glb.vertices.max(0), atol=1e-4)
