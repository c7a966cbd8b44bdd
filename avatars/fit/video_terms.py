"""What the fit to a video is told beside colours: by the head model, and by maps of classes and of normals.

Source: IMavatar's optional terms on semantics (its public code; not in the paper), with distances in metres.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatars.fit.video_losses import label_loss, offset_loss, skinning_loss
from avatars.fit.video_options import VideoLosses
from avatars.models.head_deformation import HeadDeformation
from avatars.models.head_prior import HeadPrior
from data_prep.video_maps import FaceClass

NEAR_PRIOR = 0.008
"""Points this near the head model's surface are held to its weights and blendshapes (metres)."""
CROWN = 0.15
"""Share of the head's height, from its top, that is scalp for certain."""


def carrying_bone(prior: HeadPrior) -> int:
    """The bone that carries the skull and so the hair: the one that weighs most at the head's top.

    In FLAME and in the free head that is the neck.
    """
    height = prior.canonical[:, 1]
    top, bottom = float(height.max()), float(height.min())
    return int(prior.weights[height > top - CROWN * (top - bottom)].mean(0).argmax())


@dataclass(frozen=True)
class Labels:
    """What the pixels of some surface points show, where maps of classes tell."""

    hair: Bool[Tensor, "hit"]
    cloth: Bool[Tensor, "hit"]
    mouth: Bool[Tensor, "hit"]
    """Interior of the mouth and glasses, which the head model does not have."""

    @staticmethod
    def of(label: Int[Tensor, "hit"], ghost: bool) -> "Labels":
        """From the classes of pixels; without a ghost bone clothes are not told apart, as nothing else carries them."""
        cloth = label == FaceClass.CLOTH
        return Labels(label == FaceClass.HAIR, cloth if ghost else cloth & False, label == FaceClass.MOUTH)

    @property
    def carried(self) -> Bool[Tensor, "hit"]:
        """Points of which one bone is known to carry them."""
        return self.hair | self.cloth


class HeadTerms:
    """The terms that hold weights and blendshapes to a tracked head model, and to classes of pixels where known."""

    def __init__(self, prior: HeadPrior, ghost: bool) -> None:
        self.prior, self.ghost = prior, ghost

    @cached_property
    def hair_bone(self) -> int:
        """See `carrying_bone`."""
        return carrying_bone(self.prior)

    def __call__(
        self,
        motion: HeadDeformation,
        canonical: Float[Tensor, "hit 3"],
        label: Int[Tensor, "hit"] | None,
        factors: VideoLosses,
        rays: int,
    ) -> dict[str, Tensor]:
        """The head model's weights and blendshapes on surface points near its own, but for what classes know better.

        Hair goes with the skull and cloth with the ghost bone; mouth interior and glasses are free, but that no pose
        corrects them.
        """
        if motion.weights is None and motion.offsets is None:
            return {}
        truth = self.prior.at(canonical)
        labels = None if label is None or factors.semantic == 0 else Labels.of(label, self.ghost)
        terms: dict[str, Tensor] = {}
        told: list[Tensor] = []
        if motion.weights is not None and (factors.skinning > 0 or labels is not None):
            weights, near = motion.weights(canonical), truth.distance < NEAR_PRIOR
            if labels is not None:
                near &= ~(labels.carried | labels.mouth)
                told.append(factors.semantic * self._carried(weights, labels, rays))
            if factors.skinning > 0:
                wanted = truth.weights[:, : weights.shape[1]]
                terms["skinning"] = factors.skinning * skinning_loss(weights, wanted, near, rays)
        if motion.offsets is not None and factors.offsets > 0:
            basis, near = motion.offsets(canonical), truth.distance < NEAR_PRIOR
            if labels is not None:
                near &= ~labels.mouth
                told.append(factors.offsets * offset_loss(basis, self._uncorrected(basis), labels.mouth, rays))
            terms["offsets"] = factors.offsets * offset_loss(basis, truth.basis, near, rays)
        return terms | ({"semantic": torch.stack(told).sum()} if told else {})

    def _carried(self, weights: Float[Tensor, "hit bone"], labels: Labels, rays: int) -> Float[Tensor, ""]:
        bone = torch.where(labels.cloth, weights.shape[1] - 1, self.hair_bone)
        return label_loss(weights, bone, labels.carried, rays)

    def _uncorrected(self, basis: Float[Tensor, "hit coefficient 3"]) -> Float[Tensor, "hit coefficient 3"]:
        """The blendshapes as they are, with no pose correctives."""
        expressions = self.prior.body.expression_basis
        count = 0 if expressions is None else len(expressions)
        return torch.cat([basis[:, :count].detach(), torch.zeros_like(basis[:, count:])], 1)
