import pytest
import torch

from avatars.fit.discriminator import Discriminator, DiscriminatorOptions, EqualConv, halved, with_spread
from body_models import InputError

SMALL = DiscriminatorOptions(16, (4, 6, 8))


def small(seed: int = 0) -> Discriminator:
    torch.manual_seed(seed)
    return Discriminator(SMALL)


def test_gives_one_logit_a_picture_and_repeats_itself():
    pictures = torch.rand(3, 3, 16, 16)
    logits = small()(pictures)
    assert logits.shape == (3,)
    assert torch.equal(small()(pictures), logits)
    assert not torch.equal(small(1)(pictures), logits)


def test_blur_keeps_flat_pictures_and_takes_stripes_away():
    assert torch.allclose(halved(torch.full((2, 3, 8, 8), 0.7))[:, :, 1:-1, 1:-1], torch.full((2, 3, 2, 2), 0.7))
    stripes = torch.tensor([1.0, -1.0]).repeat(4).expand(1, 1, 8, 8)
    assert float(halved(stripes)[:, :, 1:-1, 1:-1].abs().max()) < 1e-6


def test_convolutions_keep_the_variance_at_first():
    torch.manual_seed(0)
    out = EqualConv(32, 64, 3)(torch.randn(4, 32, 24, 24))
    assert float(out.detach()[:, :, 1:-1, 1:-1].std()) == pytest.approx(1.0, abs=0.1)


def test_spread_is_zero_for_pictures_that_are_alike_and_known_for_others():
    alike = torch.rand(1, 5, 4, 4).expand(4, -1, -1, -1)
    assert float(with_spread(alike)[:, 5].max()) < 1e-3
    apart = torch.tensor([0.0, 2.0])[:, None, None, None].expand(-1, 5, 4, 4)
    assert torch.allclose(with_spread(apart)[:, 5], torch.ones(2, 4, 4), atol=1e-4)
    assert torch.allclose(with_spread(torch.rand(5, 5, 4, 4))[:, 5], torch.full((5, 4, 4), 1e-4))


def test_has_second_derivatives():
    net = small().double()
    pictures = torch.rand(2, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(net(pictures).sum(), pictures, create_graph=True)
    slope.square().sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in net.parameters() if p.grad is not None)
    assert float(net.first.weight.grad.norm()) > 0


def test_learns_to_tell_white_from_black():
    net = small()
    pictures = torch.cat([torch.ones(4, 3, 16, 16), torch.zeros(4, 3, 16, 16)])
    labels = torch.tensor([1.0] * 4 + [0.0] * 4)
    optimiser = torch.optim.Adam(net.parameters(), 2e-3, betas=(0.0, 0.99))
    for _ in range(30):
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(net(pictures), labels).backward()
        optimiser.step()
    assert bool(((net(pictures) > 0) == (labels > 0)).all())


def test_impossible_sizes_are_told():
    assert DiscriminatorOptions(256, (64, 128, 256, 512, 512, 512, 512)).last == 4, "those of gDNA's public code"
    with pytest.raises(InputError, match="cannot be halved"):
        DiscriminatorOptions(100, (4, 4, 4, 4))
    with pytest.raises(InputError, match="cannot be halved"):
        DiscriminatorOptions(16, (4, 4, 4, 4))
    with pytest.raises(InputError, match="widths"):
        DiscriminatorOptions(16, (4, 0))
