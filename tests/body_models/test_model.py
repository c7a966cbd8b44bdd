import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from body_models import InputError
from body_models.landmarks import Landmarks
from body_models.licensed.assemble import FAMILIES, assemble, to_tensors
from body_models.model import BodyModel, HandSpace
from tests.body_models.licensed.official_arrays import official_arrays

VERTICES, SHAPES, EXPRESSIONS, COMPONENTS = 7, 3, 2, 4
COMPILED = """
import torch
from body_models.licensed.assemble import assemble, to_tensors
from tests.body_models.licensed.official_arrays import official_arrays

model = assemble(to_tensors(official_arrays("flame"), "flame", "file"), "flame", "neutral")
body = model.body()
pose, shift, expression = 0.3 * torch.randn(4, 5, 3), torch.randn(4, 3), torch.randn(4, 10)
compiled = torch.compile(body.pose_vertices, fullgraph=True, backend="aot_eager")
for kept in (False, True):
    given = [tensor.clone().requires_grad_(kept) for tensor in (pose, shift, expression)]
    found = compiled(*given)
    assert torch.allclose(found, body.pose_vertices(pose, shift, expression), atol=1e-5)
found.square().sum().backward()
assert all(tensor.grad.isfinite().all() for tensor in given)
"""


def small_model(family: str, dtype: torch.dtype = torch.float64) -> BodyModel:
    """A model of a family with few vertices and components."""
    arrays = official_arrays(family, components=20 if FAMILIES[family].has_expression else 10)
    model = assemble(to_tensors(arrays, family, "file"), family, "neutral").to(dtype)
    keep = torch.arange(VERTICES) * 500
    hands = model.hands and HandSpace(model.hands.mean, model.hands.components[:, :COMPONENTS])
    return replace(
        model,
        template=model.template[keep],
        skinning_weights=model.skinning_weights[keep],
        faces=torch.zeros(0, 3, dtype=torch.long),
        shape_basis=model.shape_basis[:SHAPES, keep],
        shape_basis_joints=model.shape_basis_joints[:SHAPES],
        expression_basis=model.expression_basis[:EXPRESSIONS, keep],
        expression_basis_joints=model.expression_basis_joints[:EXPRESSIONS],
        pose_basis=model.pose_basis[:, keep],
        landmarks=Landmarks(("middle",), torch.tensor([[0, 1, 2]]), torch.full((1, 3), 1 / 3)).to(dtype),
        hands=hands,
    )


def random_values(model, *batch, leave_out=(), scale=0.4):
    generator = torch.Generator().manual_seed(0)
    return {
        name: scale * torch.randn(*batch, parameter.size, generator=generator, dtype=model.template.dtype)
        for name, parameter in model.parameters.items()
        if not name.endswith(leave_out) and parameter.size > 0
    }


@pytest.mark.parametrize(("family", "leave_out"), [("smplx", "_pca"), ("smplh", "_hand_pose"), ("flame", "_pca")])
def test_gradients_of_every_parameter(family, leave_out):
    model = small_model(family)
    values = random_values(model, leave_out=(leave_out,))
    names, inputs = list(values), [value.requires_grad_() for value in values.values()]

    def outputs(*given):
        posed = model.posed(dict(zip(names, given, strict=True)))
        return posed.vertices, posed.joints, model.landmarks.on(posed.vertices)

    assert torch.autograd.gradcheck(outputs, inputs)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_nothing_given_is_the_template(family):
    model = small_model(family)
    posed = model.posed({})
    assert torch.allclose(posed.vertices, model.template)
    assert torch.allclose(posed.joints, model.template_joints)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_an_identity_prepared_once_is_posed_alike(family):
    model = small_model(family)
    values = random_values(model, 2, leave_out=("_pca",))
    values["betas"] = values["betas"][0]
    body = model.body(values["betas"])
    pose = model.pose(values)
    together = model.posed(values)
    found = body.pose_vertices(pose, values["transl"], values.get("expression"))
    assert torch.allclose(found, together.vertices)
    assert torch.allclose(body.pose_joints(pose, values["transl"], values.get("expression")), together.joints)


def test_parameters_of_different_batches_are_broadcast():
    model = small_model("smplx")
    one, many = random_values(model, leave_out=("_pca",)), random_values(model, 3, leave_out=("_pca",))
    for name in one:
        posed = model.posed(one | {name: many[name]})
        alone = model.posed(one | {name: many[name][1]})
        assert torch.allclose(posed.vertices.expand(3, -1, -1)[1], alone.vertices)
        assert torch.allclose(posed.joints.expand(3, -1, -1)[1], alone.joints)
    for name in one:
        posed = model.posed({name: many[name]})
        assert torch.allclose(posed.vertices.expand(3, -1, -1)[2], model.posed({name: many[name][2]}).vertices)


def test_hand_components_are_about_the_mean():
    model = small_model("smplh")
    zero = model.pose({"left_hand_pca": torch.zeros(2, dtype=torch.float64)})
    left = list(model.parameters["left_hand_pose"].joints)
    assert torch.allclose(zero[left].flatten(), model.hands.mean[0])
    both = {"left_hand_pca": torch.zeros(2), "left_hand_pose": torch.zeros(45)}
    with pytest.raises(InputError, match="not both"):
        model.pose(both)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"body_pose": torch.zeros(2, 71)}, "'body_pose' for smpl_neutral has 71 numbers.*expected 69"),
        ({"body_pose": torch.zeros(72)}, "'body_pose' for smpl_neutral has 72 numbers.*expected 69"),
        ({"transl": torch.tensor(1.0)}, "'transl' for smpl_neutral has 0 numbers"),
        ({"betas": torch.zeros(11)}, "'betas' for smpl_neutral has 11 numbers.*at most 3"),
        ({"global_orient": torch.tensor([0.0, float("nan"), 0.0])}, r"'global_orient'.*not finite.*index \[1\]"),
        ({"body_pos": torch.zeros(69)}, "no parameter 'body_pos'. Did you mean 'body_pose'"),
        ({"jaw_pose": torch.zeros(3)}, "smpl_neutral has no parameter 'jaw_pose'"),
        ({"transl": torch.zeros(3, dtype=torch.long)}, "floating-point"),
    ],
)
def test_unusable_values_are_named(values, words):
    with pytest.raises(InputError, match=words):
        small_model("smpl").posed(values)


def test_precision_and_device_move_everything():
    model = small_model("smplx")
    moved = model.to(torch.float32).to("cpu")
    assert moved.hands.mean.dtype == moved.landmarks.weights.dtype == moved.pose_basis.dtype == torch.float32
    values = random_values(moved, leave_out=("_pca",))
    assert torch.allclose(moved.posed(values).vertices.double(), model.posed(values).vertices, atol=1e-5)


def test_posing_compiles_whole():
    """In a process without the import hook, whose run-time checks cannot be compiled."""
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
