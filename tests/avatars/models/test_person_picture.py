"""Pictures of people of a prior: the traced surface shows what its mesh shows, with normals of its own."""

import copy
import math

import pytest
import torch
from torch.nn.functional import normalize

import avatars.models.person_picture as person_picture
from avatars.deform.roots import SearchOptions
from avatars.deform.search import search
from avatars.deform.skinning import forward_skin
from avatars.fields.normals import fuse_normals
from avatars.models.gdna import posed_normals
from avatars.models.person import Person
from avatars.models.person_picture import view_normals
from body_models import InputError
from data_prep.camera import look_at
from data_prep.orthographic import orthographic_view
from data_prep.surface import Surface
from tests.avatars.small_body import small_body, small_poses
from tests.avatars.small_prior import small_prior

SIZE = 72
PLACE = torch.tensor([0.4, -0.2, 0.7])


@pytest.fixture(scope="module")
def person():
    """With wrinkles: the small prior's own details are the coarse normals."""
    model = copy.deepcopy(small_prior().model)
    torch.manual_seed(1)
    torch.nn.init.normal_(model.normals.decoder[-1].weight, std=0.3)
    return Person(model, torch.zeros(4), torch.ones(4), torch.tensor([-1.0, 0.5, 0.3]), "anny")


@pytest.fixture(scope="module")
def posed(person):
    return person.pose(small_poses(1)[0], PLACE)


def perspective():
    return look_at(PLACE + torch.tensor([1.5, 0.6, 3.0]), PLACE, torch.tensor([0.0, 1.0, 0.0]), 40.0, SIZE, SIZE)


def cameras(posed):
    return {"perspective": perspective(), "orthographic": posed.view(0.6, SIZE)}


@pytest.mark.parametrize("kind", ["perspective", "orthographic"])
def test_it_shows_what_the_posed_mesh_shows(posed, kind):
    camera = cameras(posed)[kind]
    picture, mesh = posed.render(camera, details=False), posed.mesh(160, details=False)
    surface = Surface(mesh.vertices, mesh.faces)
    origins, directions = (rays.reshape(-1, 3).contiguous() for rays in camera.rays())
    hits = surface.cast(origins, directions)
    seen, there = hits.face >= 0, picture.mask.reshape(-1) > 0
    assert there.sum() > 200
    assert (seen & there).sum() / (seen | there).sum() > 0.97
    both = seen & there
    normals = normalize(surface.interpolate(surface.vertex_normals, hits.face[both], hits.barycentric[both]), dim=1)
    cosines = (normals * picture.normal.reshape(-1, 3)[both]).sum(1)
    assert cosines.median() > math.cos(math.radians(6))
    depth = (hits.distance * (directions @ camera.camera_from_world[2, :3]))[both]
    missed = (depth - picture.depth.reshape(-1)[both]).abs()
    assert missed.median() < 1.5e-3, "metres"
    assert missed.quantile(0.95) < 0.02


def test_from_far_away_perspective_vanishes(posed):
    centre, half, far = PLACE, 1.1, 300.0
    eye, up = centre + torch.tensor([0.0, 0.0, far]), torch.tensor([0.0, 1.0, 0.0])
    camera = look_at(eye, centre, up, math.degrees(2 * math.atan(half / far)), SIZE, SIZE)
    distant, level = posed.render(camera), posed.render(orthographic_view(centre, 0.0, half, SIZE, SIZE))
    both = (distant.mask > 0) & (level.mask > 0)
    assert (distant.mask != level.mask).sum() < 0.02 * both.sum()
    assert (distant.normal[both] * level.normal[both]).sum(1).median() > math.cos(math.radians(1))
    assert ((distant.depth - far) - (level.depth - 4 * half))[both].abs().median() < 2e-3


def test_details_change_normals_only(posed):
    plain, detailed = (posed.render(perspective(), details) for details in (False, True))
    assert torch.equal(plain.mask, detailed.mask)
    assert torch.equal(plain.depth, detailed.depth)
    seen = plain.mask > 0
    cosines = (plain.normal[seen] * detailed.normal[seen]).sum(1)
    assert cosines.median() < 0.999
    assert not torch.allclose(plain.rgb[seen], detailed.rgb[seen], atol=0.01), "wrinkles shade"


