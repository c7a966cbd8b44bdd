"""Carry a motion over to a body of other proportions and another rest pose."""

from dataclasses import replace

import roma
import torch
from jaxtyping import Float, Int
from torch import Tensor

from body_models.body import Body
from body_models.motion.motion import Motion
from body_models.motion.rigs import match_joints

_CHILD = {"hip": "knee", "knee": "ankle", "shoulder": "elbow", "elbow": "wrist", "wrist": "hand"}
"""Bones whose direction is taken over: limbs. Elsewhere two rigs' directions differ by build, not by pose."""
_SAME_REST_DEGREES = 10.0
_SAME_JOINTS = 0.005
"""Rest joints nearer than this (metres) make two bodies one and the same."""
_FLOOR_FRAMES = 24
_SHORTEST_WALK = 10
_SHORT_TRAVEL = 0.2
"""Standing places spread less than this (metres) say nothing about the lean of the ground."""
_STEEPEST_LEAN = 0.04


def retarget(motion: Motion, body: Body) -> Motion:
    """The motion on a body's own skeleton: limbs point where the source's do, twist follows the source.

    Travel is scaled by the ratio of leg lengths and the first frame is at the origin. The ground (y = 0) lies under
    the soles where the person stands, or under the lowest point of a clip in which nobody stands. A motion made for
    this very body comes back as it is. Raises InputError for a skeleton whose joint names are not known.
    """
    source, target = match_joints(motion.skeleton.joint_names), match_joints(body.skeleton.joint_names)
    clip = replace(
        motion,
        rest_joints=motion.rest_joints.to(body.joints),
        rotations=motion.rotations.to(body.joints),
        translations=motion.translations.to(body.joints),
    )
    if _same_rest_pose(clip, body, target):
        if float((clip.rest_joints - body.joints).abs().max()) < _SAME_JOINTS:
            return replace(clip, rest_joints=body.joints)
        rotations = clip.rotations
    else:
        rotations = _transfer_rotations(clip, body, source, target)
    return Motion(
        name=motion.name,
        skeleton=body.skeleton,
        rest_joints=body.joints,
        rotations=rotations,
        translations=_transfer_translations(clip, body, rotations, source, target),
        frame_rate=motion.frame_rate,
    )


def _same_rest_pose(clip: Motion, body: Body, target: dict[str, int]) -> bool:
    """Whether both have the same joints and, but for proportions, stand alike at rest."""
    if clip.skeleton != body.skeleton:
        return False
    pairs = [(target[joint], target[child]) for joint, child in _limbs(target)]
    starts, ends = torch.tensor(pairs).unbind(1)
    ours = torch.nn.functional.normalize(body.joints[ends] - body.joints[starts], dim=-1)
    theirs = torch.nn.functional.normalize(clip.rest_joints[ends] - clip.rest_joints[starts], dim=-1)
    angles = torch.rad2deg(torch.acos((ours * theirs).sum(-1).clamp(-1, 1)))
    return bool(angles.max() < _SAME_REST_DEGREES)


def _limbs(matches: dict[str, int]) -> list[tuple[str, str]]:
    pairs = [(f"{side}_{joint}", f"{side}_{child}") for side in ("left", "right") for joint, child in _CHILD.items()]
    return [(joint, child) for joint, child in pairs if joint in matches and child in matches]


