"""People of a prior: drawn, rigged, posed and turned into avatars."""

import pytest
import torch
import trimesh

from body_models import InputError, load_anny
from data_prep.surface import Surface
from tests.avatars.small_body import small_body, small_poses
from tests.avatars.small_prior import small_prior

RESOLUTION = 96


@pytest.fixture(scope="module")
def person():
    prior = small_prior()
    return prior.person(betas=torch.tensor([-1.0, 0.5, 0.3]))


def test_the_surface_is_closed_and_faces_outward(person):
    surface = person.surface(RESOLUTION)
    mesh = trimesh.Trimesh(surface.vertices.numpy(), surface.faces.numpy(), process=False)
    assert mesh.is_watertight
    assert mesh.volume > 0.02
    assert torch.allclose(surface.normals.norm(dim=1), torch.ones(len(surface.normals)), atol=1e-4)
    assert torch.allclose(surface.weights.sum(1), torch.ones(len(surface.weights)), atol=1e-5)


def test_the_rigged_mesh_is_the_body_of_that_build(person):
    rigged, body = person.body(RESOLUTION), load_anny().body(person.betas)
    assert torch.allclose(rigged.joints, body.joints, atol=1e-5)
    distance = Surface(body.vertices, body.faces).closest(rigged.vertices).distance
    assert distance.median() < 0.012, "a coarse, untrained prior is the naked body"


def test_a_pose_moves_it_as_the_body(person):
    pose = small_poses(1)[0]
    posed, body = person.mesh(pose, resolution=RESOLUTION), load_anny().body(person.betas)
    truth = Surface(body.pose_vertices(pose, torch.zeros(3)), body.faces)
    assert truth.closest(posed.vertices).distance.median() < 0.015
    moved = person.mesh(pose, torch.tensor([1.0, 2.0, 3.0]), resolution=RESOLUTION)
    assert torch.allclose(moved.vertices - posed.vertices, torch.tensor([1.0, 2.0, 3.0]), atol=1e-4)


def test_without_a_pose_it_stands_in_the_canonical_one(person):
    still = person.mesh(resolution=RESOLUTION)
    posed = person.mesh(small_body().canonical_pose, resolution=RESOLUTION)
    assert torch.allclose(still.vertices, posed.vertices)


def test_an_avatar_of_its_own(person):
    avatar = person.avatar("anna", RESOLUTION)
    assert avatar.info.names == ("anna",)
    pose = small_poses(1)[0]
    own = avatar.pose(pose, torch.zeros(3)).skinned_mesh(RESOLUTION)
    drawn = person.mesh(pose, resolution=RESOLUTION)
    distance = Surface(drawn.vertices, drawn.faces).closest(own.vertices).distance
    assert distance.median() < 0.01


def test_the_same_seed_draws_the_same_people_however_many():
    prior = small_prior()
    two, four = prior.sample(2, seed=5), prior.sample(4, seed=5)
    assert all(torch.equal(a.shape, b.shape) for a, b in zip(two, four[:2], strict=True))
    assert all(torch.equal(a.betas, b.betas) for a, b in zip(two, four[:2], strict=True))
    assert not torch.equal(four[2].shape, four[3].shape)
    assert not torch.equal(two[0].shape, prior.sample(1, seed=6)[0].shape)


def test_what_is_given_stays():
    prior = small_prior()
    shape = torch.arange(4.0)
    drawn = prior.sample(3, seed=1, shape=shape)
    assert all(torch.equal(person.shape, shape) for person in drawn)
    assert not torch.equal(drawn[0].detail, drawn[1].detail)
    typical = prior.sample(3, seed=1, truncation=0.0)
    assert torch.allclose(typical[0].betas, prior.betas.mean)


def test_interpolation_ends_where_it_should():
    prior = small_prior()
    start, end = prior.sample(2, seed=2)
    row = prior.interpolate(start, end, 5)
    assert len(row) == 5
    assert torch.allclose(row[0].shape, start.shape)
    assert torch.allclose(row[-1].betas, end.betas)
    assert torch.allclose(row[2].detail, 0.5 * (start.detail + end.detail), atol=1e-6)


@pytest.mark.parametrize("part", ["shape", "detail", "betas"])
def test_codes_that_do_not_fit(part):
    with pytest.raises(InputError, match="has 9 numbers"):
        small_prior().person(**{part: torch.zeros(9)})
    length = {"shape": 4, "detail": 4, "betas": 3}[part]
    with pytest.raises(InputError, match="not finite"):
        small_prior().person(**{part: torch.full((length,), torch.inf)})


def test_nobody_cannot_be_drawn():
    with pytest.raises(InputError, match="1 or more"):
        small_prior().sample(0)
