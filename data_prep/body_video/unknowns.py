"""What is known and what is sought when a body is tracked: options, the keypoints that are fitted, all unknowns."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from data_prep.body_video.camera import scaled_focal
from data_prep.registration.kinematics import PoseState


@dataclass(frozen=True)
class BodyTrackOptions:
    """How far a body's track trusts what it is given."""

    betas: int = 10
    """Shape parameters that are estimated."""
    picture_spread: float = 0.012
    """Error of a keypoint in the picture, in heights of the person."""
    space_spread: float = 0.08
    """Error of a keypoint in space (metres)."""
    turn_acceleration: float = 25.0
    """How fast joints usually speed up (radians per second squared); less is smoother."""
    move_acceleration: tuple[float, float, float] = (4.0, 4.0, 2.0)
    """How fast the body usually speeds up along x, y and z (metres per second squared)."""
    independent_frames: float = 8.0
    """Keypoints err alike in all frames, so that a video weighs against the likely shape and focal length as much as
    this many frames at most."""
    steps: int = 40
    """Most Gauss-Newton steps."""


@dataclass(frozen=True)
class Seen:
    """Keypoints of the frames that are fitted."""

    times: Float[Tensor, "frame"]
    pixels: Float[Tensor, "frame 33 2"]
    weights: Float[Tensor, "frame 33"]
    world: Float[Tensor, "frame 33 3"]
    height: Float[Tensor, "frame"]
    """The person's height in the picture (pixels)."""

    def select(self, rows: Int[np.ndarray, "kept"]) -> "Seen":
        """Some of the frames."""
        keep = torch.from_numpy(rows)
        return Seen(self.times[keep], self.pixels[keep], self.weights[keep], self.world[keep], self.height[keep])


@dataclass(frozen=True)
class Guess:
    """All unknowns."""

    state: PoseState
    betas: Float[Tensor, "shape"]
    intrinsics: Float[Tensor, "3 3"]
    log_focal: Float[Tensor, ""]
    """Of the focal length over the first guess."""
    log_size: Float[Tensor, ""]
    """Of the body's size over that of the keypoints in space: the network that saw them knows no metres."""

    def select(self, rows: Int[np.ndarray, "kept"]) -> "Guess":
        """The same with some of the frames."""
        return replace(self, state=self.state.select(torch.from_numpy(rows)))

    @property
    def shared(self) -> Float[Tensor, "shared"]:
        """What all frames have in common: betas, size, focal length."""
        return torch.cat([self.betas, self.log_size[None], self.log_focal[None]])

    def moved(
        self, step: Float[Tensor, "frame parameter"], active: list[int], shared: Float[Tensor, "shared"]
    ) -> "Guess":
        """Turn the active joints, shift, and change shape and focal length."""
        frames, bones = self.state.rotations.shape[:2]
        full = step.new_zeros(frames, bones, 3)
        full[:, active] = step[:, :-3].unflatten(1, (-1, 3))
        state = self.state.moved(torch.cat([full.flatten(1), step[:, -3:]], dim=1))
        count = len(self.betas)
        return Guess(
            state=state,
            betas=self.betas + shared[:count],
            intrinsics=scaled_focal(self.intrinsics, shared[count + 1].exp()),
            log_focal=self.log_focal + shared[count + 1],
            log_size=self.log_size + shared[count],
        )
