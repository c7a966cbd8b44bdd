import numpy as np
import pytest
import torch
from skimage.measure import marching_cubes

from body_models import Body, load_anny
from data_prep.pockets import enclosed_space, full_scan, without_pockets
from data_prep.sampling import sample_near
from data_prep.scans import Scan, load_scans
from data_prep.surface import Surface
from tests.shared_data import shared

RADIUS, POCKET = 0.05, 0.02
CELL = 0.001


def ball(slit: float = 0.0, pocket: float = POCKET, tooth: float = 0.0) -> Surface:
    """A ball with a pocket in its middle, which a slit 4 cm long opens to the front (+Z), and a tooth in the pocket."""
    axis = np.arange(-RADIUS - 3 * CELL, RADIUS + 3 * CELL, CELL)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    away = np.sqrt(x**2 + y**2 + z**2)
    opening = np.maximum.reduce([np.abs(x) - 0.02, np.abs(y) - slit / 2, -z])
    empty = np.minimum(away - pocket, opening if slit else np.inf)
    distance = np.minimum(np.maximum(away - RADIUS, -empty), away - tooth if tooth else np.inf)
    vertices, faces, _, _ = marching_cubes(distance, 0.0, spacing=(CELL, CELL, CELL), gradient_direction="descent")
    return Surface(torch.from_numpy(vertices + axis[0]).float(), torch.from_numpy(faces.astype(np.int64)))


@pytest.fixture(scope="module")
def person() -> Body:
    return load_anny().body()


def places(count: int = 4000) -> torch.Tensor:
    """In and about the ball, but for the slit itself."""
    points = 0.13 * (torch.rand(count, 3, generator=torch.Generator().manual_seed(0)) - 0.5)
    return points[(points[:, 1].abs() > 0.01) | (points[:, 2] < 0)]


@pytest.mark.parametrize("slit", [0.0, 0.002])
def test_a_pocket_behind_a_narrow_slit_counts_as_inside(slit: float):
    surface = ball(slit)
    assert not surface.inside(torch.zeros(1, 3)).any()
    points = places()
    away = points.norm(dim=1)
    distance = without_pockets(surface).signed_distance(points)
    deep = away < RADIUS - 0.012
    assert (distance[deep] < -0.005).all(), "the pocket's walls are gone too"
    beyond = away > RADIUS + 0.002
    torch.testing.assert_close(distance[beyond], surface.signed_distance(points[beyond]), atol=1e-4, rtol=0)


def test_a_wide_opening_leaves_the_pocket_open():
    surface = ball(slit=0.014)
    assert without_pockets(surface) is surface
    assert len(enclosed_space(surface, places(200) / 3)) == 0


def test_what_lies_in_a_pocket_goes_with_its_walls():
    distance = without_pockets(ball(0.002, tooth=0.008)).signed_distance(places())
    assert (distance[places().norm(dim=1) < RADIUS - 0.012] < -0.005).all()


def test_a_narrow_pocket_and_a_full_ball_stay_as_they_are():
    for surface in (ball(0.002, pocket=0.004), ball(pocket=0.0)):
        assert without_pockets(surface) is surface


def test_a_surface_that_is_inside_out_stays_whole():
    surface = ball()
    turned = Surface(surface.vertices, surface.faces.flip(1))
    assert len(without_pockets(turned).faces) > 0


def test_faces_keep_their_order_and_winding():
    surface = ball(0.002)
    kept = without_pockets(surface)
    assert torch.equal(kept.vertices, surface.vertices)
    numbers = {tuple(face): number for number, face in enumerate(surface.faces.tolist())}
    order = [numbers[tuple(face)] for face in kept.faces.tolist()]
    assert order == sorted(order)


def test_a_scan_loses_the_vertices_of_its_pocket_too():
    surface = ball(0.002)
    full = full_scan(Scan("ball", surface.vertices.double().numpy(), surface.faces.numpy()))
    assert len(full.vertices) == len(np.unique(full.faces)) < len(surface.vertices)
    assert np.linalg.norm(full.vertices, axis=1).max() == pytest.approx(RADIUS, abs=CELL)
    corners = without_pockets(surface).vertices[without_pockets(surface).faces].numpy()
    np.testing.assert_allclose(full.vertices[full.faces], corners)


def test_a_body_loses_its_mouth_alone(person: Body):
    head = person.skinning_weights[:, person.skeleton.index("head")] > 0.5
    for lowered in (0.0, 1.2):  # arms as at rest, then close to the trunk
        pose = torch.zeros(len(person.skeleton), 3)
        pose[person.skeleton.index("left_shoulder"), 2] = -lowered
        pose[person.skeleton.index("right_shoulder"), 2] = lowered
        surface = Surface(person.pose_vertices(pose, torch.zeros(3)), person.faces)
        full = without_pockets(surface)
        gone = set(map(tuple, surface.faces.tolist())) - set(map(tuple, full.faces.tolist()))
        assert 500 < len(gone) < 3000
        assert head[torch.tensor(sorted(gone))].all()
        points = sample_near(full, 20_000, 0.01, torch.Generator().manual_seed(0))
        differs = full.inside(points) != surface.inside(points)
        assert differs.float().mean() < 0.005
        assert full.inside(points[differs]).all(), "nothing becomes outside"


def test_a_game_character_keeps_its_face_and_loses_its_mouth():
    scan = load_scans(shared("valid_black_m2") / "pose_00.ply").scans[0]
    surface = Surface(torch.from_numpy(scan.vertices).float(), torch.from_numpy(scan.faces))
    full = without_pockets(surface)
    assert 150e-4 < surface.face_areas.sum() - full.face_areas.sum() < 220e-4, "square metres of mouth"
    points = sample_near(full, 20_000, 0.004, torch.Generator().manual_seed(0))
    same = (full.signed_distance(points) - surface.signed_distance(points)).abs() < 1e-3
    assert same.float().mean() > 0.995
