"""Squatting people with known poses, shape and camera, and the keypoints that a detector would see of them."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from body_models import BodyModel
from data_prep.body_video import BodyDetections, body_markers
from data_prep.body_video.camera import project


@dataclass(frozen=True)
class Truth:
    poses: Float[Tensor, "frame bone 3"]
    translations: Float[Tensor, "frame 3"]
    betas: Float[Tensor, "shape"]
    intrinsics: Float[Tensor, "3 3"]
    times: Float[np.ndarray, "frame"]
    markers: Float[Tensor, "frame 33 3"]


WIDTH, HEIGHT = 720, 1280


def squats(model: BodyModel, frames: int = 12, rate: float = 10.0, turned: float = 0.0) -> Truth:
    """Two seconds of squats, arms to the front; `turned` is the heading in radians."""
    times = np.arange(frames) / rate
    depth = torch.from_numpy(np.sin(math.pi * times / 1.2) ** 2).float()
    poses = torch.zeros(frames, len(model.skeleton), 3)
    degrees = {"hip": (-80.0, 0.0, 12.0), "knee": (100.0, 0.0, 0.0), "shoulder": (-50.0, -40.0, 5.0)}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for joint, (x, y, z) in degrees.items():
            turn = torch.tensor([x, sign * y, sign * z]).deg2rad()
            poses[:, model.skeleton.index(f"{side}_{joint}")] = depth[:, None] * turn
    poses[:, model.skeleton.index("spine2"), 0] = 0.3 * depth
    poses[:, 0, 1] = turned
    translations = torch.stack([0.1 + 0 * depth, 0.05 - 0.3 * depth, -3.0 - 0.1 * depth], dim=1)
    betas = torch.tensor([0.3, -0.6, 0.8, 0.4])
    intrinsics = torch.tensor([[1000.0, 0.0, 360.0], [0.0, 1000.0, 640.0], [0.0, 0.0, 1.0]])
    transforms = model.body(betas).posed_from_rest(poses, translations)
    return Truth(poses, translations, betas, intrinsics, times, body_markers(model).posed(betas, transforms))


def seen(truth: Truth, noise: float = 0.0, space_noise: float = 0.0, seed: int = 0) -> BodyDetections:
    """Keypoints of the truth with Gaussian noise (pixels; metres in space)."""
    random = np.random.default_rng(seed)
    pixels = project(truth.markers, truth.intrinsics).double().numpy()
    own = truth.markers - truth.markers[:, 23:25].mean(1, keepdim=True)
    return BodyDetections(
        keypoints=pixels + noise * random.normal(size=pixels.shape),
        visibility=np.ones(pixels.shape[:2]),
        world=0.9 * (own.double().numpy() + space_noise * random.normal(size=own.shape)),
        others=np.zeros(len(pixels), dtype=bool),
    )


def without(detections: BodyDetections, rows: list[int]) -> BodyDetections:
    """The same with nobody found in some frames."""
    keypoints, world = detections.keypoints.copy(), detections.world.copy()
    visibility = detections.visibility.copy()
    keypoints[rows], world[rows], visibility[rows] = np.nan, np.nan, 0.0
    return BodyDetections(keypoints, visibility, world, detections.others)
