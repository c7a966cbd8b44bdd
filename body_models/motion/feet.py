"""Feet that bear weight: when they stand, how their soles lie, and keeping them on their place."""

from collections.abc import Mapping

import roma
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from body_models.motion.motion import Motion
from body_models.motion.turns import heading

_SHORTEST_WALK = 10
"""Frames; shorter clips are poses."""
_SLOWEST_RATE = 10.0
"""Frames a second; between slower ones feet may have gone anywhere."""
_SWING_SPEED = 0.5
"""A foot that moves as fast as this (metres a second) has left the ground."""
_LIFTED = 0.06
"""A joint this far (metres) above its usual lowest place begins to leave the ground."""
_SMOOTHING = 0.03
"""Seconds over which the body's weight goes from foot to foot, so that noise in the capture does not shake it."""
_LOOSE = 0.02
"""Grip below which the body's travel is left alone."""


def standing_frames(clip: Motion, matches: Mapping[str, int], side: str) -> Bool[Tensor, "frame"]:
    """Frames in which a foot seems to bear weight: low, slow and under an upright shin; none in very short clips."""
    names = [f"{side}_{part}" for part in ("knee", "ankle", "foot")]
    if not _shows_steps(clip) or any(name not in matches for name in names):
        return torch.zeros(len(clip), dtype=torch.bool, device=clip.rotations.device)
    knee, ankle, toe = clip.joint_positions()[:, [matches[name] for name in names]].unbind(1)
    shin, foot = knee - ankle, toe - ankle
    speed = torch.maximum(*(torch.gradient(point, dim=0)[0].norm(dim=-1) * clip.frame_rate for point in (ankle, toe)))
    height = ankle[:, 1] + toe[:, 1]
    upright = shin[:, 1] > 0.9 * shin.norm(dim=-1)
    forward = foot[:, 1].abs() < 0.75 * foot.norm(dim=-1)
    low = height < height.quantile(0.1) + 0.06
    return upright & forward & low & (speed < 0.15)


def level_feet(clip: Motion, matches: Mapping[str, int]) -> dict[str, Float[Tensor, "3 3"]]:
    """For ankles and toes the turn, in the bone's axes at rest, of a foot that stands level and points to +Z.

    Captured skeletons disagree on what an unturned ankle is, by twenty degrees and more. Frames in which the person
    stands on the foot tell; feet without such frames are left out.
    """
    level = {}
    for side in ("left", "right"):
        standing = standing_frames(clip, matches, side)
        if not standing.any():
            continue
        ankle, toe = matches[f"{side}_ankle"], matches[f"{side}_foot"]
        joints, turns = clip.joint_positions()[standing], clip.posed_from_rest()[standing][..., :3, :3]
        ahead = heading(joints[:, toe] - joints[:, ankle])
        for part, bone in (("ankle", ankle), ("foot", toe)):
            level[f"{side}_{part}"] = roma.special_procrustes((turns[:, bone].mT @ ahead).mean(0))
    return level


def hold_feet(moved: Motion, bones: Mapping[str, int], grip: Mapping[str, Tensor]) -> Float[Tensor, "frame 3"]:
    """Displacements of the root after which feet with a grip on the ground stay on their place.

    Legs of other proportions let planted feet slide by centimetres. The whole body moves against the slide, so that
    every rotation stays as it is; with several feet planted, by the mean weighted with their grips. Feet that
    creep in the source stand still in the result: its way may be shorter by that.
    """
    names = [name for name in grip if name in bones]
    if not names:
        return moved.translations
    steps = moved.joint_positions()[:, [bones[name] for name in names]].diff(dim=0)
    held = torch.stack([grip[name] for name in names], dim=1)
    held = (held[1:] * held[:-1]).sqrt()[..., None]
    slide = (held * steps).sum(1) / (held.sum(1) + _LOOSE)
    slide = torch.cat([slide.new_zeros(1, 3), _smooth(slide, _SMOOTHING * moved.frame_rate)]).cumsum(0)
    return moved.translations - slide * slide.new_tensor([1.0, 0.0, 1.0])


def foot_grips(clip: Motion, matches: Mapping[str, int]) -> dict[str, Float[Tensor, "frame"]]:
    """How firmly each ankle and toe is planted in each frame: 1 where it is low and still, 0 where it swings."""
    grips = {}
    joints = clip.joint_positions()
    for name in (f"{side}_{part}" for side in ("left", "right") for part in ("ankle", "foot")):
        if not _shows_steps(clip) or name not in matches:
            continue
        joint = joints[:, matches[name]]
        speed = torch.gradient(joint, dim=0)[0].norm(dim=-1) * clip.frame_rate
        lift = joint[:, 1] - joint[:, 1].quantile(0.1)
        slow, low = (1 - speed / _SWING_SPEED).clamp(0, 1), (2 - lift / _LIFTED).clamp(0, 1)
        grips[name] = slow**2 * low
    return grips


def _shows_steps(clip: Motion) -> bool:
    return len(clip) >= _SHORTEST_WALK and clip.frame_rate >= _SLOWEST_RATE


def _smooth(track: Float[Tensor, "frame 3"], frames: float) -> Float[Tensor, "frame 3"]:
    """A track without what changes faster than some frames (a Gaussian's standard deviation); its ends are kept."""
    reach = min(int(3 * frames), len(track) - 1)
    window = torch.exp(-0.5 * (torch.arange(-reach, reach + 1).to(track) / max(frames, 1e-6)) ** 2)
    padded = torch.nn.functional.pad(track.T[:, None], (reach, reach), mode="replicate")
    return torch.nn.functional.conv1d(padded, (window / window.sum())[None, None])[:, 0].T
