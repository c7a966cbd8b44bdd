"""Landmarks of a head whose identity, camera and motion are known: the model's own points, projected, with noise."""

from dataclasses import dataclass

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.landmarks import Landmarks
from body_models.model import BodyModel
from data_prep.tracking.observations import Observations

WIDTH, HEIGHT = 640, 480


@dataclass(frozen=True)
class Truth:
    betas: Float[Tensor, "shape"]
    focal: float
    poses: Float[Tensor, "frame bone 3"]
    translations: Float[Tensor, "frame 3"]
    expressions: Float[Tensor, "frame expression"]
    intrinsics: Float[Tensor, "3 3"]


def smooth(rng, frames, channels, period):
    """Curves of unit spread that change within about a period (frames)."""
    knots = rng.normal(size=(frames // period + 4, channels))
    at = np.arange(frames) / period + 1
    low = at.astype(int)
    share = (1 - np.cos(np.pi * (at - low)))[:, None] / 2
    return torch.from_numpy((1 - share) * knots[low] + share * knots[low + 1])


def truth(model: BodyModel, frames: int, seed: int, focal: float = 560.0, spread: float = 1.0) -> Truth:
    """A head that turns up to about 30 degrees, comes and goes, talks and blinks."""
    rng = np.random.default_rng(seed)
    betas = torch.from_numpy(spread * rng.normal(size=len(model.shape_basis))).float()
    turn = smooth(rng, frames, 3, 25) * torch.tensor([0.15, 0.28, 0.1])
    poses = torch.zeros(frames, len(model.skeleton), 3)
    poses[:, 0] = turn.clamp(-0.55, 0.55).float()
    move = smooth(rng, frames, 3, 40) * torch.tensor([0.04, 0.03, 0.12]) + torch.tensor([0.0, 0.0, -0.65])
    expressions = torch.zeros(frames, len(model.expression_basis))
    if model.expression_names:
        active = rng.permutation(len(model.expression_names))[:20]
        curves = (smooth(rng, frames, 20, 12) - 0.5).clamp(0, 1.6) / 1.6
        expressions[:, active] = curves.float()
        for name in ("tongueOut", "pupilDilateLeft", "pupilDilateRight"):
            if name in model.expression_names:
                expressions[:, model.expression_names.index(name)] = 0
    else:
        expressions[:, :20] = smooth(rng, frames, 20, 12).float()
        poses[:, 2, 0] = smooth(rng, frames, 1, 12)[:, 0].float().clamp(0, 1) * 0.3
    intrinsics = torch.tensor([[focal, 0, WIDTH / 2], [0, focal, HEIGHT / 2], [0, 0, 1]])
    root = model.body(betas).joints[0]
    rotation = roma.rotvec_to_rotmat(poses[:, 0])
    center = torch.tensor([0.0, 0.03, 0.09])
    translations = move.float() - (rotation @ (center - root)) - root
    return Truth(betas, focal, poses, translations, expressions, intrinsics)


def observe(model: BodyModel, points: Landmarks, true: Truth, noise: float, seed: int = 0) -> Observations:
    """What a detector would report; noise as a share of the distance between the outer eye corners (about 90 mm)."""
    body = model.body(true.betas)
    seen = torch.cat(
        [
            points.on(body.pose_vertices(p[None], t[None], e[None]))
            for p, t, e in zip(true.poses, true.translations, true.expressions, strict=True)
        ]
    )
    camera = seen * torch.tensor([1.0, -1.0, -1.0])
    image = camera @ true.intrinsics.T
    image = image[..., :2] / image[..., 2:]
    size = 0.09 * true.focal / camera[..., 2].mean(1)
    generator = torch.Generator().manual_seed(seed)
    image = image + noise * size[:, None, None] * torch.randn(image.shape, generator=generator)
    frames = len(image)
    return Observations(image, torch.ones(image.shape[:2]), torch.arange(frames) / 25.0, WIDTH, HEIGHT)


def rotation_errors(found: Tensor, true: Tensor) -> Tensor:
    """Angle between two rotations (degrees)."""
    between = roma.rotvec_to_rotmat(found) @ roma.rotvec_to_rotmat(true).mT
    return torch.rad2deg(roma.rotmat_to_rotvec(between).norm(dim=-1))
