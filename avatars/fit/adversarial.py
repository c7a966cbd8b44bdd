"""Losses of a discriminator and of what it judges, to be minimised together by one optimiser."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from avatars.fit.options import check_range

Pictures = Float[Tensor, "picture 3 row column"]


@dataclass(frozen=True)
class AdversarialOptions:
    """How a discriminator is trained."""

    weight: float = 1.0
    """Of the loss of what is judged; 0 leaves the discriminator out."""
    gamma: float = 10.0
    """Of the penalty on the discriminator's gradient at real pictures (R1)."""
    penalty_every: int = 16
    """Steps from one penalty to the next, each then this many times as strong."""
    betas: tuple[float, float] = (0.0, 0.99)
    """Adam's, for the discriminator."""

    def __post_init__(self) -> None:
        check_range("adversarial: weight", self.weight, 0.0)
        check_range("adversarial: gamma", self.gamma, 0.0)
        check_range("adversarial: penalty_every", self.penalty_every, 1)
        for beta in self.betas:
            check_range("adversarial: betas", beta, 0.0, 0.9999)


def adversarial_losses(
    discriminator: nn.Module, fake: Pictures, real: Pictures, step: int, options: AdversarialOptions
) -> dict[str, Tensor]:
    """The terms of a step: what is judged gets gradients from the first alone, the discriminator from the others.

    Source: non-saturating loss of Goodfellow et al., 2014, as in gDNA, CVPR 2022, section 3.4.
    """
    terms = {
        "adversarial": options.weight * deception_loss(discriminator, fake),
        "discriminator": judging_loss(discriminator, fake, real),
    }
    if options.gamma > 0 and step % options.penalty_every == 0:
        terms["penalty"] = options.penalty_every * gradient_penalty(discriminator, real, options.gamma)
    return terms


def deception_loss(discriminator: nn.Module, fake: Pictures) -> Float[Tensor, ""]:
    """Small where fakes are taken for real; a constant to the discriminator's parameters."""
    fixed = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    logits: Tensor = functional_call(discriminator, fixed, (fake,))
    return softplus(-logits).mean()


def judging_loss(discriminator: nn.Module, fake: Pictures, real: Pictures) -> Float[Tensor, ""]:
    """Small where real and fake are told apart; a constant to the pictures."""
    return softplus(discriminator(fake.detach())).mean() + softplus(-discriminator(real.detach())).mean()


def gradient_penalty(discriminator: nn.Module, real: Pictures, gamma: float) -> Float[Tensor, ""]:
    """R1: half of gamma times the squared gradient of the logits at real pictures, the pictures' mean.

    Source: Mescheder et al., "Which Training Methods for GANs do actually Converge?", ICML 2018, equation 9.
    """
    with torch.enable_grad():
        places = real.detach().requires_grad_()
        (slope,) = torch.autograd.grad(discriminator(places).sum(), places, create_graph=True)
    return 0.5 * gamma * slope.square().sum((1, 2, 3)).mean()
