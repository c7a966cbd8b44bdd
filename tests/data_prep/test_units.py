from typing import Any

import numpy as np
import pytest
import trimesh
from jaxtyping import Float

from body_models.errors import InputError
from data_prep.mesh_files import RawMesh, read_meshes
from data_prep.units import METRES_PER_UNIT, YUP_FROM, apply_frame, detect_frame
from tests.shared_data import shared


def _heading(degrees: float) -> Float[np.ndarray, "3 3"]:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _figure(arms: float = 0.5, height: float = 1.75) -> RawMesh:
    """Legs, trunk, arms held out and head as boxes, feet at 0: metres, Y up."""
    boxes = [
        ((0.14, 0.85, 0.2), (0.1, 0.425, 0)),
        ((0.14, 0.85, 0.2), (-0.1, 0.425, 0)),
        ((0.4, 0.6, 0.2), (0, 1.15, 0)),
    ]
    boxes += [((arms, 0.1, 0.1), (0, 1.4, 0)), ((0.16, 0.25, 0.2), (0, 1.6, 0))]
    parts = [trimesh.creation.box(size, trimesh.transformations.translation_matrix(at)) for size, at in boxes]
    joined: Any = trimesh.util.concatenate([part.subdivide().subdivide().subdivide() for part in parts])
    return RawMesh("figure", np.array(joined.vertices) * height / 1.725, np.array(joined.faces, np.int64))


def _moved(mesh: RawMesh, scale: float, rotation: Float[np.ndarray, "3 3"]) -> RawMesh:
    return RawMesh(mesh.name, scale * mesh.vertices @ rotation.T, mesh.faces)


@pytest.mark.parametrize("unit", ["m", "dm", "cm", "mm", "in"])
@pytest.mark.parametrize("axis", ["y", "z"])
@pytest.mark.parametrize("heading", [0, 90])
@pytest.mark.parametrize("arms", [0.5, 1.75])
def test_unit_and_axis_come_back(unit: str, axis: str, heading: float, arms: float) -> None:
    figure = _figure(arms)
    moved = _moved(figure, 1 / METRES_PER_UNIT[unit], YUP_FROM[axis].T @ _heading(heading))
    frame = detect_frame([moved])
    back = apply_frame(frame, moved.vertices)
    np.testing.assert_allclose(back, figure.vertices @ _heading(heading).T, atol=1e-9)
    assert frame.notes[0].startswith("unit: taken as")


@pytest.mark.parametrize("axis", list(YUP_FROM))
def test_given_unit_and_axis_are_obeyed(axis: str) -> None:
    figure = _figure()
    frame = detect_frame([figure], unit="mm", up=axis)
    assert frame.scale_to_metres == 0.001
    np.testing.assert_array_equal(frame.rotation, YUP_FROM[axis])
    assert np.linalg.det(frame.rotation) == pytest.approx(1)


@pytest.mark.parametrize("axis", ["y", "z"])
def test_upside_down_is_turned_or_at_least_said(axis: str) -> None:
    figure, reversed_axis = _figure(arms=1.75), YUP_FROM[f"-{axis}"].T
    moved = _moved(figure, 1.0, reversed_axis)
    back = apply_frame(detect_frame([moved]), moved.vertices)
    np.testing.assert_allclose(back, figure.vertices, atol=1e-9)
    doubtful = detect_frame([_moved(_figure(arms=0.9), 1.0, reversed_axis)])
    np.testing.assert_array_equal(doubtful.rotation, YUP_FROM[axis])
    assert any("may be upside down" in note for note in doubtful.notes)


def test_doubt_keeps_y_up_and_says_so() -> None:
    ball = trimesh.creation.icosphere(subdivisions=2)
    frame = detect_frame([RawMesh("ball", np.array(ball.vertices), np.array(ball.faces, np.int64))])
    np.testing.assert_array_equal(frame.rotation, np.eye(3))
    assert any("unsure" in note for note in frame.notes)
    lying = _moved(_figure(), 1.0, np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]))
    frame = detect_frame([lying])
    np.testing.assert_array_equal(frame.rotation, np.eye(3))
    assert any("longest along X" in note for note in frame.notes)


@pytest.mark.parametrize("extent", [0.01, 0.4, 5.0, 40.0, 9000.0])
def test_no_unit_fits_so_a_height_is_assumed_and_said(extent: float) -> None:
    figure = _moved(_figure(height=1.0), extent, np.eye(3))
    frame = detect_frame([figure])
    assert np.ptp(apply_frame(frame, figure.vertices), axis=0).max() == pytest.approx(1.7)
    assert "unknown" in frame.notes[0]


def test_centimetres_against_inches_is_said() -> None:
    assert "both possible" in detect_frame([_moved(_figure(), 1 / 0.0254, np.eye(3))]).notes[0]
    assert "both possible" not in detect_frame([_moved(_figure(), 100.0, np.eye(3))]).notes[0]


def test_scans_in_different_units_are_said() -> None:
    notes = detect_frame([_figure(), _moved(_figure(), 100.0, np.eye(3))]).notes
    assert any("different units" in note for note in notes)


def test_unknown_words_and_no_scans_are_errors() -> None:
    with pytest.raises(InputError, match="feet"):
        detect_frame([_figure()], unit="feet")
    with pytest.raises(InputError, match="'x'"):
        detect_frame([_figure()], up="x")
    with pytest.raises(InputError, match="no scans"):
        detect_frame([])


@pytest.mark.parametrize("unit", ["m", "cm", "mm"])
@pytest.mark.parametrize("axis", list(YUP_FROM))
def test_real_poses_come_back_from_any_scanner(unit: str, axis: str) -> None:
    scans = [read_meshes(path)[0] for path in sorted(shared("valid_black_m2").glob("pose_*.ply"))]
    turn = YUP_FROM[axis].T @ _heading(35)
    moved = [_moved(scan, 1 / METRES_PER_UNIT[unit], turn) for scan in scans]
    frame = detect_frame(moved)
    for scan, other in zip(scans, moved, strict=True):
        np.testing.assert_allclose(apply_frame(frame, other.vertices), scan.vertices @ _heading(35).T, atol=1e-3)


@pytest.mark.parametrize("axis", list(YUP_FROM))
def test_single_real_poses_are_right_or_unsure(axis: str) -> None:
    for path in sorted(shared("valid_black_m2").glob("pose_*.ply")):
        frame = detect_frame([_moved(read_meshes(path)[0], 1.0, YUP_FROM[axis].T)])
        unsure = any("unsure" in note or "may be upside down" in note for note in frame.notes)
        assert unsure or np.allclose(frame.rotation, YUP_FROM[axis]), path.name
