"""Measure retargeting: `python scripts/bench_retarget.py --cmu 02_01.bvh --valid FOLDER`.

The folder holds `gt_pose.npz` (joint names, positions and world rotations of a rig in several poses, the first at rest)
and `rigged.glb` (the rig's tree). Prints one Markdown table; inputs that are not given are left out.
"""

import argparse
import os
import platform
from pathlib import Path

import numpy as np
import pygltflib
import roma
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from body_models import Body, InputError, Motion, load_anny, load_motion, retarget
from body_models.motion.rest_joints import smpl_rest_joints
from body_models.motion.rigs import match_joints
from body_models.motion.turns import turn_between
from body_models.names import SMPL_SKELETON
from body_models.skeleton import Skeleton

SIDES = ("left", "right")
LIMBS = [("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")]
BONES = [
    ("limbs", [(f"{side}_{a}", f"{side}_{b}") for side in SIDES for a, b in LIMBS], False),
    ("pelvis to neck", [("pelvis", "neck")], True),
    ("neck to head", [("neck", "head")], True),
    ("chest to shoulders", [("spine3", f"{side}_shoulder") for side in SIDES], True),
    ("pelvis to hips", [("pelvis", f"{side}_hip") for side in SIDES], True),
    ("ankle to toes", [(f"{side}_ankle", f"{side}_foot") for side in SIDES], True),
]
"""What is measured; whether the bones' directions differ by build too."""
STANCE_SPEED = 0.3
"""A source's joint slower than this (metres a second) and low is planted."""
STANCE_HEIGHT = 0.06
SHORTEST_STANCE = 0.1
Row = tuple[str, str, str]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cmu", type=Path, help="a walk as BVH")
    parser.add_argument("--valid", type=Path, help="folder with gt_pose.npz and rigged.glb")
    arguments = parser.parse_args()
    body, rows = load_anny().body(), []
    if arguments.cmu is not None:
        walk = load_motion(arguments.cmu)
        rows += round_trips(walk, body) + slides(walk, body)
    if arguments.valid is not None:
        rows += direction_errors(valid_poses(arguments.valid), body)
    if not rows:
        raise InputError("Nothing to measure: give --cmu FILE, --valid FOLDER or both.")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}\n")
    print("| what | mean | worst |\n|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def round_trips(walk: Motion, body: Body) -> list[Row]:
    """A clip carried over and back: angles between rotations relative to the nearest joint that both rigs have."""
    on_body = retarget(walk, body)
    smpl = Motion("T-pose", SMPL_SKELETON, smpl_rest_joints().float(), torch.zeros(1, 24, 3), torch.zeros(1, 3), 30.0)
    rows = []
    for name, first, between in (
        (f"{walk.name} to Anny and back, degrees", walk, body),
        (f"{walk.name} to SMPL's T-pose and back, degrees", walk, smpl),
        ("Anny to SMPL's T-pose and back, degrees", on_body, smpl),
    ):
        target = body if first is on_body else walk
        moved = retarget(first, between)
        angles = shared_angles(first, retarget(moved, target), moved.skeleton)
        rows.append((name, f"{angles.mean():.3f}", f"{angles.max():.3f}"))
    return rows


def shared_angles(a: Motion, b: Motion, other: Skeleton) -> Float[Tensor, "frame joint"]:
    """Degrees between two motions of one skeleton, for the joints that another skeleton has too."""
    matches, theirs = match_joints(a.skeleton.joint_names), match_joints(other.joint_names)
    shared = {matches[name] for name in matches if name in theirs}
    angles = []
    for bone in sorted(shared):
        parent = a.skeleton.parents[bone]
        while parent >= 0 and parent not in shared:
            parent = a.skeleton.parents[parent]
        turns = [motion.posed_from_rest()[..., :3, :3] for motion in (a, b)]
        local = [turn[:, bone] if parent < 0 else turn[:, parent].mT @ turn[:, bone] for turn in turns]
        angles.append(torch.rad2deg(roma.rotmat_geodesic_distance(*local)))
    return torch.stack(angles, dim=1)


def slides(walk: Motion, body: Body) -> list[Row]:
    """How far heel and ball of the foot travel over the ground in each stance of the source's ankle and toe.

    A stance is a run of at least a tenth of a second in which the source's joint is low and slow; the travel is the
    largest horizontal distance between two places of the lowest point of the sole under that joint, in centimetres.
    """
    result, matches = retarget(walk, body), match_joints(walk.skeleton.joint_names)
    joints = walk.joint_positions()
    found: dict[str, list[float]] = {"source": [], "Anny": []}
    for name in (f"{side}_{part}" for side in ("left", "right") for part in ("ankle", "foot")):
        planted = planted_frames(joints[:, matches[name]], walk.frame_rate)
        sole = sole_vertex(body, name)
        point = body.subset(sole[None]).pose_vertices(result.rotations, result.translations)[:, 0]
        for start, stop in runs(planted, round(SHORTEST_STANCE * walk.frame_rate)):
            found["source"].append(travel(joints[start:stop, matches[name]]))
            found["Anny"].append(travel(point[start:stop]))
    return [
        (f"slide a stance, {which}, cm ({len(values)} stances)", f"{np.mean(values):.2f}", f"{max(values):.2f}")
        for which, values in found.items()
    ]


def planted_frames(joint: Float[Tensor, "frame 3"], frame_rate: float) -> Bool[Tensor, "frame"]:
    """Frames in which a joint of the foot is low and slow."""
    speed = torch.gradient(joint, dim=0)[0].norm(dim=-1) * frame_rate
    return (speed < STANCE_SPEED) & (joint[:, 1] < joint[:, 1].quantile(0.1) + STANCE_HEIGHT)


def sole_vertex(body: Body, joint: str) -> Tensor:
    """The lowest vertex at rest of those that mostly turn with a joint."""
    own = (body.skinning_weights[:, body.skeleton.index(joint)] > 0.5).nonzero()[:, 0]
    return own[body.vertices[own, 1].argmin()]


def runs(mask: Bool[Tensor, "frame"], shortest: int) -> list[tuple[int, int]]:
    """Start and stop of each unbroken run of a mask that is long enough."""
    edges = torch.nn.functional.pad(mask.int(), (1, 1)).diff()
    pairs = zip((edges == 1).nonzero()[:, 0].tolist(), (edges == -1).nonzero()[:, 0].tolist(), strict=True)
    return [(start, stop) for start, stop in pairs if stop - start >= shortest]


def travel(points: Float[Tensor, "frame 3"]) -> float:
    """Largest horizontal distance between two places of a point (centimetres)."""
    flat = points[:, [0, 2]]
    return 100 * float(torch.cdist(flat, flat).max())


def valid_poses(folder: Path) -> Motion:
    """The rig's poses as a motion of its own skeleton, a second apart."""
    for name in ("gt_pose.npz", "rigged.glb"):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: no file '{name}'. Give the folder that holds gt_pose.npz and rigged.glb.")
    truth, document = np.load(folder / "gt_pose.npz"), pygltflib.GLTF2().load(str(folder / "rigged.glb"))
    names = [str(name) for name in truth["joint_names"]]
    parent_of = {document.nodes[c].name: node.name for node in document.nodes for c in node.children or []}
    parents = tuple(names.index(parent_of[n]) if parent_of.get(n) in names else -1 for n in names)
    positions = torch.from_numpy(truth["joint_pos"]).float()
    world = torch.from_numpy(truth["joint_rot"]).float()
    turned = world @ world[:1].mT
    local = [turned[:, b] if p < 0 else turned[:, p].mT @ turned[:, b] for b, p in enumerate(parents)]
    rotations = roma.rotmat_to_rotvec(torch.stack(local, dim=1))
    places = positions[:, 0] - positions[0, 0]
    return Motion("VALID", Skeleton(tuple(names), parents), positions[0], rotations, places, 1.0)


def direction_errors(poses: Motion, body: Body) -> list[Row]:
    """Degrees between the bones' directions in the rig and on the body, over all poses.

    Where a bone's direction differs by build, a second row takes the difference at rest off.
    """
    result, rows = retarget(poses, body), []
    for name, pairs, by_build in BONES:
        label = f"VALID, {name}, degrees"
        rows.append((f"{label} ({len(poses)} poses)", angles_between(poses, result, pairs)))
        if by_build:
            beyond = torch.stack([build_difference(poses, result, pair) for pair in pairs], dim=1)
            rows.append((f"{label} beyond the rest poses' difference", beyond))
    return [(name, f"{angles.mean():.3f}", f"{angles.max():.3f}") for name, angles in rows]


def angles_between(a: Motion, b: Motion, pairs: list[tuple[str, str]]) -> Float[Tensor, "frame pair"]:
    """Degrees between the directions of the same bones."""
    apart = (directions(a, pairs) - directions(b, pairs)).norm(dim=-1)
    return torch.rad2deg(2 * torch.asin((apart / 2).clamp(max=1)))


def build_difference(a: Motion, b: Motion, pair: tuple[str, str]) -> Float[Tensor, "frame"]:
    """Degrees between a bone's directions when the angle between the two at rest is taken off."""
    starts = [match_joints(m.skeleton.joint_names)[pair[0]] for m in (a, b)]
    local = []
    for motion, start in zip((a, b), starts, strict=True):
        turns = motion.posed_from_rest()[:, start, :3, :3]
        local.append((turns.mT @ directions(motion, [pair])[:, 0, :, None])[..., 0])
    rest = [
        m.rest_joints[match_joints(m.skeleton.joint_names)[pair[1]]] - m.rest_joints[s]
        for m, s in zip((a, b), starts, strict=True)
    ]
    fitted = local[1] @ turn_between(rest[1], rest[0]).T
    return torch.rad2deg(2 * torch.asin(((local[0] - fitted).norm(dim=-1) / 2).clamp(max=1)))


def directions(motion: Motion, pairs: list[tuple[str, str]]) -> Float[Tensor, "frame pair 3"]:
    """Unit vectors from joint to joint."""
    at, joints = match_joints(motion.skeleton.joint_names), motion.joint_positions()
    bones = [joints[:, at[b]] - joints[:, at[a]] for a, b in pairs]
    return torch.nn.functional.normalize(torch.stack(bones, dim=1), dim=-1)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(str(error)) from None
