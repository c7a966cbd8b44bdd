"""The fused kernel against its torch twin: roots, inverse Jacobians and gradients."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from avatars.deform.gradient import attach_gradient
from avatars.deform.roots import Roots, SearchOptions
from avatars.deform.sampled import SampledSkinning
from avatars.deform.search import search, search_twin
from avatars.deform.skinning import forward_skin
from tests.avatars.deform.cases import devices, gap_to_roots, offsets_on, person, poses, queries, surface_points

OPTIONS = SearchOptions()
PATIENT = SearchOptions(steps=50)
CAREFUL = SearchOptions(near=1e-2)
SAME = 1e-4
"""Roots nearer than this are the same (metres)."""


@pytest.fixture(scope="module", params=["compact", "compact and offsets", "full", "full and offsets"])
def case(request):
    rig, _, shifted = request.param.partition(" ")
    field = person(rig).field(poses(rig, 4), offsets=bool(shifted))
    posed, frame = queries(field, 3000, rig=rig)
    return field, posed, frame, search(posed, frame, field, OPTIONS), search_twin(posed, frame, field, PATIENT)


def upright(field, roots, frame):
    return torch.linalg.det(field.jacobian(roots.canonical, frame[roots.point])) > 0


def found_again(field, frame, roots, others):
    good = upright(field, roots, frame)
    return (gap_to_roots(roots.canonical, roots.point, others)[good] < SAME).float().mean()


def test_kernel_finds_the_roots_of_the_twin_and_no_others(case):
    field, posed, frame, kernel, twin = case
    assert len(kernel.canonical) > 1000
    assert found_again(field, frame, twin, kernel) >= 0.99
    assert found_again(field, frame, twin, search(posed, frame, field, CAREFUL)) >= 0.995
    assert found_again(field, frame, kernel, twin) >= 0.995


def test_residuals_are_below_the_tolerance(case):
    field, posed, frame, kernel, twin = case
    for roots in (kernel, twin):
        residual = forward_skin(field, roots.canonical, frame[roots.point]) - posed[roots.point]
        assert residual.norm(dim=1).max() <= 1.1 * OPTIONS.tolerance


def test_inverse_jacobians_are_the_field_s(case):
    field, _, frame, kernel, _ = case
    jacobian = field.jacobian(kernel.canonical, frame[kernel.point])
    sound = torch.linalg.det(jacobian).abs() > 0.1
    product = kernel.inverse_jacobian @ jacobian
    assert sound.float().mean() > 0.9
    assert torch.allclose(product[sound], torch.eye(3).expand(int(sound.sum()), 3, 3), atol=2e-3)


def test_roots_are_sorted_by_point_and_apart(case):
    _, posed, _, kernel, _ = case
    assert kernel.point_count == len(posed)
    assert (kernel.point.diff() >= 0).all()
    gaps = kernel.canonical.diff(dim=0).norm(dim=1)[kernel.point.diff() == 0]
    assert (gaps >= OPTIONS.separation).all()


@pytest.mark.parametrize("device", devices())
@pytest.mark.parametrize("offsets", [False, True])
def test_gradients_are_those_of_the_twin(device, offsets):
    single = person().field(poses("compact", 2), offsets, device)
    posed, frame = queries(single, 400)
    kernel = search(posed, frame, single, OPTIONS)
    gradients = []
    for dtype in (torch.float32, torch.float64):
        weights, bones = single.log_weights.to(dtype, copy=True), single.posed_from_canonical.to(dtype, copy=True)
        shifts = offsets_on(person().grid, 2).to(weights) if offsets else None
        inputs = [value.requires_grad_() for value in (weights, bones, shifts) if value is not None]
        field = SampledSkinning(person().grid, weights, bones, shifts)
        inputs.append(posed.to(dtype, copy=True).requires_grad_())
        roots = kernel
        if dtype == torch.float64:
            roots = search(inputs[-1].detach(), frame, field, SearchOptions(steps=100, tolerance=1e-9))
        regular = torch.linalg.det(field.jacobian(roots.canonical, frame[roots.point])) > 0.2
        both = kernel if dtype == torch.float64 else search(posed.double(), frame, *double(single))
        matched = gap_to_roots(roots.canonical, roots.point, both) < SAME
        attached = attach_gradient(roots, inputs[-1], frame, field)
        assert torch.equal(attached.detach(), roots.canonical)
        mix = torch.cos(3 * attached.detach()) * (regular & matched)[:, None]
        gradients.append(torch.autograd.grad((attached * mix).sum(), inputs))
    for fast, exact in zip(*gradients, strict=True):
        assert exact.abs().max() > 1e-3
        assert (fast - exact).norm() <= 2e-3 * exact.norm()


def double(field):
    shifts = None if field.offsets is None else field.offsets.double()
    wide = SampledSkinning(field.grid, field.log_weights.double(), field.posed_from_canonical.double(), shifts)
    return wide, SearchOptions(steps=100, tolerance=1e-9)


@pytest.mark.parametrize("device", devices())
def test_the_same_input_gives_the_same_bits(device):
    field = person().field(poses("compact", 3), offsets=True, device=device)
    posed, frame = queries(field, 2000)
    assert_equal(search(posed, frame, field, OPTIONS), search(posed, frame, field, OPTIONS))


def test_searches_of_two_threads_are_those_of_one():
    field = person().field(poses("compact", 3))
    inputs = [queries(field, 1500, seed) for seed in range(4)]
    alone = [search(posed, frame, field, OPTIONS) for posed, frame in inputs]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda some: search(*some, field, OPTIONS), inputs))
    for one, other in zip(alone, together, strict=True):
        assert_equal(one, other)


def test_a_point_s_roots_do_not_depend_on_its_company():
    field = person().field(poses("compact", 3))
    posed, frame = queries(field, 1200)
    together = search(posed, frame, field, OPTIONS)
    for some in (torch.arange(0, 1200, 7), torch.arange(1199, -1, -5), torch.tensor([11])):
        alone = search(posed[some], frame[some], field, OPTIONS)
        wanted = torch.cat([together.canonical[together.point == number] for number in some])
        assert torch.equal(alone.canonical, wanted)


def test_points_beyond_one_chunk_keep_their_numbers(monkeypatch):
    field = person().field(poses("compact", 2))
    posed, frame = queries(field, 1000)
    whole = search(posed, frame, field, OPTIONS)
    monkeypatch.setattr("avatars.deform.kernel_search.POINTS_AT_ONCE", 300)
    assert_equal(search(posed, frame, field, OPTIONS), whole)


def test_104_bones_lose_no_roots_that_24_have():
    share = []
    for rig in ("compact", "full"):
        field = person(rig).field(poses(rig, 4, scale=0.4))
        points, frame = surface_points(3000, 4)
        posed = forward_skin(field, points, frame)
        gaps = gap_to_roots(points, torch.arange(len(points)), search(posed, frame, field, OPTIONS))
        share.append((gaps < 1e-3).float().mean())
    assert min(share) >= 0.985
    assert share[1] >= share[0] - 0.003


@pytest.mark.parametrize("bones", [1, 25, 104])
def test_any_number_of_bones_may_weigh_the_same(bones):
    grid = person().grid
    field = SampledSkinning(grid, torch.zeros(grid.count, bones), torch.eye(4).expand(2, bones, 4, 4))
    points, frame = surface_points(100, 2)
    roots = search(points, frame, field, SearchOptions(least_influence=0))
    assert torch.equal(roots.point, torch.arange(100))
    assert torch.allclose(roots.canonical, points, atol=2e-5)


def assert_equal(one: Roots, other: Roots) -> None:
    assert torch.equal(one.point, other.point)
    assert torch.equal(one.canonical, other.canonical)
    assert torch.equal(one.inverse_jacobian, other.inverse_jacobian)
