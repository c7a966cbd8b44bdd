import pytest
import torch

from avatars.fields.grid import GridSpec
from avatars.fields.occupancy import GridOccupancy, MlpOccupancy, PoseCode
from avatars.fields.patches import PatchedGrid

BASE = PatchedGrid((GridSpec((-0.5, -0.5, -0.5), 0.25, (5, 5, 5)),))
FEATURES = [(GridSpec((-0.5, -0.5, -0.5), 0.5, (3, 3, 3)), 4)]
BONES = 3


def grid_occupancy(code=0):
    torch.manual_seed(0)
    return GridOccupancy(BASE, FEATURES, BONES, width=8, code=code)


def test_start_from_comes_back_at_the_nodes():
    field = grid_occupancy()
    logits = torch.randn(BASE.count, generator=torch.Generator().manual_seed(1))
    field.start_from(logits)
    assert torch.allclose(field(BASE.nodes()), logits, atol=1e-5)


def test_a_fresh_residual_is_silent_for_every_pose_yet_trains():
    field = grid_occupancy(code=2)
    points = torch.rand(10, 3) - 0.5
    codes = torch.randn(2, 10, 2)
    assert torch.equal(field(points, codes[0]), field(points, codes[1]))
    (field(points, codes[0]) - 1).square().sum().backward()
    assert field.base.grad.abs().max() > 0
    assert field.decoder[-1].weight.grad.abs().max() > 0


def test_pose_code_leaves_out_the_root():
    code = PoseCode(BONES, 5)
    pose = torch.randn(2, BONES, 3, generator=torch.Generator().manual_seed(0))
    turned = pose.clone()
    turned[:, 0] += 1.0
    assert code(pose).shape == (2, 5)
    assert torch.equal(code(pose), code(turned))
    bent = pose.clone()
    bent[:, 1] += 1.0
    assert not torch.allclose(code(pose), code(bent))


@pytest.mark.parametrize("make", [grid_occupancy, lambda code: MlpOccupancy(BONES, 16, 5, 2, code)])
def test_no_code_means_no_pose_network(make):
    field = make(code=0)
    assert field.pose_code is None
    assert field(torch.rand(4, 3)).shape == (4,)
    assert field(torch.zeros(0, 3)).shape == (0,)


def test_mlp_occupancy_starts_with_a_person_sized_blob_and_trains():
    torch.manual_seed(0)
    field = MlpOccupancy(BONES, code=0)
    assert field(torch.zeros(1, 3)) > 0
    assert field(torch.tensor([[0.0, 3.0, 0.0]])) < 0
    field(torch.rand(4, 3)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in field.parameters())


@pytest.mark.parametrize("make", [grid_occupancy, lambda code: MlpOccupancy(BONES, 16, 5, 2, code)])
def test_gradient_by_points_and_code(make):
    field = make(code=2).double()
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, dtype=torch.float64))
    points = (torch.rand(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.47) * 0.9
    code = torch.randn(3, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(field, (points.requires_grad_(), code.requires_grad_()))
