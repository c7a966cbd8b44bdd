"""Clips and measures that the tests of retargeting share."""

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.motion.motion import Motion
from body_models.motion.rest_joints import smpl_rest_joints
from body_models.motion.rigs import match_joints
from body_models.names import SMPL_SKELETON
from body_models.skeleton import Skeleton

LIMBS = [
    (f"{side}_{joint}", f"{side}_{child}")
    for side in ("left", "right")
    for joint, child in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
]


def smpl_motion(frames: int = 6, size: float = 0.4) -> Motion:
    generator = torch.Generator().manual_seed(1)
    return Motion(
        name="smpl",
        skeleton=SMPL_SKELETON,
        rest_joints=smpl_rest_joints().float(),
        rotations=size * torch.randn(frames, 24, 3, generator=generator),
        translations=torch.randn(frames, 3, generator=generator),
        frame_rate=30.0,
    )


def worst_shared_angle(a: Motion, b: Motion, other: Skeleton) -> float:
    """Degrees between rotations relative to the nearest joint that another skeleton has as well."""
    at, theirs = match_joints(a.skeleton.joint_names), match_joints(other.joint_names)
    shared, worst = {at[name] for name in at if name in theirs}, 0.0
    for bone in shared:
        parent = a.skeleton.parents[bone]
        while parent >= 0 and parent not in shared:
            parent = a.skeleton.parents[parent]
        turns = [motion.posed_from_rest()[..., :3, :3] for motion in (a, b)]
        local = [turn[:, bone] if parent < 0 else turn[:, parent].mT @ turn[:, bone] for turn in turns]
        worst = max(worst, float(torch.rad2deg(roma.rotmat_geodesic_distance(*local)).max()))
    return worst


def limb_directions(motion: Motion) -> Float[Tensor, "frame limb 3"]:
    at, joints = match_joints(motion.skeleton.joint_names), motion.joint_positions()
    bones = [joints[:, at[child]] - joints[:, at[joint]] for joint, child in LIMBS]
    return torch.nn.functional.normalize(torch.stack(bones, dim=1), dim=-1)


def greatest_angle(a: Motion, b: Motion) -> float:
    cosines = (limb_directions(a) * limb_directions(b)).sum(-1).clamp(-1, 1)
    return float(torch.rad2deg(torch.acos(cosines)).max())
