"""Several people's forward skinning at once: roots come back, and people alike move as the mean does."""

import pytest
import torch

from avatars.deform.gradient import attach_gradient
from avatars.deform.people import search_people
from avatars.deform.roots import SearchOptions
from avatars.deform.skinning import forward_skin
from tests.avatars.small_body import small_body, small_poses
from tests.avatars.small_prior import small_prior

PEOPLE = 3
STEP = 1e-3


@pytest.fixture(scope="module")
def case():
    """A model whose codes change weights, people of different builds in poses, and points about their bodies."""
    model = small_prior().model
    kept = model.weights.patterns.detach().clone()
    generator = torch.Generator().manual_seed(0)
    model.weights.patterns.data += 0.05 * torch.randn(kept.shape, generator=generator)
    codes = 0.5 * torch.randn(PEOPLE, 4, generator=generator)
    betas = torch.randn(PEOPLE, 3, generator=generator)
    field = model.skinning(codes, betas, small_poses(PEOPLE), torch.zeros(PEOPLE, 3))
    canonical = small_body().canonical()
    some = torch.randint(len(canonical), (300,), generator=generator)
    yield model, field, canonical[some], torch.arange(300) % PEOPLE
    model.weights.patterns.data.copy_(kept)


def test_a_search_finds_what_was_carried(case):
    _, field, canonical, frame = case
    posed = forward_skin(field, canonical, frame)
    roots = search_people(posed, frame, field, SearchOptions())
    missed = (forward_skin(field, roots.canonical, frame[roots.point]) - posed[roots.point]).norm(dim=1)
    assert missed.median() < 1e-5
    assert missed.quantile(0.95) < 1e-3, "the chord method ends at the person's own weights"
    distance = (roots.canonical - canonical[roots.point]).norm(dim=1)
    nearest = torch.full((300,), 9.0).scatter_reduce(0, roots.point, distance, "amin")
    assert (nearest < 2e-3).float().mean() > 0.97


def test_people_alike_are_carried_as_by_the_mean(case):
    model, _, canonical, frame = case
    betas = torch.zeros(PEOPLE, 3)
    field = model.skinning(torch.zeros(PEOPLE, 4), betas, small_poses(PEOPLE), torch.zeros(PEOPLE, 3))
    own, mean = forward_skin(field, canonical, frame), forward_skin(field.mean, canonical, frame)
    assert torch.allclose(own, mean, atol=1e-4)


def test_the_jacobian_is_that_of_finite_differences(case):
    _, field, canonical, frame = case
    jacobian = field.jacobian(canonical, frame)
    for axis in range(3):
        step = STEP * torch.eye(3)[axis]
        ahead, behind = (forward_skin(field, canonical + s, frame) for s in (step, -step))
        error = ((ahead - behind) / (2 * STEP) - jacobian[:, :, axis]).norm(dim=1)
        assert error.median() < 5e-3


def test_gradients_reach_codes_builds_and_poses(case):
    model, _, canonical, frame = case
    codes = torch.zeros(PEOPLE, 4, requires_grad=True)
    betas = torch.zeros(PEOPLE, 3, requires_grad=True)
    pose = small_poses(PEOPLE).requires_grad_()
    field = model.skinning(codes, betas, pose, torch.zeros(PEOPLE, 3))
    posed = forward_skin(field, canonical, frame).detach()
    roots = search_people(posed, frame, field, SearchOptions())
    found = attach_gradient(roots, posed, frame, field)
    assert torch.allclose(found, roots.canonical, atol=1e-6), "the gradient changes no values"
    found.square().sum().backward()
    for name, value in {"codes": codes, "betas": betas, "pose": pose}.items():
        assert value.grad is not None, name
        assert value.grad.isfinite().all(), name
        assert value.grad.abs().sum() > 0, name
