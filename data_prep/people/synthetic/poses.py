"""Random everyday poses: shares of key poses, and frames of motion files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from body_models.body import Body
from body_models.errors import InputError
from body_models.motion import load_motion, retarget
from data_prep._actions import RANGE_OF_MOTION, UNSEEN_ACTIONS, KeyPose, Limbs, joint_rotations

STANDING = KeyPose()
_ARMS_OUT = Limbs((0.75, -1.0, 0.05), 12.0, (0.25, -1.0, 0.0), 4.0)
_WALKS = (
    KeyPose(
        Limbs((0.2, -1.0, -0.35), 15.0, (0.1, -1.0, 0.4), 8.0), Limbs((0.2, -1.0, 0.35), 30.0, (0.1, -1.0, -0.25), 25.0)
    ),
    KeyPose(
        Limbs((0.2, -1.0, 0.35), 30.0, (0.1, -1.0, -0.25), 25.0), Limbs((0.2, -1.0, -0.35), 15.0, (0.1, -1.0, 0.4), 8.0)
    ),
    KeyPose(
        Limbs((0.25, -1.0, 0.1), 20.0, (0.1, -1.0, 0.15), 35.0), Limbs((0.25, -1.0, 0.1), 20.0, (0.1, -1.0, 0.02), 4.0)
    ),
)
_KINDS = ("a-pose", "standing", "walk", "action")
_SHARES = (0.25, 0.15, 0.3, 0.3)
_HIGH_THIGH = -0.75
"""Thighs of who wears a skirt point down at least this far (as a unit vector's y)."""


_FRAMES = 60
"""Frames taken of each motion file, evenly spaced."""
_FROM_MOTION = 0.5
"""Share of poses that come from motion files where there are some."""


@dataclass(frozen=True)
class PosePool:
    """Where poses are drawn from: key poses always, and frames of motion files (axis-angle) where given."""

    frames: Float[Tensor, "frame bone 3"] | None = None

    def draw(
        self, body: Body, count: int, random: np.random.Generator, skirt: bool = False
    ) -> Float[Tensor, "pose bone 3"]:
        """Random poses, each with its own heading (axis-angle); with a skirt the thighs stay rather low."""
        return torch.stack([self._one(body, random, skirt) for _ in range(count)])

    def _one(self, body: Body, random: np.random.Generator, skirt: bool) -> Float[Tensor, "bone 3"]:
        pose = None
        if self.frames is not None and random.uniform() < _FROM_MOTION:
            pose = self.frames[int(random.integers(len(self.frames)))].clone()
            if skirt and _lowest_thigh(pose[None], body)[0] > _HIGH_THIGH:
                pose = None
        if pose is None:
            pose = joint_rotations(torch.from_numpy(_random_numbers(random, skirt)).float(), body)
        noise = torch.from_numpy(random.normal(scale=0.03, size=(len(pose), 3))).float()
        heading = torch.tensor([0.0, float(random.uniform(-np.pi, np.pi)), 0.0])
        pose = pose + noise
        pose[0] = roma.rotvec_composition([heading, pose[0]])
        return pose


def read_pose_pool(motions: Path | None, body: Body) -> PosePool:
    """Upright poses from all motion files of a folder, carried over to a body; only key poses without a folder.

    Raises InputError when the folder holds no motion that can be read.
    """
    if motions is None:
        return PosePool()
    frames, reasons = [], []
    for path in sorted(motions.iterdir()):
        if path.suffix.lower() not in (".bvh", ".npz"):
            continue
        try:
            clip = retarget(load_motion(path), body).rotations
        except InputError as error:
            reasons.append(str(error))
            continue
        clip = clip[np.unique(np.linspace(0, len(clip) - 1, _FRAMES).round().astype(int))]
        frames.append(clip[_is_upright(clip, body)].float())
    if not sum(len(part) for part in frames):
        reason = f" ({reasons[0]})" if reasons else ""
        raise InputError(f"No upright pose of a motion in {motions}{reason}; give a folder of .bvh or .npz motions.")
    return PosePool(torch.cat(frames))


def _is_upright(poses: Float[Tensor, "frame bone 3"], body: Body) -> Bool[Tensor, "frame"]:
    """Standing or walking: head well above the pelvis, thighs not lifted."""
    joints = body.pose_joints(poses, torch.zeros(len(poses), 3))
    pelvis, head = joints[:, 0], joints[:, body.skeleton.index("head")]
    spine = head - pelvis
    return (spine[:, 1] > 0.85 * spine.norm(dim=1)) & (_lowest_thigh(poses, body) < -0.3)


def _lowest_thigh(poses: Float[Tensor, "frame bone 3"], body: Body) -> Float[Tensor, "frame"]:
    """Height (y of the direction) of the more lifted thigh."""
    joints = body.pose_joints(poses, torch.zeros(len(poses), 3))
    heights = []
    for side in ("left", "right"):
        thigh = joints[:, body.skeleton.index(f"{side}_knee")] - joints[:, body.skeleton.index(f"{side}_hip")]
        heights.append(thigh[:, 1] / thigh.norm(dim=1))
    return torch.stack(heights).amax(0)


def _random_numbers(random: np.random.Generator, skirt: bool) -> Float[np.ndarray, "22"]:
    """A row of `KeyPose.numbers`."""
    kind = str(random.choice(_KINDS, p=_SHARES))
    if kind == "a-pose":
        row = KeyPose(_ARMS_OUT, _ARMS_OUT).numbers()
    elif kind == "standing":
        row = STANDING.numbers()
    elif kind == "walk":
        first, second = random.choice(len(_WALKS), 2, replace=False)
        share = random.uniform()
        row = share * _WALKS[first].numbers() + (1 - share) * _WALKS[second].numbers()
    else:
        action = (*RANGE_OF_MOTION, *UNSEEN_ACTIONS)[random.integers(len(RANGE_OF_MOTION) + len(UNSEEN_ACTIONS))]
        share = random.uniform(0.25, 0.85)
        row = share * action.numbers() + (1 - share) * KeyPose(_ARMS_OUT, _ARMS_OUT).numbers()
    spread = np.array([0.06, 0.06, 0.06, 6.0, 0.03, 0.03, 0.04, 3.0] * 2 + [3.0] * 6)
    row = row + spread * random.normal(size=len(row))
    row[[0, 8]] = np.maximum(row[[0, 8]], 0.32)  # arms keep clear of the trunk and of wide clothes
    row[[4, 12]] = np.maximum(row[[4, 12]], 0.12)
    row[[3, 7, 11, 15]] = np.clip(row[[3, 7, 11, 15]], 3.0, 120.0)
    if skirt:
        for start in (4, 12):
            row[start : start + 3] = _lowered(row[start : start + 3])
            row[start + 3] = min(row[start + 3], 40.0)
    return row


def _lowered(thigh: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    """The direction with its sideways and forward share shrunk until it points down enough."""
    thigh = thigh / np.linalg.norm(thigh)
    if thigh[1] < _HIGH_THIGH:
        return thigh
    level = thigh[[0, 2]] / max(np.linalg.norm(thigh[[0, 2]]), 1e-9) * np.sqrt(1 - _HIGH_THIGH**2)
    return np.array([level[0], _HIGH_THIGH, level[1]])
