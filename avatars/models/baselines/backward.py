"""Backward skinning: a network tells the weights of a posed point from the point and the pose."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.fields.mlp import Mlp, positional_encoding
from avatars.fields.softmax import SHARPNESS
from avatars.models.baselines.inverse import InverseSkinning
from avatars.models.snarf import Snarf
from body_models import Body
from body_models.skeleton import invert_rigid, transform_points

WIDTH, DEPTH, OCTAVES = 128, 4, 4
START_POINTS, START_SPREAD, START_RATE = 2000, 0.015, 2e-3
"""Points a step, their distance from the body (metres) and Adam's step size while the weights start from the body's."""


class BackwardSkinning(InverseSkinning):
    """Weights `w_b(x_posed, pose)` by an MLP in the root's frame (Back-LBS, the backward baseline in SNARF's paper).

    It must learn anew for every pose what a canonical field says once.
    """

    def __init__(self, snarf: Snarf) -> None:
        super().__init__(snarf)
        bones = len(snarf.skeleton)
        self.mlp = Mlp(3 + 6 * OCTAVES + 3 * (bones - 1), bones, WIDTH, DEPTH)

    def log_weights(
        self,
        posed: Float[Tensor, "point 3"],
        frame: Int[Tensor, "point"],
        pose: Float[Tensor, "frame bone 3"],
        translation: Float[Tensor, "frame 3"],
    ) -> Float[Tensor, "point bone"]:
        """Logarithms of the weights at posed points."""
        root = invert_rigid(self.snarf.posed_from_canonical(pose, translation)[:, 0])
        local = transform_points(root[frame], posed)
        turns = pose[:, 1:].flatten(1) / math.pi
        inputs = torch.cat([positional_encoding(local, OCTAVES), turns[frame]], 1)
        return torch.log_softmax(SHARPNESS * self.mlp(inputs), dim=1)

    def weights(
        self,
        posed: Float[Tensor, "point 3"],
        frame: Int[Tensor, "point"],
        pose: Float[Tensor, "frame bone 3"],
        translation: Float[Tensor, "frame 3"],
    ) -> Float[Tensor, "point bone"]:
        """Weights at posed points (metres), each in the pose of its frame."""
        return self.log_weights(posed, frame, pose, translation).exp()

    def start_from(
        self,
        body: Body,
        poses: Float[Tensor, "scan bone 3"],
        translations: Float[Tensor, "scan 3"],
        steps: int,
        generator: torch.Generator,
    ) -> None:
        """Learn the body's own weights about its surface in the training poses, as SNARF's field starts from them."""
        surfaces = body.pose_vertices(poses, translations)
        optimiser = torch.optim.Adam(self.mlp.parameters(), lr=START_RATE)
        for _ in range(steps):
            frame = torch.randint(len(poses), (START_POINTS,), generator=generator)
            vertex = torch.randint(len(body.vertices), (START_POINTS,), generator=generator)
            points = surfaces[frame, vertex] + START_SPREAD * torch.randn(START_POINTS, 3, generator=generator)
            told = self.log_weights(points, frame, poses, translations)
            loss = -(body.skinning_weights[vertex] * told).sum(1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