def test_shown_normals_are_the_fused_ones_posed(person, posed):
    points = person.surface(64, details=False).vertices[::40]
    frame, model = torch.zeros(len(points)).long(), person.model
    shape = model.shape(person.shape[None])
    coarse = model.coarse_normals(points, frame, shape)
    fine = model.detail_normals(points, frame, shape, person.detail[None])
    skinning = person.skinning(posed.rotation, posed.translation)
    truth = posed_normals(fuse_normals(coarse, fine), points, frame, skinning)
    assert torch.allclose(posed._surface.normals(points), truth, atol=1e-4)


def test_background_has_no_surface(posed):
    picture = posed.render(perspective(), background=0.25)
    nothing = picture.mask == 0
    assert picture.depth[nothing].isinf().all()
    assert (picture.normal[nothing] == 0).all()
    assert (picture.rgb[nothing] == 0.25).all()
    assert picture.depth[~nothing].isfinite().all()
    lengths = picture.normal[~nothing].norm(dim=1)
    assert torch.allclose(lengths, torch.ones_like(lengths), atol=1e-4)


def test_normal_maps_are_in_the_cameras_frame(person):
    still = person.pose(small_body().canonical_pose, PLACE)
    for yaw in (0.0, 2.0):
        camera = still.view(yaw, SIZE)
        shown = still.normal_map(camera, details=False)
        seen = shown.norm(dim=2) > 0
        assert (shown[seen][:, 2] > -0.2).all(), "what is seen faces the viewer"
        assert shown[seen][:, 2].mean() > 0.5
        assert torch.allclose(view_normals(still.render(camera, False).normal, camera), shown)
    rows, columns = seen.nonzero().unbind(1)
    assert shown[rows.min(), columns[rows.argmin()], 1] > 0.3, "the top of the head faces up"


def test_any_size_and_number_of_rays_at_once(posed, monkeypatch):
    camera = orthographic_view(PLACE, 0.2, 0.9, 50, 31)
    whole = posed.render(camera)
    assert whole.normal.shape == (31, 50, 3)
    monkeypatch.setattr(person_picture, "RAYS_AT_ONCE", 333)
    monkeypatch.setattr(person_picture, "POINTS_AT_ONCE", 100)
    parts = posed.render(camera)
    assert torch.equal(parts.mask, whole.mask)
    assert torch.allclose(parts.normal, whole.normal, atol=1e-3)


def test_nobody_in_the_picture(posed):
    picture = posed.render(orthographic_view(PLACE + 50.0, 0.0, 0.5, 5, 4))
    assert picture.mask.sum() == 0
    assert picture.depth.isinf().all()


def test_a_persons_field_is_its_skinning_on_a_grid(person):
    someone = Person(person.model, torch.full((4,), 0.5), person.detail, person.betas, "anny")
    exact = someone.skinning(small_poses(1)[0], PLACE)
    sampled = someone.field(small_poses(1)[0], PLACE)
    points = someone.surface(64, details=False).vertices[::20]
    frame = torch.zeros(len(points)).long()
    posed = forward_skin(sampled, points, frame)
    assert (posed - forward_skin(exact, points, frame)).norm(dim=1).median() < 1e-3, "patterns lie on another grid here"
    roots = search(posed, frame, sampled, SearchOptions())
    distance = (roots.canonical - points[roots.point]).norm(dim=1)
    nearest = torch.full((len(points),), torch.inf).scatter_reduce(0, roots.point, distance, "amin")
    assert (nearest < 1e-3).float().mean() > 0.97


def test_poses_that_do_not_fit(person):
    with pytest.raises(InputError, match="24 joints"):
        person.pose(torch.zeros(22, 3))
    with pytest.raises(InputError, match="not finite"):
        person.pose(torch.full((24, 3), torch.nan))
    with pytest.raises(InputError, match="not finite"):
        person.pose(torch.zeros(24, 3), torch.tensor([0.0, torch.inf, 0.0]))
