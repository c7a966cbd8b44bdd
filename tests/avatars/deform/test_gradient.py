"""The implicit gradient of the roots against finite differences of the search itself."""

import pytest
import torch

from avatars.deform.gradient import attach_gradient, polish
from avatars.deform.roots import Roots, SearchOptions
from avatars.deform.sampled import SampledSkinning
from avatars.deform.search import search
from avatars.deform.skinning import forward_skin
from tests.avatars.deform.cases import TIGHT, devices, offsets_on, person, poses, surface_points

STEP = 1e-6
NAMES = ("log_weights", "offsets", "bones", "posed")


class Case:
    """Some posed points with everything that their roots depend on, in double precision."""

    def __init__(self, count=40):
        self.grid = person().grid
        points, self.frame = surface_points(count, 2, seed=4)
        self.inputs = {
            "log_weights": person().log_weights.double(),
            "offsets": offsets_on(self.grid, 2).double(),
            "bones": person().transforms(poses("compact", 2, seed=4)).double(),
        }
        self.inputs["posed"] = forward_skin(self.field(self.inputs), points.double(), self.frame)
        roots = self.find(self.inputs)
        self.roots = chosen(roots, torch.linalg.det(self.jacobian(roots)) > 0.2)
        generator = torch.Generator().manual_seed(0)
        self.mix = torch.randn(self.roots.canonical.shape, generator=generator, dtype=torch.float64)

    def field(self, inputs):
        return SampledSkinning(self.grid, inputs["log_weights"], inputs["bones"], inputs["offsets"])

    def jacobian(self, roots):
        return self.field(self.inputs).jacobian(roots.canonical, self.frame[roots.point])

    def find(self, inputs):
        return search(inputs["posed"], self.frame, self.field(inputs), TIGHT)

    def value(self, inputs):
        """A number made of the roots, found anew for inputs that moved a little."""
        moved = self.find(inputs)
        gaps = torch.cdist(self.roots.canonical, moved.canonical)
        gaps = gaps + 10.0 * (self.roots.point[:, None] != moved.point)
        assert gaps.amin(1).max() < 1e-3
        return (moved.canonical[gaps.argmin(1)] * self.mix).sum()


def chosen(roots, keep):
    return Roots(roots.canonical[keep], roots.point[keep], roots.point_count)


@pytest.fixture(scope="module")
def case():
    return Case()


@pytest.fixture(scope="module")
def attached(case):
    inputs = {name: value.clone().requires_grad_() for name, value in case.inputs.items()}
    roots = attach_gradient(case.roots, inputs["posed"], case.frame, case.field(inputs))
    gradients = torch.autograd.grad((roots * case.mix).sum(), list(inputs.values()))
    return roots, dict(zip(inputs, gradients, strict=True))


def test_values_do_not_change(case, attached):
    assert torch.equal(attached[0].detach(), case.roots.canonical)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_equals_finite_differences(case, attached, name):
    generator = torch.Generator().manual_seed(1)
    scale = 0.1 if name == "bones" else 1.0
    for _ in range(3):
        direction = scale * torch.randn(case.inputs[name].shape, generator=generator, dtype=torch.float64)
        if name == "bones":
            direction[:, :, 3] = 0
        moved = [{**case.inputs, name: case.inputs[name] + sign * STEP * direction} for sign in (1, -1)]
        numeric = (case.value(moved[0]) - case.value(moved[1])) / (2 * STEP)
        analytic = (attached[1][name] * direction).sum()
        assert analytic.abs() > 1e-4
        assert torch.allclose(analytic, numeric, rtol=2e-3, atol=2e-3)


def test_gradcheck_by_the_posed_points():
    case = Case(3)

    def roots_of(posed):
        field = case.field(case.inputs)
        found = search(posed.detach(), case.frame, field, TIGHT)
        return attach_gradient(found, posed, case.frame, field)

    assert torch.autograd.gradcheck(roots_of, case.inputs["posed"].requires_grad_(), eps=1e-6, atol=1e-3, rtol=1e-3)


def test_no_roots_have_no_gradient(case):
    inputs = {name: value.clone().requires_grad_() for name, value in case.inputs.items()}
    nothing = chosen(case.roots, torch.zeros(len(case.roots.point), dtype=torch.bool))
    roots = attach_gradient(nothing, inputs["posed"], case.frame, case.field(inputs))
    assert roots.shape == (0, 3)
    roots.sum().backward()
    assert inputs["posed"].grad is not None
    assert inputs["posed"].grad.abs().max() == 0


@pytest.mark.parametrize("origin", ["bare", "polished", "searched"])
def test_a_degenerate_root_passes_no_gradient_on(origin):
    bones = torch.eye(4).repeat(1, 24, 1, 1)
    bones[:, :, 0, 0] = 0.0
    field = SampledSkinning(person().grid, person().log_weights, bones)
    points, frame = surface_points(5, 1)
    posed = forward_skin(field, points, frame).requires_grad_()
    roots = Roots(points, torch.arange(5), 5)
    if origin == "polished":
        roots = polish(roots, posed.detach(), frame, field)
    if origin == "searched":
        flat, folded = field.posed_from_canonical, torch.eye(4).repeat(1, 24, 1, 1)
        folded[:, 1:, 0, 0] = 0.0
        folded[:, 0] *= torch.tensor([1e-4, 1.0, 1.0, 1.0])[:, None]
        field = SampledSkinning(field.grid, field.log_weights, folded)
        posed = forward_skin(field, points, frame).detach().requires_grad_()
        roots = search(posed.detach(), frame, field, SearchOptions(least_influence=0))
        assert len(roots.point) == 5
        assert flat.shape == folded.shape
    attach_gradient(roots, posed, frame, field).sum().backward()
    assert torch.equal(posed.grad, torch.zeros(5, 3))


@pytest.mark.parametrize("device", devices())
def test_polish_lands_on_the_field_s_own_roots(device):
    field = person().field(poses("compact", 2), device=device)
    points, frame = (value.to(device) for value in surface_points(300, 2))
    posed = forward_skin(field, points, frame)
    roots = search(posed, frame, field, SearchOptions())
    moved = Roots(roots.canonical + 5e-4, roots.point, roots.point_count)
    better = polish(moved, posed, frame, field)
    before = (forward_skin(field, moved.canonical, frame[roots.point]) - posed[roots.point]).norm(dim=1)
    after = (forward_skin(field, better.canonical, frame[roots.point]) - posed[roots.point]).norm(dim=1)
    assert (after <= before + 1e-6).all()
    assert after.median() < 2e-5
