"""People in mild poses to train on and in far ones to test on, for `table_snarf.py`: synthetic, or a user's scans."""

from dataclasses import dataclass
from pathlib import Path

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models import Body, InputError, Skeleton, load_anny, load_poses
from data_prep._actions import RANGE_OF_MOTION, UNSEEN_ACTIONS, joint_rotations
from data_prep.registration import register_known_poses
from data_prep.scans import Scan, load_scans
from data_prep.synthetic import Person, SyntheticOptions, make_person

TRAIN_AMPLITUDE, AMPLITUDES = 0.3, (0.5, 1.0, 1.5, 2.0)
NAMED = {
    "arms overhead": RANGE_OF_MOTION[2],
    "deep squat": RANGE_OF_MOTION[7],
    "kick": UNSEEN_ACTIONS[1],
    "archer": UNSEEN_ACTIONS[4],
}
LIMBS = ("shoulder", "elbow", "hip", "knee")
"""Joints whose angles tell how far two poses are apart."""
RANGES = {
    "shoulder": ((-0.5, 0.5), (-0.5, 0.5), (-0.5, 0.5)),
    "elbow": ((0.0, 0.0), (-1.1, 0.0), (0.0, 0.0)),
    "hip": ((-0.8, 0.2), (-0.15, 0.15), (-0.1, 0.25)),
    "knee": ((0.0, 1.1), (0.0, 0.0), (0.0, 0.0)),
    **{name: ((-0.15, 0.15), (-0.15, 0.15), (-0.1, 0.1)) for name in ("spine1", "spine2", "spine3", "neck", "head")},
    **{name: ((-0.2, 0.2), (-0.1, 0.1), (-0.2, 0.2)) for name in ("ankle", "wrist")},
}
"""Turns about x, y and z from the canonical pose at amplitude 1, of the left side (radians); about half of what
an adult's joints do, so that amplitude 2 is near their limits."""


@dataclass(frozen=True)
class Frames:
    """Scans with their exact poses (metres, radians)."""

    scans: list[Scan]
    poses: Float[Tensor, "scan bone 3"]
    translations: Float[Tensor, "scan 3"]


@dataclass(frozen=True)
class Subject:
    """One person: what is trained on, and test groups by name."""

    name: str
    body: Body
    train: Frames
    tests: dict[str, Frames]


def synthetic(seed: int, per_group: int) -> Subject:
    """A clothed person: mild training poses, tests by amplitude and by name."""
    model = load_anny()
    person = make_person(model, SyntheticOptions(seed=seed))
    random = torch.Generator().manual_seed(seed)

    def drawn(amplitude: float, count: int) -> Frames:
        return clothed(person, torch.stack([natural_pose(person.body, amplitude, random) for _ in range(count)]))

    train = drawn(TRAIN_AMPLITUDE, 12)
    tests = {f"amplitude {amplitude}": drawn(amplitude, per_group) for amplitude in AMPLITUDES}
    for name, key in NAMED.items():
        rotations = joint_rotations(torch.from_numpy(key.numbers()).float(), person.body)
        tests[name] = clothed(person, rotations[None])
    return Subject("Synthetic clothed person", person.body, train, tests)


def natural_pose(body: Body, amplitude: float, random: torch.Generator) -> Float[Tensor, "bone 3"]:
    """The canonical pose with every joint turned at random within `amplitude` times its range (axis-angle)."""
    pose = body.canonical_pose.clone()
    for bone, name in enumerate(body.skeleton.joint_names):
        ranges = torch.tensor(RANGES.get(name.removeprefix("left_").removeprefix("right_"), ((0.0, 0.0),) * 3))
        turn = ranges[:, 0] + torch.rand(3, generator=random) * (ranges[:, 1] - ranges[:, 0])
        mirror = torch.tensor([1.0, -1.0, -1.0]) if name.startswith("right_") else torch.ones(3)
        pose[bone] += amplitude * mirror * turn
    return pose


def clothed(person: Person, poses: Float[Tensor, "scan bone 3"]) -> Frames:
    """Clean scans of a person at the origin."""
    faces, nowhere = person.clothed.faces.numpy(), torch.zeros(3)
    scans = [Scan(f"{i:03d}", person.pose_vertices(pose, nowhere).numpy(), faces) for i, pose in enumerate(poses)]
    return Frames(scans, poses, torch.zeros(len(poses), 3))


def scanned(folder: Path, seed: int) -> Subject:
    """A user's scans: the half nearest to the canonical pose is trained on, the rest tested by thirds."""
    loaded, known = load_scans(folder), load_poses(folder / "poses.npz")
    if known.betas is None or known.body_model != "anny":
        raise InputError(f"'{folder / 'poses.npz'}' must hold exact poses and betas of the free body (anny).")
    motion = known.motion
    found = register_known_poses(load_anny(), loaded.scans, motion.rotations, motion.translations, known.betas, seed)
    if len(found.names) < 8:
        raise InputError(f"'{folder}' gives {len(found.names)} scans; 8 or more are needed to train and to test.")
    by_name = {scan.name: scan for scan in loaded.scans}
    order = limb_degrees(found.body.skeleton, found.poses, found.body.canonical_pose[None])[:, 0].argsort()

    def part(index: Tensor) -> Frames:
        return Frames([by_name[found.names[i]] for i in index], found.poses[index], found.translations[index])

    half = len(order) // 2
    thirds = zip(("near", "farther", "farthest"), order[half:].tensor_split(3), strict=True)
    return Subject(f"Scans of {folder.name}", found.body, part(order[:half]), {name: part(i) for name, i in thirds})


def limb_degrees(
    skeleton: Skeleton, poses: Float[Tensor, "pose bone 3"], others: Float[Tensor, "other bone 3"]
) -> Float[Tensor, "pose other"]:
    """Mean angle between two poses' shoulders, elbows, hips and knees."""
    limbs = [i for i, name in enumerate(skeleton.joint_names) if name.split("_")[-1] in LIMBS]
    first, second = roma.rotvec_to_rotmat(poses[:, None, limbs]), roma.rotvec_to_rotmat(others[None, :, limbs])
    return torch.rad2deg(roma.rotmat_geodesic_distance(*torch.broadcast_tensors(first, second))).mean(-1)
