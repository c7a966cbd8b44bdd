import math

import pytest
import torch
from torch import nn

from avatars.fit.adversarial import (
    AdversarialOptions,
    adversarial_losses,
    deception_loss,
    gradient_penalty,
    judging_loss,
)
from avatars.fit.discriminator import Discriminator, DiscriminatorOptions
from body_models import InputError


class Linear(nn.Module):
    """A discriminator with a known gradient: the inner product with a picture."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((3, 4, 4), value))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return (pictures * self.weight).sum((1, 2, 3))


def small() -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(DiscriminatorOptions(8, (4, 4)))


def test_penalty_of_a_linear_discriminator_is_its_squared_norm():
    linear = Linear(0.5)
    penalty = gradient_penalty(linear, torch.rand(3, 3, 4, 4), gamma=10.0)
    assert penalty.item() == pytest.approx(5.0 * 0.25 * 48, rel=1e-5)
    penalty.backward()
    assert torch.allclose(linear.weight.grad, 10.0 * linear.weight.detach())


def test_losses_of_an_undecided_discriminator():
    linear, pictures = Linear(0.0), torch.rand(2, 3, 4, 4)
    assert deception_loss(linear, pictures).item() == pytest.approx(math.log(2))
    assert judging_loss(linear, pictures, pictures).item() == pytest.approx(2 * math.log(2))


def test_deception_moves_pictures_only():
    net, fake = small(), torch.rand(4, 3, 8, 8, requires_grad=True)
    deception_loss(net, fake).backward()
    assert float(fake.grad.norm()) > 0
    assert all(p.grad is None for p in net.parameters())


def test_judging_and_penalty_move_the_discriminator_only():
    net, fake, real = small(), torch.rand(4, 3, 8, 8, requires_grad=True), torch.rand(4, 3, 8, 8, requires_grad=True)
    (judging_loss(net, fake, real) + gradient_penalty(net, real, 10.0)).backward()
    assert fake.grad is None
    assert real.grad is None
    assert all(p.grad is not None for p in net.parameters())


def test_one_sum_gives_everyone_their_own_gradients():
    net, fake, real = small(), torch.rand(4, 3, 8, 8, requires_grad=True), torch.rand(4, 3, 8, 8)
    terms = adversarial_losses(net, fake, real, 0, AdversarialOptions())
    torch.stack(list(terms.values())).sum().backward()
    together = [fake.grad, *(p.grad for p in net.parameters())]
    own = [torch.autograd.grad(deception_loss(net, fake), fake)[0]]
    judged = judging_loss(net, fake, real) + 16 * gradient_penalty(net, real, 10.0)
    own += torch.autograd.grad(judged, list(net.parameters()))
    for one, other in zip(together, own, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_penalty_comes_every_so_many_steps():
    net, pictures = small(), torch.rand(4, 3, 8, 8)
    options = AdversarialOptions(penalty_every=4)
    steps = [step for step in range(9) if "penalty" in adversarial_losses(net, pictures, pictures, step, options)]
    assert steps == [0, 4, 8]
    assert "penalty" not in adversarial_losses(net, pictures, pictures, 0, AdversarialOptions(gamma=0.0))


def test_impossible_options_are_told():
    with pytest.raises(InputError, match="penalty_every"):
        AdversarialOptions(penalty_every=0)
    with pytest.raises(InputError, match="gamma"):
        AdversarialOptions(gamma=-1.0)