def _transfer_rotations(
    clip: Motion, body: Body, source: dict[str, int], target: dict[str, int]
) -> Float[Tensor, "frame bone 3"]:
    """Local rotations of the body's joints, found from the root outwards.

    `aligned[bone]` puts the body's bone, at rest, into the source's rest pose; it goes on from the parent's, so that a
    bent elbow is straightened about its own hinge.
    """
    transforms, joints = clip.posed_from_rest()[..., :3, :3], clip.joint_positions()
    names = {index: name for name, index in target.items()}
    children = dict(_limbs({name: 0 for name in target if name in source}))
    identity = torch.eye(3).to(body.joints)
    aligned: list[Tensor] = []
    world: list[Tensor] = []
    for bone, parent in enumerate(body.skeleton.parents):
        name = names.get(bone, "")
        above = aligned[parent] if parent >= 0 else identity
        if name not in source:
            aligned.append(above)
            world.append(world[parent])
            continue
        start, child = source[name], children.get(name)
        if child is not None:
            end = source[child]
            at_rest = body.joints[target[child]] - body.joints[bone]
            above = _between(above @ at_rest, clip.rest_joints[end] - clip.rest_joints[start]) @ above
            turned = transforms[:, start] @ above
            world.append(_between(turned @ at_rest, joints[:, end] - joints[:, start]) @ turned)
        elif name.endswith(("_ankle", "_foot")):
            above = _level_foot(clip, body, source, target, name, above)
            world.append(transforms[:, start] @ above)
        else:
            above = above if name.endswith("_hand") or name.endswith("_wrist") else identity
            world.append(transforms[:, start] @ above)
        aligned.append(above)
    local = [world[b] if p < 0 else world[p].mT @ world[b] for b, p in enumerate(body.skeleton.parents)]
    return roma.rotmat_to_rotvec(torch.stack(local, dim=1))


def _level_foot(
    clip: Motion,
    body: Body,
    source: dict[str, int],
    target: dict[str, int],
    name: str,
    shin_aligned: Float[Tensor, "3 3"],
) -> Float[Tensor, "3 3"]:
    """How a foot lies in the source's rest pose, so that soles are level when the source's are.

    Captured skeletons disagree on what an unturned ankle is, by twenty degrees and more. Frames in which the person
    stands on the foot tell; without such frames the foot keeps its place relative to the shin.
    """
    side = name.split("_")[0]
    standing = _standing_frames(clip, source, side)
    if len(standing) == 0 or f"{side}_foot" not in target:
        return shin_aligned
    joints = clip.joint_positions()[standing]
    forward = body.joints[target[f"{side}_foot"]] - body.joints[target[f"{side}_ankle"]]
    level = clip.rest_joints.new_tensor([1.0, 0.0, 1.0])
    ahead = joints[:, source[f"{side}_foot"]] - joints[:, source[f"{side}_ankle"]]
    heading = _between((forward * level).expand_as(ahead), ahead * level)
    foot = clip.posed_from_rest()[standing][:, source[name], :3, :3]
    measured = roma.special_procrustes((foot.mT @ heading).mean(0))
    far = float(roma.rotmat_geodesic_distance(measured, shin_aligned)) > torch.pi / 4
    return shin_aligned if far else measured


def _standing_frames(clip: Motion, source: dict[str, int], side: str) -> Int[Tensor, "standing"]:
    """Frames in which a foot seems to bear weight: low, slow and under an upright shin; none in very short clips."""
    names = [f"{side}_{part}" for part in ("knee", "ankle", "foot")]
    if len(clip) < _SHORTEST_WALK or names[2] not in source:
        return torch.zeros(0, dtype=torch.long, device=clip.rotations.device)
    knee, ankle, toe = clip.joint_positions()[:, [source[name] for name in names]].unbind(1)
    shin, foot = knee - ankle, toe - ankle
    speed = torch.maximum(*(torch.gradient(point, dim=0)[0].norm(dim=-1) * clip.frame_rate for point in (ankle, toe)))
    height = ankle[:, 1] + toe[:, 1]
    upright = shin[:, 1] > 0.9 * shin.norm(dim=-1)
    forward = foot[:, 1].abs() < 0.75 * foot.norm(dim=-1)
    low = height < height.quantile(0.1) + 0.06
    return torch.nonzero(upright & forward & low & (speed < 0.15))[:, 0]


