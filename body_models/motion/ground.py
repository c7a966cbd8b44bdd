"""Root motion of a retargeted clip: travel in proportion to the legs, the ground under the soles."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from body_models.motion.alignment import Rig
from body_models.motion.feet import foot_grips, hold_feet, standing_frames
from body_models.motion.motion import Motion

_FLOOR_FRAMES = 24
_SHORT_TRAVEL = 0.2
"""Standing places spread less than this (metres) say nothing about the lean of the ground."""
_STEEPEST_LEAN = 0.04


def place_on_ground(moved: Motion, target: Rig, clip: Motion, source: Rig) -> Motion:
    """A clip whose rotations are done with displacements that let the hips travel as the source's do (metres).

    A body's clip on a head alone leaves the head at its place.
    """
    still = replace(moved, translations=torch.zeros_like(clip.translations))
    if "left_hip" in source.matches and "left_hip" not in target.matches:
        return still  # the travel is the hips'; a head alone would fly along without a body
    translations = _hip_centres(clip.joint_positions(), source.matches)
    translations = _leg_ratio(source, target) * translations - _hip_centres(still.joint_positions(), target.matches)
    standing = {side: standing_frames(clip, source.matches, side) for side in ("left", "right")}
    translations = hold_feet(
        replace(still, translations=translations), target.matches, foot_grips(clip, source.matches)
    )
    if "left_hip" not in target.matches:  # from head to head: no ground, and travel from where it is
        return replace(still, translations=translations - translations[0])
    start = translations[0] + target.joints[0]
    placed = replace(still, translations=translations - start * start.new_tensor([1.0, 0.0, 1.0]))
    steps = torch.cat([frames.nonzero()[:, 0] for frames in standing.values()])
    if len(steps) > 0:
        ground = _ground_under_steps(placed, target, steps)
    else:
        lowest = placed.joint_positions()[..., 1].amin(-1).argsort()[:_FLOOR_FRAMES]
        ground = _lowest_points(placed, target, lowest).min().expand(len(clip))
    up = ground.new_tensor([0.0, 1.0, 0.0])
    return replace(placed, translations=placed.translations - ground[:, None] * up)


def _ground_under_steps(placed: Motion, target: Rig, steps: Int[Tensor, "standing"]) -> Float[Tensor, "frame"]:
    """Height of the ground under each frame: a plane through the soles of standing feet.

    The axes of a captured volume may lean by a degree, so that a walk climbs; steeper ground is real and is kept.
    """
    chosen = steps[torch.linspace(0, len(steps) - 1, min(len(steps), _FLOOR_FRAMES)).round().long()]
    heights, walked = _lowest_points(placed, target, chosen), placed.translations[:, [0, 2]]
    centre = walked[chosen].mean(0)
    places = walked[chosen] - centre
    damping = len(chosen) * _SHORT_TRAVEL**2 * torch.eye(2).to(places)
    slope = torch.linalg.solve(places.T @ places + damping, places.T @ (heights - heights.mean()))
    if slope.norm() > _STEEPEST_LEAN:
        slope = torch.zeros_like(slope)
    return (heights - places @ slope).median() + (walked - centre) @ slope


def _lowest_points(placed: Motion, target: Rig, frames: Int[Tensor, "some"]) -> Float[Tensor, "some"]:
    """Height of the lowest point of the surface in some frames; of the joints for a rig without one."""
    if target.body is None:
        return placed.joint_positions()[frames][..., 1].amin(-1)
    return target.body.pose_vertices(placed.rotations[frames], placed.translations[frames])[..., 1].amin(-1)


def _leg_ratio(source: Rig, target: Rig) -> Float[Tensor, ""]:
    return _leg_length(target.joints, target.matches) / _leg_length(source.joints, source.matches)


def _leg_length(joints: Float[Tensor, "bone 3"], matches: Mapping[str, int]) -> Float[Tensor, ""]:
    chains = [
        [joints[matches[f"{side}_{part}"]] for part in ("hip", "knee", "ankle") if f"{side}_{part}" in matches]
        for side in ("left", "right")
    ]
    if any(len(chain) < 3 for chain in chains):
        return joints.new_tensor(1.0)
    return torch.stack([(b - a).norm() + (c - b).norm() for a, b, c in chains]).mean()


def _hip_centres(joints: Float[Tensor, "frame bone 3"], matches: Mapping[str, int]) -> Float[Tensor, "frame 3"]:
    """Between the hips; the root of a head that has none."""
    hips = [matches[name] for name in ("left_hip", "right_hip") if name in matches]
    return joints[:, hips or [0]].mean(1)
