"""The implicit gradient of the roots against finite differences of the search itself."""

from dataclasses import replace

import pytest
import torch

from avatars.deform.search import Bones, attach_gradient, search
from avatars.deform.skinning import forward_skin
from avatars.fields.weights import GridSkinning
from tests.avatars.deform.cases import TIGHT, body_bones, body_weights, surface_points
from tests.avatars.small_body import small_body, small_poses

STEP = 1e-6


def double_body():
    body = small_body()
    names = ("vertices", "skinning_weights", "joints", "canonical_pose")
    return replace(body, **{name: getattr(body, name).double() for name in names})


class Case:
    """Some posed points with everything that their roots depend on, in double precision."""

    def __init__(self):
        self.body = double_body()
        self.weights = body_weights(0.06).double()
        bones = body_bones()
        self.bones = Bones(bones.heads.double(), bones.tails.double(), bones.bone)
        points, self.frame = surface_points(40, 2, seed=4)
        self.inputs = {
            "logits": self.weights.logits.detach().clone(),
            "pose": small_poses(2, seed=4).double(),
            "translation": torch.tensor([[0.1, 0.2, -0.3], [0.0, 0.5, 0.2]], dtype=torch.float64),
        }
        self.inputs["posed"] = forward_skin(self.field(self.inputs), points.double(), self.frame)
        self.roots = self.find(self.inputs)
        generator = torch.Generator().manual_seed(0)
        self.mix = torch.randn(self.roots.canonical.shape, generator=generator, dtype=torch.float64)

    def field(self, inputs):
        """The field of given inputs; its logits take the place of the module's parameter."""
        del self.weights.logits
        self.weights.logits = inputs["logits"]
        transforms = self.body.posed_from_canonical(inputs["pose"], inputs["translation"])
        return GridSkinning(self.weights, transforms)

    def find(self, inputs):
        return search(inputs["posed"], self.frame, self.field(inputs), self.bones, TIGHT)

    def value(self, inputs):
        """A number made of the roots, found anew for inputs that moved a little."""
        return (self.find(inputs).canonical * self.mix).sum()


@pytest.fixture(scope="module")
def case():
    return Case()


@pytest.fixture(scope="module")
def attached(case):
    inputs = {name: value.clone().requires_grad_() for name, value in case.inputs.items()}
    point = case.roots.point
    roots = attach_gradient(case.roots.canonical, inputs["posed"][point], case.frame[point], case.field(inputs))
    gradients = torch.autograd.grad((roots * case.mix).sum(), list(inputs.values()))
    return roots, dict(zip(inputs, gradients, strict=True))


def test_values_do_not_change(case, attached):
    assert torch.equal(attached[0].detach(), case.roots.canonical)


@pytest.mark.parametrize("name", ["logits", "pose", "translation", "posed"])
def test_gradient_equals_finite_differences(case, attached, name):
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        direction = torch.randn(case.inputs[name].shape, generator=generator, dtype=torch.float64)
        moved = [{**case.inputs, name: case.inputs[name] + sign * STEP * direction} for sign in (1, -1)]
        counts = {len(case.find(inputs).canonical) for inputs in moved}
        assert counts == {len(case.roots.canonical)}
        numeric = (case.value(moved[0]) - case.value(moved[1])) / (2 * STEP)
        analytic = (attached[1][name] * direction).sum()
        assert analytic.abs() > 1e-3
        assert torch.allclose(analytic, numeric, rtol=1e-3, atol=1e-3)


def test_no_roots_have_no_gradient(case):
    inputs = {name: value.clone().requires_grad_() for name, value in case.inputs.items()}
    nothing = torch.zeros(0, 3, dtype=torch.float64)
    roots = attach_gradient(nothing, inputs["posed"][:0], case.frame[:0], case.field(inputs))
    assert roots.shape == (0, 3)
    roots.sum().backward()
    assert inputs["posed"].grad is not None
