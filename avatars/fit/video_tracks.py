"""The tracks of the frames that a head is fitted to, and their corrections, whatever the method."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class TrackedFrames(nn.Module):
    """Poses, translations and expressions as tracked, with corrections that are learned (radians, metres)."""

    poses: Tensor
    translations: Tensor
    expressions: Tensor

    def __init__(
        self,
        poses: Float[Tensor, "frame bone 3"],
        translations: Float[Tensor, "frame 3"],
        expressions: Float[Tensor, "frame expression"],
    ) -> None:
        super().__init__()
        for name, value in (("poses", poses), ("translations", translations), ("expressions", expressions)):
            self.register_buffer(name, value.clone())
        self.pose_shift = nn.Parameter(torch.zeros_like(poses))
        self.translation_shift = nn.Parameter(torch.zeros_like(translations))
        self.expression_shift = nn.Parameter(torch.zeros_like(expressions))

    def corrected(
        self, frames: Int[Tensor, "frame"] | None = None
    ) -> tuple[Float[Tensor, "frame bone 3"], Float[Tensor, "frame 3"], Float[Tensor, "frame expression"]]:
        """Poses, translations and expressions of some frames (all by default) with their corrections."""
        some = slice(None) if frames is None else frames
        return (
            self.poses[some] + self.pose_shift[some],
            self.translations[some] + self.translation_shift[some],
            self.expressions[some] + self.expression_shift[some],
        )
