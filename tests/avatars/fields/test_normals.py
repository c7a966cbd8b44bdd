import math

import pytest
import torch
from torch.nn.functional import normalize

from avatars.fields.eigen_volumes import EigenVolumes
from avatars.fields.generator import VolumeGenerator
from avatars.fields.grid import GridSpec
from avatars.fields.normals import GridNormals, MlpNormals, NormalField, fuse_normals

GRID = GridSpec((-0.5, -0.5, -0.5), 0.25, (5, 5, 5))
BOX = torch.tensor([[-0.5, -0.5, -0.5], [0.5, 0.5, 0.5]])


def grid_normals(generated: bool = False) -> GridNormals:
    torch.manual_seed(0)
    volume = (
        VolumeGenerator(*BOX, 4, (6, 5), (3, 3, 3)) if generated else EigenVolumes(GRID, torch.arange(125), 4, 3, 0.1)
    )
    return GridNormals(volume, [(GRID, 4)], feature_size=6, width=16)


def mlp_normals() -> MlpNormals:
    torch.manual_seed(0)
    return MlpNormals(4, 6, width=40, depth=4, octaves=2)


def some(count: int = 40) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    coarse = normalize(torch.randn(count, 3), dim=1)
    return torch.rand(count, 3) - 0.5, torch.randint(2, (count,)), torch.randn(2, 4), coarse, torch.randn(count, 6)


def loosened(field: torch.nn.Module) -> torch.nn.Module:
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return field


@pytest.mark.parametrize("make", [grid_normals, lambda: grid_normals(True), mlp_normals])
def test_normals_are_unit_and_differ_by_subject(make):
    field = loosened(make())
    assert isinstance(field, NormalField)
    points, subject, codes, coarse, feature = some()
    normals = field(points, subject, codes, coarse, feature)
    assert torch.allclose(normals.norm(dim=1), torch.ones(40), atol=1e-5)
    other = field(points, 1 - subject, codes, coarse, feature)
    assert float((normals - other).detach().norm(dim=1).mean()) > 1e-3
    assert torch.allclose(field(points, 1 - subject, codes.flip(0), coarse, feature), normals, atol=1e-5)


@pytest.mark.parametrize("make", [grid_normals, mlp_normals])
def test_gradients_reach_codes_and_parameters(make):
    field = loosened(make())
    points, subject, codes, coarse, feature = some()
    codes.requires_grad_()
    field(points, subject, codes, coarse, feature)[:, 0].sum().backward()
    for value in (codes, *field.parameters()):
        assert value.grad is not None
        assert float(value.grad.norm()) > 0


def test_grids_begin_at_the_coarse_normal():
    points, subject, codes, coarse, feature = some()
    assert torch.allclose(grid_normals()(points, subject, codes, coarse, feature), coarse, atol=1e-6)


def test_paper_size():
    paper = MlpNormals(64, 229)
    assert 0.52e6 < sum(p.numel() for p in paper.parameters()) < 0.55e6
    points = torch.rand(3, 3)
    out = paper(points, torch.zeros(3, dtype=torch.long), torch.zeros(1, 64), points, torch.randn(3, 229))
    assert torch.allclose(out.norm(dim=1), torch.ones(3), atol=1e-5)


def test_fused_normals_are_fine_where_both_agree_and_coarse_where_not():
    coarse = torch.tensor([[0.0, 0.0, 1.0]])
    assert torch.allclose(fuse_normals(coarse, coarse), coarse)
    assert torch.allclose(fuse_normals(coarse, -coarse), coarse, atol=1e-4)
    tilted = torch.tensor([[math.sin(0.2), 0.0, math.cos(0.2)]])
    assert float((fuse_normals(coarse, tilted) * tilted).sum()) > 0.9999
    aside = torch.tensor([[1.0, 0.0, 0.0]])
    fused = fuse_normals(coarse, aside)
    assert torch.allclose(fused.norm(dim=1), torch.ones(1))
    assert float(fused[0, 2]) > 0.99