def _transfer_translations(
    clip: Motion, body: Body, rotations: Float[Tensor, "frame bone 3"], source: dict[str, int], target: dict[str, int]
) -> Float[Tensor, "frame 3"]:
    """Displacements of the root that let the hips travel as the source's do, scaled to the body's legs."""
    scale = _leg_length(body.joints, target) / _leg_length(clip.rest_joints, source)
    still = replace(
        clip,
        skeleton=body.skeleton,
        rest_joints=body.joints,
        rotations=rotations,
        translations=torch.zeros_like(clip.translations),
    )
    placed = still.joint_positions()
    translations = scale * _mid_hips(clip.joint_positions(), source) - _mid_hips(placed, target)
    start = translations[0] + body.joints[0]
    translations = translations - start * start.new_tensor([1.0, 0.0, 1.0])
    steps = torch.cat([_standing_frames(clip, source, side) for side in ("left", "right")])
    if len(steps) > 0:
        ground = _ground_under_steps(body, rotations, translations, steps)
    else:
        lowest = (placed + translations[:, None])[..., 1].amin(-1).argsort()[:_FLOOR_FRAMES]
        ground = body.pose_vertices(rotations[lowest], translations[lowest])[..., 1].min().expand(len(clip))
    return translations - ground[:, None] * ground.new_tensor([0.0, 1.0, 0.0])


def _ground_under_steps(
    body: Body,
    rotations: Float[Tensor, "frame bone 3"],
    translations: Float[Tensor, "frame 3"],
    steps: Int[Tensor, "standing"],
) -> Float[Tensor, "frame"]:
    """Height of the ground under each frame: a plane through the soles of standing feet.

    The axes of a captured volume may lean by a degree, so that a walk climbs; steeper ground is real and is kept.
    """
    chosen = steps[torch.linspace(0, len(steps) - 1, min(len(steps), _FLOOR_FRAMES)).round().long()]
    heights = body.pose_vertices(rotations[chosen], translations[chosen])[..., 1].amin(-1)
    centre = translations[chosen][:, [0, 2]].mean(0)
    places = translations[chosen][:, [0, 2]] - centre
    damping = len(chosen) * _SHORT_TRAVEL**2 * torch.eye(2).to(places)
    slope = torch.linalg.solve(places.T @ places + damping, places.T @ (heights - heights.mean()))
    if slope.norm() > _STEEPEST_LEAN:
        slope = torch.zeros_like(slope)
    return (heights - places @ slope).median() + (translations[:, [0, 2]] - centre) @ slope


def _leg_length(joints: Float[Tensor, "bone 3"], matches: dict[str, int]) -> Float[Tensor, ""]:
    chains = [[joints[matches[f"{side}_{part}"]] for part in ("hip", "knee", "ankle")] for side in ("left", "right")]
    return torch.stack([(b - a).norm() + (c - b).norm() for a, b, c in chains]).mean()


def _mid_hips(joints: Float[Tensor, "frame bone 3"], matches: dict[str, int]) -> Float[Tensor, "frame 3"]:
    return (joints[:, matches["left_hip"]] + joints[:, matches["right_hip"]]) / 2


def _between(start: Float[Tensor, "*batch 3"], end: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The smallest rotation that turns one direction into another; none for a direction of no length."""
    a, b = (torch.nn.functional.normalize(v, dim=-1) for v in (start, end))
    a, b = torch.broadcast_tensors(a, b)
    cross, dot = torch.linalg.cross(a, b), (a * b).sum(-1, keepdim=True)
    opposite = dot < -1 + 1e-6
    least = torch.nn.functional.one_hot(a.abs().argmin(-1), 3).to(a)
    sideways = torch.nn.functional.normalize(torch.linalg.cross(a, least), dim=-1)
    nothing = (a.norm(dim=-1, keepdim=True) == 0) | (b.norm(dim=-1, keepdim=True) == 0)
    axis = torch.where(opposite, sideways, cross)
    real = torch.where(opposite, torch.zeros_like(dot), 1 + dot)
    quaternion = torch.cat([axis, torch.where(nothing, torch.ones_like(real), real)], dim=-1)
    return roma.unitquat_to_rotmat(torch.nn.functional.normalize(quaternion, dim=-1))
