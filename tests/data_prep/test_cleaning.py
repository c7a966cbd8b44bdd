from typing import Any

import numpy as np
import pytest
import trimesh
from jaxtyping import Int

from body_models.errors import InputError
from data_prep.cleaning import clean, count_people
from data_prep.mesh_files import RawMesh, read_meshes
from tests.shared_data import shared


def _raw(mesh: Any) -> RawMesh:
    return RawMesh("scan", np.array(mesh.vertices, np.float64), np.array(mesh.faces, np.int64))


def _ball(radius: float = 1.0, at: tuple[float, float, float] = (0, 0, 0)) -> trimesh.Trimesh:
    ball = trimesh.creation.icosphere(subdivisions=3, radius=radius)
    ball.apply_translation(at)
    return ball


def _person(at: float = 0.0) -> trimesh.Trimesh:
    person = _ball()
    person.apply_scale([0.25, 0.9, 0.15])
    person.apply_translation([at, 0.9, 0])
    return person


def _join(*parts: trimesh.Trimesh) -> RawMesh:
    return _raw(trimesh.util.concatenate(parts))


def _volume(mesh: RawMesh) -> float:
    return float(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).volume)


def _corner_sets(mesh: RawMesh) -> set[tuple[int, ...]]:
    return {tuple(np.roll(face, -int(np.argmin(face)))) for face in mesh.faces}


def test_a_clean_mesh_stays() -> None:
    mesh, notes = clean(_raw(_ball()))
    assert notes == []
    assert (len(mesh.vertices), len(mesh.faces)) == (len(_ball().vertices), len(_ball().faces))
    again, _ = clean(mesh)
    np.testing.assert_array_equal(again.faces, mesh.faces)


def test_a_vertex_per_corner_is_merged() -> None:
    ball = _ball()
    soup = RawMesh("scan", ball.vertices[ball.faces].reshape(-1, 3), np.arange(ball.faces.size).reshape(-1, 3))
    mesh, notes = clean(soup)
    assert len(mesh.vertices) == len(ball.vertices)
    assert "merged" in notes[0]


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_flipped_faces_are_turned_back(share: float) -> None:
    raw = _raw(_ball())
    wrong = np.random.default_rng(0).random(len(raw.faces)) < share
    faces = np.where(wrong[:, None], raw.faces[:, ::-1], raw.faces)
    mesh, notes = clean(RawMesh("scan", raw.vertices, faces))
    assert notes
    assert _corner_sets(mesh) == _corner_sets(clean(raw)[0])


def test_a_cavity_stays_inward_but_a_part_beside_is_turned() -> None:
    cavity, beside = _ball(0.4), _ball(0.2, at=(1.4, 0, 0))
    cavity.invert()
    beside.invert()
    mesh, _ = clean(_join(_ball(), cavity, beside))
    expected = _ball().volume - cavity.volume * -1 + _ball(0.2).volume
    assert _volume(mesh) == pytest.approx(expected)


def test_bad_faces_and_floaters_go() -> None:
    raw = _join(_ball(), _ball(0.02, at=(3, 0, 0)))
    junk: Int[np.ndarray, "face 3"] = np.array([[0, 0, 1], raw.faces[5], raw.faces[7][::-1]])
    mesh, notes = clean(RawMesh("scan", raw.vertices, np.concatenate([raw.faces, junk])))
    assert len(mesh.faces) == len(_ball().faces)
    assert any("3 degenerate or duplicate" in note for note in notes)
    assert any("floating" in note for note in notes)


def test_a_small_part_near_the_body_stays() -> None:
    raw = _join(_ball(), _ball(0.02, at=(1.04, 0, 0)))
    assert len(clean(raw)[0].faces) == len(raw.faces)


def test_few_broken_vertices_go_with_their_faces_and_many_are_an_error() -> None:
    raw = _raw(_ball())
    vertices = raw.vertices.copy()
    vertices[3] = np.nan
    mesh, notes = clean(RawMesh("scan", vertices, raw.faces))
    assert np.isfinite(mesh.vertices).all()
    assert "1 vertices" in " ".join(notes)
    vertices[:50, 1] = np.inf
    with pytest.raises(InputError, match="not finite"):
        clean(RawMesh("scan", vertices, raw.faces))


@pytest.mark.parametrize("count", [0, 1, 99])
def test_hardly_any_faces_is_no_scan(count: int) -> None:
    raw = _raw(_ball())
    with pytest.raises(InputError, match=f"only {count} sound faces"):
        clean(RawMesh("scan", raw.vertices, raw.faces[:count]))


@pytest.mark.parametrize("size", [(0, 0, 0), (1, 0, 0), (1, 1, 0)])
def test_no_extent_is_no_scan(size: tuple[float, float, float]) -> None:
    raw = _raw(_ball())
    with pytest.raises(InputError, match="flat or without extent"):
        clean(RawMesh("scan", raw.vertices * np.array(size, np.float64), raw.faces))


@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 2, 1), (2, 1, 0)])
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_two_people_are_an_error(axes: tuple[int, int, int], scale: float) -> None:
    raw = _join(_person(), _person(at=1.0))
    both = RawMesh("pair", scale * raw.vertices[:, axes], raw.faces)
    with pytest.raises(InputError, match="pair: seems to hold two people"):
        clean(both)


def test_one_person_in_many_pieces_is_one() -> None:
    person = _raw(_person())
    bands = np.floor(person.vertices[person.faces].mean(1)[:, 1] / 0.3).astype(int)
    pieces = [person.vertices[person.faces[bands == band]].reshape(-1, 3) for band in np.unique(bands)]
    vertices = np.concatenate(pieces)
    faces = np.arange(len(vertices)).reshape(-1, 3)
    assert count_people(vertices, faces) == 1
    top_and_trousers = person.faces[bands != 3]
    assert count_people(person.vertices, top_and_trousers) == 1


def test_real_scans_pass_and_two_of_them_do_not() -> None:
    paths = sorted(shared("valid_black_m2").glob("pose_*.ply"))
    scans = [read_meshes(path)[0] for path in paths]
    for scan in scans:
        mesh, _ = clean(scan)
        assert len(mesh.faces) == len(scan.faces)
        assert len(mesh.vertices) < len(scan.vertices)
        assert _volume(mesh) > 0
    a, b = scans[1], scans[2]
    both = np.concatenate([a.vertices, b.vertices + np.array([1.0, 0, 0])])
    with pytest.raises(InputError, match="two people"):
        clean(RawMesh("pair", both, np.concatenate([a.faces, b.faces + len(a.vertices)])))
