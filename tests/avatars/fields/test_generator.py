import pytest
import torch

from avatars.fields.generator import AdaptiveNorm, VolumeGenerator, grid_of_shape
from body_models import InputError

LOWER, UPPER = torch.tensor([-1.0, -1.2, -0.25]), torch.tensor([1.0, 0.8, 0.25])


def small(**sizes) -> VolumeGenerator:
    torch.manual_seed(0)
    return VolumeGenerator(LOWER, UPPER, **({"code": 4, "channels": (8, 6, 5), "start": (4, 4, 2)} | sizes))


def test_adaptive_norm_gives_channels_the_statistics_that_the_code_tells():
    norm = AdaptiveNorm(4, 3)
    codes = torch.randn(2, 4)
    out = norm(5 + 3 * torch.randn(2, 3, 6, 7, 8), codes).flatten(2)
    mean, spread = norm.linear(codes).chunk(2, dim=1)
    assert torch.allclose(out.mean(2), mean, atol=1e-4)
    assert torch.allclose(out.std(2, correction=0), spread.abs(), atol=1e-4)


def test_paper_sizes():
    paper = VolumeGenerator(LOWER, UPPER)
    assert paper.grid.shape == (64, 64, 16)
    assert paper.channels == 64
    assert 1.30e6 < sum(p.numel() for p in paper.parameters()) < 1.33e6


def test_grid_covers_the_box():
    made = small()
    assert made.grid.shape == (16, 16, 8)
    assert bool(made.grid.contains(torch.stack([LOWER, UPPER]) * 0.9999).all())


def test_reads_its_own_nodes():
    made, codes = small(), torch.randn(2, 4)
    some = torch.tensor([0, 77, 1030])
    subject = torch.tensor([0, 1, 1])
    at_nodes = made(made.grid.nodes()[some], subject, codes)
    volume = made.volumes(codes).flatten(2)
    assert torch.allclose(at_nodes, volume[subject, :, some], atol=1e-4)


def test_subjects_do_not_mix_and_codes_matter():
    made, codes = small(), torch.randn(2, 4)
    both = made.tables(codes).unflatten(0, (2, -1))
    assert torch.allclose(both[1], made.tables(codes[1:]), atol=1e-5)
    assert not torch.allclose(both[0], both[1], atol=1e-2)


def test_gradients_reach_everything():
    made, codes = small(), torch.randn(2, 4, requires_grad=True)
    made(torch.rand(50, 3) - 0.5, torch.randint(2, (50,)), codes).square().sum().backward()
    assert all(p.grad is not None and float(p.grad.norm()) > 0 for p in [codes, *made.parameters()])


def test_impossible_sizes_are_told():
    with pytest.raises(InputError, match="from 1"):
        small(channels=(8,))
    with pytest.raises(InputError, match="from 1"):
        small(start=(0, 4, 2))
    with pytest.raises(InputError, match="with a size"):
        grid_of_shape(UPPER, LOWER, (4, 4, 4))
