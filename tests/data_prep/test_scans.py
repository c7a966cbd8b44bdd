from pathlib import Path

import numpy as np
import pytest
import trimesh

from body_models.errors import InputError
from data_prep import load_scans
from tests.shared_data import shared


def _person(height: float = 1.75) -> trimesh.Trimesh:
    person = trimesh.creation.icosphere(subdivisions=3)
    person.apply_scale(np.array([0.3, 0.5, 0.15]) * height)
    person.apply_translation([0, 0.5 * height, 0])
    return person


def test_natural_order_and_quiet_neighbours(tmp_path: Path) -> None:
    for name in ("scan10", "scan2", "scan1"):
        _person().export(tmp_path / f"{name}.ply")
    for name in ("notes.txt", "poses.npz", "readme.md", "a.mtl", "a.png", "a.json", ".hidden.ply"):
        (tmp_path / name).write_bytes(b"whatever")
    (tmp_path / "sub").mkdir()
    _person().export(tmp_path / "sub" / "deeper.ply")
    folder = load_scans(tmp_path)
    assert [scan.name for scan in folder.scans] == ["scan1", "scan2", "scan10"]
    assert folder.skipped == []


def test_broken_files_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    person = _person()
    person.export(tmp_path / "good.ply")
    (tmp_path / "cut.ply").write_bytes((tmp_path / "good.ply").read_bytes()[:3000])
    (tmp_path / "garbage.obj").write_text("this is no mesh\n")
    (tmp_path / "triangle.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    (tmp_path / "points.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n")
    (tmp_path / "model.fbx").write_bytes(b"x")
    broken = person.copy()
    broken.vertices[::3] = np.nan
    trimesh.Trimesh(broken.vertices, person.faces, process=False).export(tmp_path / "nan.ply")
    other = person.copy()
    other.apply_translation([1.5, 0, 0])
    trimesh.util.concatenate([person, other]).export(tmp_path / "pair.stl")
    folder = load_scans(tmp_path)
    assert [scan.name for scan in folder.scans] == ["good"]
    reasons = dict(folder.skipped)
    assert set(reasons) == {
        "cut.ply",
        "garbage.obj",
        "triangle.obj",
        "points.obj",
        "model.fbx",
        "nan.ply",
        "pair.stl",
    }
    assert "two people" in reasons["pair.stl"]
    assert "not finite" in reasons["nan.ply"]


def test_mixed_formats_agree_and_are_said(tmp_path: Path) -> None:
    for suffix in ("obj", "ply", "stl", "off", "glb"):
        _person().export(tmp_path / f"scan.{suffix}")
    folder = load_scans(tmp_path)
    assert any("mixed formats" in note for note in folder.notes)
    assert len({scan.name for scan in folder.scans}) == 5
    for scan in folder.scans:
        assert scan.vertices.dtype == np.float64
        np.testing.assert_allclose(np.ptp(scan.vertices, axis=0), _person().extents, atol=1e-5)


def test_gltf_keeps_its_own_frame_beside_z_up_millimetres(tmp_path: Path) -> None:
    _person().export(tmp_path / "a.glb")
    turned = _person()
    turned.apply_transform(1000 * trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
    turned.export(tmp_path / "b.ply")
    for unit, up in (("auto", "auto"), ("mm", "z")):
        for scan in load_scans(tmp_path, unit=unit, up=up).scans:
            np.testing.assert_allclose(np.ptp(scan.vertices, axis=0), _person().extents, atol=1e-5)


def test_one_file_a_pattern_and_given_unit(tmp_path: Path) -> None:
    _person(175).export(tmp_path / "pose_1.ply")
    _person(175).export(tmp_path / "pose_2.ply")
    _person(175).export(tmp_path / "other.ply")
    assert [scan.name for scan in load_scans(tmp_path / "other.ply").scans] == ["other"]
    folder = load_scans(str(tmp_path / "pose_*.ply"), unit="mm")
    assert [scan.name for scan in folder.scans] == ["pose_1", "pose_2"]
    assert np.ptp(folder.scans[0].vertices[:, 1]) == pytest.approx(0.175)


def test_nothing_usable_lists_reasons_and_formats(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no scans in .*OBJ, PLY"):
        load_scans(tmp_path)
    with pytest.raises(InputError, match="no scans in"):
        load_scans(str(tmp_path / "*.ply"))
    with pytest.raises(InputError, match="no file or folder"):
        load_scans(tmp_path / "gone")
    (tmp_path / "a.obj").write_text("garbage")
    with pytest.raises(InputError, match=r"(?s)OBJ, PLY.*a\.obj: "):
        load_scans(tmp_path)
    with pytest.raises(InputError, match="frames"):
        load_scans(tmp_path, frames=0)


def test_real_folder_and_animated_file() -> None:
    folder = load_scans(str(shared("valid_black_m2") / "pose_*.ply"))
    assert len(folder.scans) == 13
    assert folder.skipped == []
    assert np.ptp(folder.scans[0].vertices[:, 1]) == pytest.approx(1.787, abs=1e-3)
    walk = load_scans(shared("rigged_cesium_man") / "CesiumMan.glb", frames=4)
    assert [scan.name for scan in walk.scans] == [f"CesiumMan_frame_{index:02d}" for index in range(4)]


def test_reasons_do_not_repeat_the_name(tmp_path: Path) -> None:
    _person().export(tmp_path / "good.ply")
    (tmp_path / "tri.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    (tmp_path / "empty.ply").touch()
    reasons = dict(load_scans(tmp_path).skipped)
    assert set(reasons) == {"tri.obj", "empty.ply"}
    assert not any(reason.startswith(("tri", "empty")) for reason in reasons.values())


def test_nothing_usable_names_every_file(tmp_path: Path) -> None:
    (tmp_path / "tri.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    (tmp_path / "body.fbx").write_bytes(b"x")
    with pytest.raises(InputError, match=r"(?s)body\.fbx: this format.*tri\.obj: only 1"):
        load_scans(tmp_path)


def test_an_empty_path_is_refused():
    with pytest.raises(InputError, match="path is empty"):
        load_scans("")
