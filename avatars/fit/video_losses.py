"""Terms of the loss on video: colour, coverage, the head model's prior, regularity. Sums are divided by all rays.

Source: IMavatar, section 3.4 (arXiv 2112.07471), with distances in metres.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

POSE_SPREAD, PLACE_SPREAD, EXPRESSION_SPREAD = 0.03, 0.004, 0.1
"""Usual errors of tracked angles (radians), places (metres) and expressions."""

ANCHOR_REACH = 0.006
"""From about this distance on the surface is let go of (metres)."""


def colour_loss(
    rgb: Float[Tensor, "hit 3"], shown: Float[Tensor, "hit 3"], alpha: Float[Tensor, "hit"], rays: int
) -> Float[Tensor, ""]:
    """Absolute difference of colours where rays meet the person, less where the background shines through."""
    return ((rgb - shown).abs().mean(1) * alpha).sum() / rays


def mask_loss(
    sdf: Float[Tensor, "other"], alpha: Float[Tensor, "other"], sharpness: float, rays: int
) -> Float[Tensor, ""]:
    """Cross-entropy between the pictures' coverage and sigmoid(-sharpness * signed distance)."""
    return functional.binary_cross_entropy_with_logits(-sharpness * sdf, alpha, reduction="sum") / rays


def skinning_loss(
    weights: Float[Tensor, "hit bone"], truth: Float[Tensor, "hit bone"], near: Bool[Tensor, "hit"], rays: int
) -> Float[Tensor, ""]:
    """Squared distance of skinning weights from the head model's, on points near its surface."""
    return ((weights - truth).square().sum(1) * near).sum() / rays


def label_loss(
    weights: Float[Tensor, "hit bone"], bone: Int[Tensor, "hit"], known: Bool[Tensor, "hit"], rays: int
) -> Float[Tensor, ""]:
    """Squared distance of skinning weights from those of one bone alone, on points of which it is known."""
    truth = functional.one_hot(bone, weights.shape[1]).to(weights)
    return skinning_loss(weights, truth, known, rays)


def normal_loss(normals: Float[Tensor, "hit 3"], shown: Float[Tensor, "hit 3"], rays: int) -> Float[Tensor, ""]:
    """One minus the cosine between unit normals and those of a map, where that knows any: elsewhere it is zero."""
    known = shown.square().sum(1) > 0
    return ((1 - (normals * shown).sum(1)) * known).sum() / rays


def offset_loss(
    basis: Float[Tensor, "hit coefficient 3"],
    truth: Float[Tensor, "hit coefficient 3"],
    near: Bool[Tensor, "hit"],
    rays: int,
) -> Float[Tensor, ""]:
    """Mean squared distance of blendshapes from the head model's (square metres), on points near its surface."""
    if basis.shape[1] == 0:
        return basis.sum()
    return ((basis - truth).square().sum(2).mean(1) * near).sum() / rays


def anchor_loss(sdf: Float[Tensor, "point"]) -> Float[Tensor, ""]:
    """Holds the surface to the head model's where it is about there; hair and clothes, far off, are let go."""
    squared = (sdf / ANCHOR_REACH).square()
    return (squared / (1 + squared)).mean()


def eikonal_loss(gradient: Float[Tensor, "point 3"]) -> Float[Tensor, ""]:
    """Squared departure of the slope from one; no points, no loss."""
    return (gradient.norm(dim=1) - 1).square().sum() / max(1, len(gradient))


def smooth_loss(gradient: Float[Tensor, "point 3"], beside: Float[Tensor, "point 3"]) -> Float[Tensor, ""]:
    """How much the gradient changes from points to others beside them."""
    return (gradient - beside).square().sum() / max(1, len(gradient))


def prior_loss(
    poses: Float[Tensor, "frame bone 3"],
    translations: Float[Tensor, "frame 3"],
    expressions: Float[Tensor, "frame expression"],
) -> Float[Tensor, ""]:
    """Mean squared corrections of the tracks of some frames, each in its usual size."""
    parts = [
        (values / spread).square().flatten(1).sum(1)
        for values, spread in ((poses, POSE_SPREAD), (translations, PLACE_SPREAD), (expressions, EXPRESSION_SPREAD))
    ]
    return torch.stack(parts).sum(0).mean()


def psnr(rgb: Float[Tensor, "*pixel 3"], shown: Float[Tensor, "*pixel 3"], weight: Float[Tensor, "*pixel"]) -> float:
    """Peak signal-to-noise ratio (dB) of colours in 0..1, pixels weighted; NaN where no pixel counts."""
    squared = ((rgb - shown).square().mean(-1) * weight).sum() / weight.sum()
    return float(-10 * torch.log10(squared.clamp_min(1e-10)))
