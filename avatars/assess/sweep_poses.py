"""Expressions and turns that a head is tried in: actions alone, joints alone, then random combinations."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from body_models import InputError, Skeleton

ACTIONS = (
    "",
    *("jawOpen", "jawForward", "jawLeft", "jawOpen mouthClose", "mouthSmileLeft mouthSmileRight"),
    *("mouthFrownLeft mouthFrownRight", "mouthPucker", "mouthFunnel", "mouthLeft", "mouthRight"),
    *("mouthStretchLeft mouthStretchRight", "mouthLowerDownLeft mouthLowerDownRight"),
    *("mouthUpperUpLeft mouthUpperUpRight", "mouthRollLower mouthRollUpper", "mouthShrugLower mouthShrugUpper"),
    *("mouthPressLeft mouthPressRight", "cheekPuff", "noseSneerLeft noseSneerRight", "browInnerUp"),
    *("browDownLeft browDownRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeBlinkLeft eyeBlinkRight"),
    *("eyeWideLeft eyeWideRight", "eyeLookDownLeft eyeLookDownRight", "eyeLookOutLeft eyeLookInRight"),
)
"""Named actions, those in one string together, all in full; the first is the neutral face."""
TURNS: dict[str, dict[str, tuple[float, float, float]]] = {
    "neck left": {"neck": (0.0, 0.4, 0.0)},
    "neck down": {"neck": (0.3, 0.0, 0.0)},
    "jaw turned": {"jaw": (0.3, 0.0, 0.0)},
}
"""Axis-angle of joints (radians)."""
COMPONENT = 2.0
"""Components without names are taken to plus and minus this (standard deviations)."""
TOGETHER = 3
"""Actions in a random combination."""
NECK, JAW = 0.25, 0.15
"""Largest random turns about each axis of the neck, and of the jaw downwards (radians)."""


@dataclass(frozen=True)
class SweepPose:
    """One thing that a head is asked to do."""

    name: str
    expression: Float[Tensor, "expression"]
    rotation: Float[Tensor, "bone 3"]
    """Axis-angle (radians)."""


def sweep_poses(
    skeleton: Skeleton, names: tuple[str, ...], expressions: int, count: int = 40, seed: int = 0
) -> tuple[SweepPose, ...]:
    """`count` poses of a head with named actions, or with `expressions` components without names.

    Raises InputError when `count` has no room for random combinations.
    """
    neutral, still = torch.zeros(expressions), torch.zeros(len(skeleton), 3)
    alone = _actions(names) if names else _components(expressions)
    poses = [SweepPose(name, neutral + values, still) for name, values in alone.items()]
    for name, turns in TURNS.items():
        turned = still.clone()
        for joint in set(turns) & set(skeleton.joint_names):
            turned[skeleton.index(joint)] = torch.tensor(turns[joint])
        if bool(turned.any()):
            poses.append(SweepPose(name, neutral, turned))
    if count <= len(poses):
        raise InputError(f"{count} poses leave no room for combinations: {len(poses)} are of single actions; ask more.")
    random = np.random.default_rng(seed)
    moving = [values for values in alone.values() if bool(values.any())]
    for number in range(count - len(poses)):
        poses.append(_combination(number + 1, neutral, moving, skeleton, random))
    return tuple(poses)


def _actions(names: tuple[str, ...]) -> dict[str, Float[Tensor, "expression"]]:
    found = {}
    for together in ACTIONS:
        actions = together.split()
        if all(action in names for action in actions):
            values = torch.zeros(len(names))
            values[[names.index(action) for action in actions]] = 1.0
            found[_short(actions)] = values
    return found


def _components(count: int) -> dict[str, Float[Tensor, "expression"]]:
    found = {"neutral": torch.zeros(count)}
    for number in range(min(count, (len(ACTIONS) - 1) // 2)):
        for sign in (1, -1):
            values = torch.zeros(count)
            values[number] = sign * COMPONENT
            found[f"component {number} {'+' if sign > 0 else '-'}"] = values
    return found


def _combination(
    number: int,
    neutral: Float[Tensor, "expression"],
    moving: list[Float[Tensor, "expression"]],
    skeleton: Skeleton,
    random: np.random.Generator,
) -> SweepPose:
    """Some actions at 0.3 to 0.9, with turns of neck and jaw."""
    values = neutral.clone()
    for action in random.choice(len(moving), min(TOGETHER, len(moving)), replace=False):
        values += float(random.uniform(0.3, 0.9)) * moving[action]
    turned = torch.zeros(len(skeleton), 3)
    if "neck" in skeleton.joint_names:
        turned[skeleton.index("neck")] = torch.from_numpy(random.uniform(-NECK, NECK, 3)).float()
    if "jaw" in skeleton.joint_names:
        turned[skeleton.index("jaw"), 0] = float(random.uniform(0, JAW))
    return SweepPose(f"combination {number}", values, turned)


def _short(actions: list[str]) -> str:
    """One name for actions: mouthSmile for mouthSmileLeft and mouthSmileRight."""
    stems = [action.removesuffix("Left").removesuffix("Right") for action in actions]
    if len(actions) == 2 and stems[0] == stems[1]:
        return stems[0]
    return " ".join(actions) or "neutral"
