"""Refine the poses of scans against an avatar itself, through the implicit gradient of forward search."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from avatars.fit.loop import cosine, step_generator
from avatars.fit.options import FitOptions
from avatars.fit.pools import build_pools
from avatars.models import Avatar
from data_prep.scans import Scan

STEPS, POINTS = 80, 1000
RATE = 6e-3
"""Adam's step size for joint angles (radians) and translations (metres)."""
STIFFNESS = 3e-3
"""Pull towards the registered pose, per squared radian: joints that the scan does not constrain stay where they are."""
POOL = 20_000


def refine_poses(
    avatar: Avatar,
    scans: list[Scan],
    poses: Float[Tensor, "scan bone 3"],
    translations: Float[Tensor, "scan 3"],
    seed: int,
) -> tuple[Float[Tensor, "scan bone 3"], Float[Tensor, "scan 3"]]:
    """Poses under which the avatar's occupancy agrees best with the scans; fields and joints stay as they are."""
    model = avatar.model
    options = FitOptions(pool=POOL, snarf=model.options)
    pools = build_pools(scans, options, seed).to(avatar.device)
    start = poses.to(avatar.device)
    pose = torch.nn.Parameter(start.clone())
    translation = torch.nn.Parameter(translations.to(avatar.device).clone())
    optimiser = torch.optim.Adam([pose, translation], lr=RATE, betas=(0.9, 0.95))
    every = torch.arange(len(scans), device=avatar.device)
    frame = every.repeat_interleave(POINTS)
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = RATE * cosine(step / STEPS, 0.02)
        points, labels = pools.draw(every, POINTS, step_generator(seed, step))
        logits = model(points, frame, pose, translation, model.pose_code(pose.detach()))
        misfit = functional.binary_cross_entropy_with_logits(logits, labels)
        loss = misfit + STIFFNESS * (pose - start).square().sum((1, 2)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return pose.detach(), translation.detach()
